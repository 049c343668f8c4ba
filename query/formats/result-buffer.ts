import { isValid, type ResultChunk, type ResultColumn } from './result-chunk.js';

type TypedColumn = Exclude<ResultColumn, { readonly kind: 'text' | 'json' | 'decimal' }>;
type TypedValues = TypedColumn['values'];

/**
 * Gathers chunks into larger ones, for formats that write larger batches than the engine gives. A hot path: the engine
 * may give hundreds of small chunks, so each value is copied once, to where it stays; the memory is used again and
 * again.
 */
export class ResultBuffer {
  #columns: readonly ColumnBuffer[] | undefined;
  #rowCount = 0;

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Copies the chunk: the engine's memory is free again afterwards. */
  append(chunk: ResultChunk): void {
    if (chunk.rowCount === 0) return;
    this.#columns ??= chunk.columns.map(columnBuffer);
    for (let index = 0; index < chunk.columns.length; index++) {
      this.#columns[index]?.append(chunk.columns[index]!, this.#rowCount, chunk.rowCount);
    }
    this.#rowCount += chunk.rowCount;
  }

  /** All rows appended since the last call as one chunk, valid until the next append; undefined when there are none. */
  take(): ResultChunk | undefined {
    const rowCount = this.#rowCount;
    if (this.#columns === undefined || rowCount === 0) return undefined;
    this.#rowCount = 0;
    return { rowCount, columns: this.#columns.map((column) => column.take(rowCount)) };
  }
}

/** One column of the rows gathered. */
interface ColumnBuffer {
  /** Copies the rows to [at, at + count), which follow those there are. */
  append(column: ResultColumn, at: number, count: number): void;
  /** The first `count` rows; the next append begins anew. */
  take(count: number): ResultColumn;
}

function columnBuffer(column: ResultColumn): ColumnBuffer {
  switch (column.kind) {
    case 'text':
      return new TextBuffer();
    case 'json':
    case 'decimal':
      return new ListBuffer(column);
    default:
      return new TypedBuffer(column);
  }
}

/** Bits of rows that hold a value, from the first null on. */
class ValidityBuffer {
  #bits: Uint8Array = new Uint8Array(0);
  #hasNulls = false;

  append(validity: Uint8Array | null, at: number, count: number): void {
    if (validity === null && !this.#hasNulls) return;
    const bytes = (at + count + 7) >> 3;
    if (this.#bits.length < bytes) this.#bits = longer(this.#bits, bytes);
    if (!this.#hasNulls) setBits(this.#bits, 0, at);
    this.#hasNulls = true;
    if (validity === null) setBits(this.#bits, at, at + count);
    else copyBits(validity, this.#bits, at, count);
  }

  take(count: number): Uint8Array | null {
    if (!this.#hasNulls) return null;
    this.#hasNulls = false;
    const bits = this.#bits;
    // Given away: bits are set one by one, so the next ones begin with zeros.
    this.#bits = new Uint8Array(0);
    return bits.subarray(0, (count + 7) >> 3);
  }
}

class TypedBuffer implements ColumnBuffer {
  readonly #head: TypedColumn;
  readonly #validity = new ValidityBuffer();
  #values: TypedValues;

  constructor(head: TypedColumn) {
    // Not a slice: what comes may be a Buffer, whose slices are views of the engine's memory.
    this.#values = head.kind === 'boolean' ? new Uint8Array(0) : head.values.slice(0, 0);
    this.#head = { ...head, validity: null, values: this.#values } as TypedColumn;
  }

  append(column: ResultColumn, at: number, count: number): void {
    const values = column.values as TypedValues;
    if (this.#values.length < at + count) this.#values = longer(this.#values, at + count);
    this.#values.set(values.subarray(0, count) as never, at);
    this.#validity.append(column.validity, at, count);
  }

  take(count: number): ResultColumn {
    const values = this.#values.subarray(0, count);
    return { ...this.#head, validity: this.#validity.take(count), values } as ResultColumn;
  }
}

class ListBuffer implements ColumnBuffer {
  readonly #head: ResultColumn;
  readonly #validity = new ValidityBuffer();
  #values: (string | bigint)[] = [];

  constructor(head: ResultColumn) {
    this.#head = { ...head, validity: null, values: [] } as ResultColumn;
  }

  append(column: ResultColumn, at: number, count: number): void {
    const values = column.values as readonly (string | bigint)[];
    for (let row = 0; row < count; row++) this.#values.push(values[row]!);
    this.#validity.append(column.validity, at, count);
  }

  take(count: number): ResultColumn {
    const values = this.#values;
    this.#values = [];
    return { ...this.#head, validity: this.#validity.take(count), values } as ResultColumn;
  }
}

class TextBuffer implements ColumnBuffer {
  readonly #validity = new ValidityBuffer();
  #values: Int32Array = new Int32Array(0);
  #distinct: string[] = [];

  append(column: ResultColumn, at: number, count: number): void {
    if (column.kind !== 'text') throw new TypeError(`got a column of ${column.kind} behind one of text`);
    if (this.#values.length < at + count) this.#values = longer(this.#values, at + count);
    // A text that goes on from the chunk before is one with it.
    const joins = this.#distinct.length > 0 && this.#distinct.at(-1) === column.distinct[0];
    const before = this.#distinct.length - (joins ? 1 : 0);
    for (let row = 0; row < count; row++) this.#values[at + row] = before + column.values[row]!;
    for (let index = joins ? 1 : 0; index < column.distinct.length; index++) {
      this.#distinct.push(column.distinct[index]!);
    }
    this.#validity.append(column.validity, at, count);
  }

  take(count: number): ResultColumn {
    const distinct = this.#distinct;
    this.#distinct = [];
    const values = this.#values.subarray(0, count);
    return { kind: 'text', validity: this.#validity.take(count), values, distinct };
  }
}

/** A copy with room for `length` values, at least twice as many as now. */
function longer<Values extends TypedValues>(values: Values, length: number): Values {
  const Constructor = values.constructor as new (length: number) => Values;
  const copy = new Constructor(Math.max(length, values.length * 2));
  copy.set(values as never);
  return copy;
}

function setBits(bits: Uint8Array, from: number, to: number): void {
  for (let row = from; row < to; row++) bits[row >> 3]! |= 1 << (row & 7);
}

/** Hot loop: sets the bits from `at` on that are set in the first `count` of the source. */
function copyBits(source: Uint8Array, bits: Uint8Array, at: number, count: number): void {
  for (let row = 0; row < count; row++) {
    if (isValid(source, row)) bits[(at + row) >> 3]! |= 1 << ((at + row) & 7);
  }
}
