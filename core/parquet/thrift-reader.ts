import { VarveError } from '../std/errors.js';

/** A decoded value: numbers for all integers, bytes for strings, a map from field id for structs. */
export type ThriftValue = boolean | number | Uint8Array | readonly ThriftValue[] | ThriftStruct;
/** Fields by their ids. */
export type ThriftStruct = ReadonlyMap<number, ThriftValue>;

/** Nesting deeper than any Parquet metadata has. */
const depthMax = 16;

/**
 * Reads one struct of Thrift compact protocol at `offset`, and says where it ends. Integers must be safe; whatever
 * else is not well-formed is `corrupt`.
 */
export function readThriftStruct(
  bytes: Uint8Array,
  offset: number,
): { readonly struct: ThriftStruct; readonly end: number } {
  const reader = new ThriftReader(bytes, offset);
  const struct = reader.struct(0);
  return { struct, end: reader.at };
}

class ThriftReader {
  at: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  struct(depth: number): ThriftStruct {
    if (depth > depthMax) throw corruptThrift(this.at, `structs nested deeper than ${depthMax}`);
    const fields = new Map<number, ThriftValue>();
    let field = 0;
    for (;;) {
      const header = this.#byte();
      if (header === 0) return fields;
      const step = header >> 4;
      field = step === 0 ? this.#zigzag() : field + step;
      const type = header & 15;
      fields.set(field, type <= 2 ? type === 1 : this.#value(type, depth));
    }
  }

  #value(type: number, depth: number): ThriftValue {
    switch (type) {
      case 1:
      case 2:
        return this.#byte() === 1;
      case 3:
        return (this.#byte() << 24) >> 24;
      case 4:
      case 5:
      case 6:
        return this.#zigzag();
      case 8:
        return this.#binary();
      case 9:
        return this.#list(depth);
      case 12:
        return this.struct(depth + 1);
      default:
        throw corruptThrift(this.at, `a value of type ${type}`);
    }
  }

  #list(depth: number): readonly ThriftValue[] {
    const header = this.#byte();
    const count = header >> 4 === 15 ? this.#varint() : header >> 4;
    const items: ThriftValue[] = [];
    // No length is trusted: a list that claims too much runs into the end of the bytes.
    for (let i = 0; i < count; i++) items.push(this.#value(header & 15, depth + 1));
    return items;
  }

  #binary(): Uint8Array {
    const length = this.#varint();
    if (length > this.#bytes.length - this.at) throw corruptThrift(this.at, `a string of ${length} bytes`);
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  #zigzag(): number {
    const value = this.#varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 63; scale *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw corruptThrift(this.at, `the number ${value}`);
        return value;
      }
    }
    throw corruptThrift(this.at, 'a number of more than nine bytes');
  }

  #byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw corruptThrift(this.at, 'the end of the bytes');
    this.at += 1;
    return byte;
  }
}

function corruptThrift(offset: number, got: string): VarveError {
  return new VarveError('corrupt', `reading Parquet metadata at byte ${offset}: got ${got}; want Thrift`);
}

/** Field `field` as a number; `corrupt` when it is missing or of another type. */
export function numberField(struct: ThriftStruct, field: number, what: string): number {
  const value = struct.get(field);
  if (typeof value === 'number') return value;
  throw missingField(field, what);
}

/** Field `field` as bytes; `corrupt` otherwise. */
export function bytesField(struct: ThriftStruct, field: number, what: string): Uint8Array {
  const value = struct.get(field);
  if (value instanceof Uint8Array) return value;
  throw missingField(field, what);
}

/** Field `field` as a struct; `corrupt` otherwise. */
export function structField(struct: ThriftStruct, field: number, what: string): ThriftStruct {
  const value = struct.get(field);
  if (value instanceof Map) return value;
  throw missingField(field, what);
}

/** Field `field` as a list of structs. */
export function structsField(struct: ThriftStruct, field: number, what: string): readonly ThriftStruct[] {
  const value = struct.get(field);
  if (!Array.isArray(value)) throw missingField(field, what);
  return value.map((item: ThriftValue) => {
    if (item instanceof Map) return item;
    throw missingField(field, what);
  });
}

function missingField(field: number, what: string): VarveError {
  return new VarveError('corrupt', `reading Parquet metadata: ${what} has no usable field ${field}`);
}
