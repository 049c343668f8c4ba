import type { FieldType } from '../../../core/model/columns.js';
import type { DecodedTable } from '../../write-contract.js';
import { ColumnBuilder, fieldTypes } from './column-builder.js';
import type { RequestSchema } from './request-schema.js';
import type { RowMemory } from './row-memory.js';
import type { SeriesInterner } from './series-interner.js';

const firstCapacity = 16;
const noWords = new Int32Array(0);

/**
 * The rows of one table while a request is decoded. The row being written is `rowCount`; it counts once the hot
 * loop adds one to it. Until then `rollBack` takes back all that its line brought.
 */
export class TableBuilder {
  readonly table: string;
  readonly schema: RequestSchema;
  rowCount = 0;
  capacity = 0;
  readonly columns: ColumnBuilder[] = [];
  readonly #columnIndexes = new Map<string, number>();
  /** By row: series as an index into seriesIds. */
  series: Int32Array<ArrayBuffer> = noWords;
  /** By row: nanoseconds since the epoch as two words, low word first. */
  times: Int32Array<ArrayBuffer> = noWords;
  lineNumbers: Int32Array<ArrayBuffer> = noWords;
  /** The interner's ids of the series that occur, in order of appearance. */
  readonly seriesIds: number[] = [];
  readonly #memory: RowMemory;

  constructor(table: string, schema: RequestSchema, memory: RowMemory) {
    this.table = table;
    this.schema = schema;
    this.#memory = memory;
    this.grow();
  }

  /** Doubles the room for rows. */
  grow(): void {
    const capacity = Math.max(firstCapacity, this.capacity * 2);
    this.series = this.#memory.words(this.series, capacity);
    this.times = this.#memory.words(this.times, capacity * 2);
    this.lineNumbers = this.#memory.words(this.lineNumbers, capacity);
    for (const column of this.columns) column.grow(capacity);
    this.capacity = capacity;
  }

  /** The index of the column, or -1 when no accepted line of the request had it yet. */
  columnIndex(name: string): number {
    return this.#columnIndexes.get(name) ?? -1;
  }

  /** Adds a column that the schema has admitted; `prefix` is its name and `=` as they stand on the line. */
  addColumn(name: string, prefix: Uint8Array, type: number): number {
    const index = this.columns.push(new ColumnBuilder(name, prefix, type, this.capacity, this.#memory)) - 1;
    this.#columnIndexes.set(name, index);
    return index;
  }

  /** Takes back the row being written and the columns added since there were `columnCount`. */
  rollBack(columnCount: number): void {
    for (const column of this.columns.splice(columnCount)) {
      this.#columnIndexes.delete(column.name);
      column.release();
    }
    for (const column of this.columns) column.unmark(this.rowCount);
  }

  typeOf(index: number): FieldType {
    return fieldTypes[this.columns[index]?.type ?? 0] ?? 'double';
  }

  /** The rows in arrays of exact size, or undefined when there are none. Builders are of no use afterwards. */
  finish(interner: SeriesInterner): DecodedTable | undefined {
    const { rowCount } = this;
    const decoded = rowCount === 0 ? undefined : this.#build(interner, rowCount);
    this.#memory.giveBack(this.series);
    this.#memory.giveBack(this.times);
    this.#memory.giveBack(this.lineNumbers);
    for (const column of this.columns) column.release();
    return decoded;
  }

  #build(interner: SeriesInterner, rowCount: number): DecodedTable {
    this.#memory.charge(rowCount * (16 + this.columns.length * 8));
    return {
      rows: {
        table: this.table,
        rowCount,
        seriesKeys: this.#packKeys(interner),
        series: this.series.slice(0, rowCount),
        timesNs: new BigInt64Array(this.times.buffer.slice(0, rowCount * 8)),
        fields: this.columns.map((column) => column.finish(rowCount)),
      },
      lineNumbers: this.lineNumbers.slice(0, rowCount),
    };
  }

  #packKeys(interner: SeriesInterner): { offsets: Int32Array; bytes: Uint8Array } {
    const offsets = new Int32Array(this.seriesIds.length + 1);
    let total = 0;
    this.seriesIds.forEach((series, index) => {
      total += interner.keyLength(series);
      offsets[index + 1] = total;
    });
    const bytes = new Uint8Array(total);
    let at = 0;
    for (const series of this.seriesIds) at = interner.copyKey(series, bytes, at);
    return { offsets, bytes };
  }
}
