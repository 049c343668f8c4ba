import type { FieldColumn, FieldType } from '../../../core/model/columns.js';
import { lastWordMask } from './bytes.js';
import type { RowMemory } from './row-memory.js';

/** Field types as small integers, for the hot loop: 64-bit floating point. */
export const typeDouble = 0;
/** 64-bit signed integers. */
export const typeBigint = 1;
/** 64-bit unsigned integers. */
export const typeUbigint = 2;
/** Booleans, one byte each. */
export const typeBoolean = 3;
/** Text. */
export const typeString = 4;

/** Field types by the integers above. */
export const fieldTypes: readonly FieldType[] = ['double', 'bigint', 'ubigint', 'boolean', 'string'];

const noDoubles = new Float64Array(0);
const noLanes = new Int32Array(0);
const noBytes = new Uint8Array(0);

/**
 * One field of a table while a request is decoded. Only the array of its type is in use; all have room for the
 * table's capacity, so that the hot loop writes without checks. Presence is kept as a count while the column has no
 * gaps (`dense` rows from the first), and as a byte a row (`validity`) from the first gap on.
 */
export class ColumnBuilder {
  readonly name: string;
  readonly type: number;
  /** The name and the `=` after it, as they stand on the line. */
  readonly prefix: Uint8Array;
  /** The same in words of four bytes, the last one masked. */
  readonly prefixWords: Int32Array;
  readonly prefixMask: number;
  readonly prefixLength: number;
  doubles: Float64Array<ArrayBuffer> = noDoubles;
  /** 64-bit integers as two words a row, low word first. */
  lanes: Int32Array<ArrayBuffer> = noLanes;
  booleans: Uint8Array<ArrayBuffer> = noBytes;
  /** Start and end in `text` of a row's string. */
  spans: Int32Array<ArrayBuffer> = noLanes;
  text: Uint8Array<ArrayBuffer> = noBytes;
  textLength = 0;
  /** Rows from the first that all have the field; -1 once there was a gap. */
  dense = 0;
  validity: Uint8Array<ArrayBuffer> | null = null;
  readonly #memory: RowMemory;

  constructor(name: string, prefix: Uint8Array, type: number, capacity: number, memory: RowMemory) {
    this.name = name;
    this.type = type;
    this.prefix = prefix;
    this.prefixLength = prefix.length;
    this.prefixMask = lastWordMask(prefix.length);
    const padded = new Uint8Array((prefix.length + 3) & ~3);
    padded.set(prefix);
    this.prefixWords = new Int32Array(padded.buffer);
    this.#memory = memory;
    this.grow(capacity);
  }

  /** Makes room for `capacity` rows. */
  grow(capacity: number): void {
    const memory = this.#memory;
    if (this.type === typeDouble) this.doubles = memory.doubles(this.doubles, capacity);
    else if (this.type === typeBoolean) this.booleans = memory.bytes(this.booleans, capacity);
    else if (this.type === typeString) this.spans = memory.words(this.spans, capacity * 2);
    else this.lanes = memory.words(this.lanes, capacity * 2);
    if (this.validity !== null) {
      const filled = this.validity.length;
      this.validity = memory.bytes(this.validity, capacity);
      this.validity.fill(0, filled);
    }
  }

  /** Notes that `row` has the field although some row before it has not, or had it noted already. */
  markSparse(row: number, capacity: number): void {
    if (this.dense === row + 1) return;
    if (this.validity === null) {
      this.validity = this.#memory.bytes(noBytes, capacity);
      this.validity.fill(1, 0, this.dense).fill(0, this.dense);
      this.dense = -1;
    }
    this.validity[row] = 1;
  }

  /** Notes that `rows` rows from `first` on, the last ones of the table, have the field. */
  markRows(first: number, rows: number, capacity: number): void {
    if (this.dense === first) {
      this.dense = first + rows;
      return;
    }
    this.markSparse(first, capacity);
    this.validity?.fill(1, first, first + rows);
  }

  /** Forgets the value of `row`, whose line turned out bad. */
  unmark(row: number): void {
    if (this.dense === row + 1) this.dense = row;
    else if (this.validity !== null) this.validity[row] = 0;
  }

  /** Makes room for `length` more bytes of text. */
  reserveText(length: number): void {
    if (this.textLength + length > this.text.length) {
      this.text = this.#memory.bytes(this.text, Math.max(256, (this.textLength + length) * 2));
    }
  }

  /** The column of the first `rowCount` rows, in arrays of exactly that size. */
  finish(rowCount: number): FieldColumn {
    const { name } = this;
    const validity = this.#finishValidity(rowCount);
    if (validity !== null) this.#clearAbsent(validity);
    switch (this.type) {
      case typeDouble:
        return { name, validity, type: 'double', values: this.doubles.slice(0, rowCount) };
      case typeBigint:
        return { name, validity, type: 'bigint', values: new BigInt64Array(this.#lanesOf(rowCount)) };
      case typeUbigint:
        return { name, validity, type: 'ubigint', values: new BigUint64Array(this.#lanesOf(rowCount)) };
      case typeBoolean:
        return { name, validity, type: 'boolean', values: this.booleans.slice(0, rowCount) };
      default:
        return { name, validity, type: 'string', values: this.#packStrings(rowCount, validity) };
    }
  }

  /** Gives the arrays back to the request's memory. */
  release(): void {
    const memory = this.#memory;
    memory.giveBack(this.doubles);
    memory.giveBack(this.lanes);
    memory.giveBack(this.booleans);
    memory.giveBack(this.spans);
    memory.giveBack(this.text);
    if (this.validity !== null) memory.giveBack(this.validity);
  }

  #lanesOf(rowCount: number): ArrayBuffer {
    return this.lanes.buffer.slice(0, rowCount * 8);
  }

  #finishValidity(rowCount: number): Uint8Array | null {
    if (this.validity !== null) return this.validity.slice(0, rowCount);
    if (this.dense === rowCount) return null;
    return new Uint8Array(rowCount).fill(1, 0, this.dense);
  }

  /** Scratch arrays hold values of earlier requests, which must not get into this one's batch. */
  #clearAbsent(validity: Uint8Array): void {
    for (let row = 0; row < validity.length; row++) {
      if (validity[row] === 1) continue;
      if (this.type === typeDouble) this.doubles[row] = 0;
      else if (this.type === typeBoolean) this.booleans[row] = 0;
      else this.lanes.fill(0, row * 2, row * 2 + 2);
    }
  }

  #packStrings(rowCount: number, validity: Uint8Array | null): { offsets: Int32Array; bytes: Uint8Array } {
    const { spans, text } = this;
    const offsets = new Int32Array(rowCount + 1);
    let total = 0;
    for (let row = 0; row < rowCount; row++) {
      if (validity === null || validity[row] === 1) {
        total += (spans[row * 2 + 1] as number) - (spans[row * 2] as number);
      }
      offsets[row + 1] = total;
    }
    const bytes = new Uint8Array(total);
    for (let row = 0; row < rowCount; row++) {
      const at = offsets[row] as number;
      if (offsets[row + 1] === at) continue;
      bytes.set(text.subarray(spans[row * 2], spans[row * 2 + 1]), at);
    }
    return { offsets, bytes };
  }
}
