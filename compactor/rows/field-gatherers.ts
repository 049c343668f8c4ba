import { signExtend, widen } from '../../core/codec/narrow-integers.js';
import type { FieldType } from '../../core/model/columns.js';
import type { FieldValues, NarrowValues } from './row-block.js';

/** Gathers one field over the rows of a row group. Hot: ranges are copied, nothing is allocated a row. */
export interface FieldGatherer {
  /** Rows [from, to) of a source go to rows from `at`; a source without the field has it nowhere. */
  append(values: FieldValues | NarrowValues | null, from: number, to: number, at: number): void;
  /** Replaces the value of the last row; true when another value stood there. */
  overlay(values: FieldValues | NarrowValues, row: number, at: number): boolean;
  gathered(rows: number): FieldValues;
  stringBytes(rows: number): number;
  clear(): void;
}

/** A gatherer of a field of the type for at most `rowsMax` rows. */
export function fieldGathererOf(type: FieldType, rowsMax: number): FieldGatherer {
  return type === 'string' ? new StringGatherer(rowsMax) : new NumberGatherer(type, rowsMax);
}

/** Which rows have the field; an array only once some row lacks it. */
class ValidityGatherer {
  readonly #rowsMax: number;
  #present: Uint8Array | null = null;
  #anyAbsent = false;

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax;
  }

  append(validity: Uint8Array | null, from: number, to: number, at: number): void {
    if (validity === null) {
      if (this.#anyAbsent) this.#present?.fill(1, at, at + to - from);
      return;
    }
    this.#needed(at).set(validity.subarray(from, to), at);
  }

  appendAbsent(rows: number, at: number): void {
    this.#needed(at).fill(0, at, at + rows);
  }

  isPresent(row: number): boolean {
    return !this.#anyAbsent || this.#present?.[row] !== 0;
  }

  setPresent(row: number): void {
    if (this.#anyAbsent && this.#present !== null) this.#present[row] = 1;
  }

  gathered(rows: number): Uint8Array | null {
    return this.#anyAbsent && this.#present !== null ? this.#present.subarray(0, rows) : null;
  }

  clear(): void {
    this.#anyAbsent = false;
  }

  #needed(rowsBefore: number): Uint8Array {
    this.#present ??= new Uint8Array(this.#rowsMax);
    if (!this.#anyAbsent) this.#present.fill(1, 0, rowsBefore);
    this.#anyAbsent = true;
    return this.#present;
  }
}

type NumberValues = Float64Array | BigInt64Array | BigUint64Array | Uint8Array;
type NumberType = Exclude<FieldType, 'string'>;

function numberArray(type: NumberType, rows: number): NumberValues {
  switch (type) {
    case 'double':
      return new Float64Array(rows);
    case 'bigint':
      return new BigInt64Array(rows);
    case 'ubigint':
      return new BigUint64Array(rows);
    case 'boolean':
      return new Uint8Array(rows);
  }
}

class NumberGatherer implements FieldGatherer {
  readonly #type: NumberType;
  readonly #values: NumberValues;
  /** The same memory as bytes: values are moved and compared as bits, so that NaN and -0 stay what they are. */
  readonly #bytes: Uint8Array;
  /** The same memory as halves of 64-bit integers; empty for booleans. */
  readonly #lanes: Int32Array;
  readonly #width: number;
  readonly #validity: ValidityGatherer;

  constructor(type: NumberType, rowsMax: number) {
    this.#type = type;
    this.#values = numberArray(type, rowsMax);
    this.#bytes = bytesOf(this.#values);
    this.#lanes = new Int32Array(this.#values.buffer, 0, type === 'boolean' ? 0 : rowsMax * 2);
    this.#width = this.#values.BYTES_PER_ELEMENT;
    this.#validity = new ValidityGatherer(rowsMax);
  }

  append(values: FieldValues | NarrowValues | null, from: number, to: number, at: number): void {
    if (values === null) {
      this.#validity.appendAbsent(to - from, at);
      return;
    }
    this.#validity.append(values.validity, from, to, at);
    if (values.kind === 'field') this.#bytes.set(this.#bytesOf(values, from, to), at * this.#width);
    else if (this.#values instanceof Float64Array) this.#values.set(values.narrow.subarray(from, to), at);
    else signExtend(values.narrow, from, to, this.#lanes, at);
  }

  overlay(values: FieldValues | NarrowValues, row: number, at: number): boolean {
    const next = this.#bytesOf(values, row, row + 1);
    const place = this.#bytes.subarray(at * this.#width, (at + 1) * this.#width);
    const differs = this.#validity.isPresent(at) && Buffer.compare(place, next) !== 0;
    place.set(next);
    this.#validity.setPresent(at);
    return differs;
  }

  gathered(rows: number): FieldValues {
    const validity = this.#validity.gathered(rows);
    return {
      kind: 'field',
      type: this.#type,
      values: this.#values.subarray(0, rows),
      validity,
    } as FieldValues;
  }

  stringBytes(): number {
    return 0;
  }

  clear(): void {
    this.#validity.clear();
  }

  #bytesOf(values: FieldValues | NarrowValues, from: number, to: number): Uint8Array {
    if (values.kind === 'narrow') return bytesOf(widen(values.narrow.subarray(from, to), values.type));
    if (values.type === 'string') return new Uint8Array(0);
    const { buffer, byteOffset } = values.values;
    return new Uint8Array(buffer, byteOffset + from * this.#width, (to - from) * this.#width);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

class StringGatherer implements FieldGatherer {
  readonly #offsets: Int32Array;
  readonly #validity: ValidityGatherer;
  #bytes = new Uint8Array(1 << 12);

  constructor(rowsMax: number) {
    this.#offsets = new Int32Array(rowsMax + 1);
    this.#validity = new ValidityGatherer(rowsMax);
  }

  append(values: FieldValues | NarrowValues | null, from: number, to: number, at: number): void {
    const offsets = this.#offsets;
    const start = offsets[at] as number;
    if (values === null || values.type !== 'string') {
      this.#validity.appendAbsent(to - from, at);
      offsets.fill(start, at + 1, at + 1 + to - from);
      return;
    }
    this.#validity.append(values.validity, from, to, at);
    const source = values.values.offsets;
    const first = source[from] as number;
    this.#put(values.values.bytes.subarray(first, source[to]), start);
    const shift = start - first;
    for (let row = from; row < to; row++) offsets[++at] = (source[row + 1] as number) + shift;
  }

  overlay(values: FieldValues | NarrowValues, row: number, at: number): boolean {
    if (values.type !== 'string') return false;
    const { offsets, bytes } = values.values;
    const next = bytes.subarray(offsets[row], offsets[row + 1]);
    const start = this.#offsets[at] as number;
    const differs =
      this.#validity.isPresent(at) &&
      Buffer.compare(this.#bytes.subarray(start, this.#offsets[at + 1]), next) !== 0;
    this.#put(next, start);
    this.#offsets[at + 1] = start + next.length;
    this.#validity.setPresent(at);
    return differs;
  }

  gathered(rows: number): FieldValues {
    const offsets = this.#offsets.subarray(0, rows + 1);
    const bytes = this.#bytes.subarray(0, offsets[rows]);
    return {
      kind: 'field',
      type: 'string',
      values: { offsets, bytes },
      validity: this.#validity.gathered(rows),
    };
  }

  stringBytes(rows: number): number {
    return this.#offsets[rows] as number;
  }

  clear(): void {
    this.#validity.clear();
  }

  #put(bytes: Uint8Array, at: number): void {
    const needed = at + bytes.length;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, at);
  }
}
