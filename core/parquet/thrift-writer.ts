import { assert } from '../std/assert.js';
import { ByteSink } from './byte-sink.js';

/** Type numbers of the Thrift compact protocol. */
export const thriftType = { true: 1, false: 2, i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const;

/**
 * Writes Thrift compact protocol, the encoding of Parquet's page headers and footer. Fields of a struct are
 * written in ascending order of their ids, between `beginStruct` (or a field that begins one) and `endStruct`.
 *
 * Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
 */
export class ThriftWriter {
  readonly #sink = new ByteSink(1024);
  readonly #encoder = new TextEncoder();
  readonly #outerFields: number[] = [];
  #lastField = 0;

  beginStruct(): void {
    this.#outerFields.push(this.#lastField);
    this.#lastField = 0;
  }

  endStruct(): void {
    const outer = this.#outerFields.pop();
    assert(outer !== undefined, 'a thrift struct ends that never began');
    this.#sink.push(0);
    this.#lastField = outer;
  }

  structField(field: number): void {
    this.#header(field, thriftType.struct);
    this.beginStruct();
  }

  emptyStructField(field: number): void {
    this.structField(field);
    this.endStruct();
  }

  boolField(field: number, value: boolean): void {
    this.#header(field, value ? thriftType.true : thriftType.false);
  }

  i32Field(field: number, value: number): void {
    this.#header(field, thriftType.i32);
    this.i32(value);
  }

  /** `value` is a safe integer that is not negative: sizes, counts and offsets are all this format has of i64. */
  i64Field(field: number, value: number): void {
    assert(
      Number.isSafeInteger(value) && value >= 0,
      `got ${value} for thrift i64 field ${field}; want a size`,
    );
    this.#header(field, thriftType.i64);
    this.#sink.pushVarint(value * 2);
  }

  binaryField(field: number, value: Uint8Array): void {
    this.#header(field, thriftType.binary);
    this.#sink.pushVarint(value.length);
    this.#sink.append(value);
  }

  stringField(field: number, value: string): void {
    this.binaryField(field, this.#encoder.encode(value));
  }

  /** Begins a list; `count` elements of `type` must follow, by `i32`, `string` or `beginStruct`. */
  listField(field: number, type: number, count: number): void {
    this.#header(field, thriftType.list);
    if (count < 15) this.#sink.push((count << 4) | type);
    else {
      this.#sink.push(0xf0 | type);
      this.#sink.pushVarint(count);
    }
  }

  i32(value: number): void {
    this.#sink.pushVarint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  string(value: string): void {
    const bytes = this.#encoder.encode(value);
    this.#sink.pushVarint(bytes.length);
    this.#sink.append(bytes);
  }

  /** The bytes written so far, a copy. */
  finish(): Uint8Array {
    assert(this.#outerFields.length === 0, 'a thrift struct was not ended');
    return this.#sink.written().slice();
  }

  #header(field: number, type: number): void {
    const step = field - this.#lastField;
    assert(step >= 1 && step <= 15, `thrift field ${field} after ${this.#lastField}; want ascending ids`);
    this.#sink.push((step << 4) | type);
    this.#lastField = field;
  }
}
