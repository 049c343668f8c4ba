import type { NodeId } from '../../core/model/batch.js';
import type { TableRows } from '../../core/model/columns.js';
import type { ChunkReport } from '../../core/ports/peer.js';
import { assert } from '../../core/std/assert.js';
import type { BatchLog } from './batch-log.js';
import { grow } from './growing-array.js';
import { HotColumn } from './hot-column.js';
import { RowHeads } from './row-heads.js';
import { SeriesIndex } from './series-index.js';
import { countDays, hasBelowMicrosecond, lanesOf, timeBounds } from './time-lanes.js';

/** What the objects of a chunk and of each of its columns take beside their arrays, as measured with 20,000 tiny tables. */
const chunkBytes = 3072;
const columnBytes = 640;

/** Numbers a run: its first row, and its batch's number in the shard's log. */
const runWidth = 2;

/**
 * The rows of one table in one shard of a group. Rows are numbered in the order they came and never change: a scan
 * works on the rows there were when it began, without a lock and whatever is appended meanwhile.
 */
export class Chunk {
  readonly table: string;
  readonly shard: number;
  readonly log: BatchLog;
  readonly series = new SeriesIndex();
  readonly heads = new RowHeads();
  readonly #columns = new Map<string, HotColumn>();
  readonly #rowsByDay = new Map<number, number>();
  #runs = new Int32Array(2 * runWidth);
  #runCount = 0;
  #minTimeNs = 0n;
  #maxTimeNs = 0n;
  #hasTimeNs = false;
  #bytesTaken = 0;

  constructor(table: string, shard: number, log: BatchLog) {
    this.table = table;
    this.shard = shard;
    this.log = log;
  }

  get rowCount(): number {
    return this.heads.rowCount;
  }

  /** Least time; 0 while the chunk is empty. */
  get minTimeNs(): bigint {
    return this.#minTimeNs;
  }

  /** Greatest time; 0 while the chunk is empty. */
  get maxTimeNs(): bigint {
    return this.#maxTimeNs;
  }

  /** Bytes that the chunk holds. */
  get bytes(): number {
    let bytes = chunkBytes + this.series.bytes + this.heads.bytes + this.#runs.byteLength;
    for (const column of this.#columns.values()) bytes += columnBytes + column.bytes;
    return bytes;
  }

  /** Bytes that the chunk holds more than when this was last asked; what scans keep is found at the next batch. */
  takeGrowth(): number {
    const growth = this.bytes - this.#bytesTaken;
    this.#bytesTaken += growth;
    return growth;
  }

  column(name: string): HotColumn | undefined {
    return this.#columns.get(name);
  }

  /** The fields that some row has, in the order they came. */
  columns(): HotColumn[] {
    return [...this.#columns.values()];
  }

  /** The node that took the write of a row. */
  originOf(row: number): NodeId {
    return this.log.originOf(this.#batchOf(row));
  }

  /** Fails where a column of the rows has another type here; the catalog lets no such rows through. */
  checkTypes(rows: TableRows): void {
    for (const field of rows.fields) {
      const known = this.#columns.get(field.name);
      assert(
        known === undefined || known.type === field.type,
        `applying rows of table "${this.table}": field "${field.name}" got type ${field.type}; want ${known?.type} as in the chunk`,
      );
    }
  }

  /** Appends rows, of which there is at least one, that came with the batch of the given number. */
  append(rows: TableRows, batch: number): void {
    const { rowCount, timesNs } = rows;
    const first = this.rowCount;
    this.#takeTimes(timesNs, first === 0);
    for (const field of rows.fields) this.#columnOf(field.name, field.type).append(field, first, rowCount);
    this.#addRun(first, batch);
    this.heads.append(timesNs, rows.series, this.series.intern(rows.seriesKeys), this.series);
  }

  /** Order of precedence of two rows of the chunk; negative when left is older. */
  comparePrecedence(left: number, right: number): number {
    return this.log.comparePrecedence(this.#batchOf(left), this.#batchOf(right)) || left - right;
  }

  /** Statistics as other rooms see them. */
  report(): ChunkReport {
    return {
      table: this.table,
      shard: this.shard,
      rows: this.rowCount,
      seriesCount: this.series.count,
      minTimeNs: this.#minTimeNs,
      maxTimeNs: this.#maxTimeNs,
      rowsByDay: [...this.#rowsByDay]
        .map(([day, rows]) => ({ day, rows }))
        .sort((left, right) => left.day - right.day),
      hasTimeNs: this.#hasTimeNs,
    };
  }

  #takeTimes(timesNs: BigInt64Array, isFirst: boolean): void {
    const lanes = lanesOf(timesNs);
    const { minNs, maxNs } = timeBounds(lanes, 0, timesNs.length);
    if (isFirst || minNs < this.#minTimeNs) this.#minTimeNs = minNs;
    if (isFirst || maxNs > this.#maxTimeNs) this.#maxTimeNs = maxNs;
    this.#hasTimeNs ||= hasBelowMicrosecond(lanes, 0, timesNs.length);
    countDays(lanes, 0, timesNs.length, this.#rowsByDay);
  }

  #columnOf(name: string, type: HotColumn['type']): HotColumn {
    const known = this.#columns.get(name);
    if (known !== undefined) return known;
    const column = new HotColumn(name, type);
    this.#columns.set(name, column);
    return column;
  }

  #addRun(first: number, batch: number): void {
    if (this.#runCount * runWidth === this.#runs.length) this.#runs = grow(this.#runs, 0);
    this.#runs[this.#runCount * runWidth] = first;
    this.#runs[this.#runCount * runWidth + 1] = batch;
    this.#runCount += 1;
  }

  /** Number of the batch that a row came with. */
  #batchOf(row: number): number {
    let low = 0;
    let high = this.#runCount;
    while (low + 1 < high) {
      const middle = (low + high) >>> 1;
      if (this.#runs[middle * runWidth]! <= row) low = middle;
      else high = middle;
    }
    return this.#runs[low * runWidth + 1]!;
  }
}
