import { blockShift } from './blocks.js';
import type { Chunk } from './chunk.js';
import type { HotColumn } from './hot-column.js';
import type { SortedRows } from './sorted-rows.js';

/** Rows of the chunk in the order of output, and the parts of it that lie in one block each. */
export interface RowSelection {
  readonly rows: Int32Array;
  /** Block, first place and end place of each part. */
  readonly parts: Int32Array;
}

/** The points of one record batch. */
export interface PointBatch extends RowSelection {
  /** Place in the scan, first output and end output of each run of points of one series. */
  readonly runs: Int32Array;
  /** Output, first and end in the scan's rows of each point that comes of several rows. */
  readonly merged: Int32Array;
  /** The points' times; null where they have yet to be looked up. */
  readonly timesNs: BigInt64Array | null;
}

/** Cuts the rows of a scan into batches of points: rows of one series and time become one. */
export class PointBatcher {
  readonly #chunk: Chunk;
  readonly #found: SortedRows;
  readonly #textColumns: readonly HotColumn[];
  readonly #pointsMax: number;
  readonly #textBytesMax: number;
  #place = 0;
  #at = 0;

  constructor(options: {
    readonly chunk: Chunk;
    readonly found: SortedRows;
    /** Columns of strings that are read: their text bounds a batch too. */
    readonly textColumns: readonly HotColumn[];
    readonly pointsMax: number;
    readonly textBytesMax: number;
  }) {
    this.#chunk = options.chunk;
    this.#found = options.found;
    this.#textColumns = options.textColumns;
    this.#pointsMax = options.pointsMax;
    this.#textBytesMax = options.textBytesMax;
  }

  /** Whether there are no more points. */
  get isDone(): boolean {
    return this.#at === this.#found.rows.length;
  }

  /** The next points, or null when there are no more. */
  next(): PointBatch | null {
    const { rows: found, starts, timesNs: foundTimes } = this.#found;
    if (this.#at === found.length) return null;
    const rows = new Int32Array(Math.min(this.#pointsMax, found.length - this.#at));
    const timesNs = foundTimes === null ? null : new BigInt64Array(rows.length);
    const runs: number[] = [];
    const merged: number[] = [];
    let count = 0;
    let textBytes = 0;
    while (count < rows.length && this.#at < found.length && textBytes < this.#textBytesMax) {
      while (this.#at === starts[this.#place + 1]!) this.#place += 1;
      const end = starts[this.#place + 1]!;
      const first = count;
      if (this.#textColumns.length === 0 && this.#found.repeats[this.#place] === 0) {
        const taken = Math.min(end - this.#at, rows.length - count);
        rows.set(found.subarray(this.#at, this.#at + taken), count);
        if (foundTimes !== null) timesNs?.set(foundTimes.subarray(this.#at, this.#at + taken), count);
        this.#at += taken;
        count += taken;
      } else {
        while (count < rows.length && this.#at < end && textBytes < this.#textBytesMax) {
          const from = this.#at;
          this.#at = this.#endOfPoint(from, end);
          if (this.#at - from > 1) merged.push(count, from, this.#at);
          if (timesNs !== null) timesNs[count] = foundTimes![from]!;
          rows[count++] = found[this.#at - 1]!;
          textBytes += this.#textBytes(from, this.#at);
        }
      }
      runs.push(this.#place, first, count);
    }
    return {
      ...selectRows(rows.subarray(0, count)),
      runs: Int32Array.from(runs),
      merged: Int32Array.from(merged),
      timesNs: timesNs?.subarray(0, count) ?? null,
    };
  }

  /** End of the rows that have the time of the row at `from`. */
  #endOfPoint(from: number, end: number): number {
    const { rows } = this.#found;
    const { heads } = this.#chunk;
    const low = heads.timeLow(rows[from]!);
    const high = heads.timeHigh(rows[from]!);
    let at = from + 1;
    while (at < end && heads.timeLow(rows[at]!) === low && heads.timeHigh(rows[at]!) === high) at += 1;
    return at;
  }

  /** Bytes of text that the rows of a point can bring. */
  #textBytes(from: number, to: number): number {
    let bytes = 0;
    for (const column of this.#textColumns) {
      for (let at = from; at < to; at++) {
        const row = this.#found.rows[at]!;
        if (column.has(row)) bytes += column.textBytesOf(row);
      }
    }
    return bytes;
  }
}

/**
 * Finds the parts of rows that lie in one block each. Parts come block after block, not in order of output, so that
 * what is gathered in a row lies together in the processor's caches. Hot loops.
 */
export function selectRows(rows: Int32Array): RowSelection {
  const firsts: number[] = [];
  const blocks: number[] = [];
  let blockCount = 0;
  for (let at = 0, previous = -1; at < rows.length; at++) {
    const block = rows[at]! >>> blockShift;
    if (block === previous) continue;
    previous = block;
    firsts.push(at);
    blocks.push(block);
    if (block >= blockCount) blockCount = block + 1;
  }
  const cursors = new Int32Array(blockCount + 1);
  for (const block of blocks) cursors[block + 1]! += 1;
  for (let block = 1; block <= blockCount; block++) cursors[block]! += cursors[block - 1]!;
  const parts = new Int32Array(blocks.length * 3);
  for (let part = 0; part < blocks.length; part++) {
    const block = blocks[part]!;
    const place = cursors[block]! * 3;
    cursors[block]! += 1;
    parts[place] = block;
    parts[place + 1] = firsts[part]!;
    parts[place + 2] = firsts[part + 1] ?? rows.length;
  }
  return { rows, parts };
}
