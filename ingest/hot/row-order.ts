import { blockMask, blockShift } from './blocks.js';
import type { Chunk } from './chunk.js';
import { headTimeHigh, headTimeLow, headWidth } from './row-heads.js';
import type { RowsHeld, SortedRows } from './sorted-rows.js';
import { lanesOf } from './time-lanes.js';

/** Bytes of an order a row: its number and its time. */
const rowBytes = 12;
/** Bytes of an order a series: its number, start and place, and whether times repeat. */
const seriesBytes = 13;

/**
 * All rows of a chunk below `rowCount` in the order of scans, with their times: what a scan would find without bounds.
 * Rows never change, so it stays true; what has come since is looked up and joined to it. Never written to.
 */
export class RowOrder implements RowsHeld {
  readonly found: SortedRows & { readonly timesNs: BigInt64Array };
  readonly rowCount: number;
  /** By number of series: its place, or -1. */
  readonly #places: Int32Array;

  constructor(found: SortedRows & { readonly timesNs: BigInt64Array }, rowCount: number) {
    this.found = found;
    this.rowCount = rowCount;
    const { series } = found;
    this.#places = new Int32Array(series.reduce((most, each) => Math.max(most, each + 1), 0)).fill(-1);
    for (let place = 0; place < series.length; place++) this.#places[series[place]!] = place;
  }

  /** Bytes that the arrays hold. */
  get bytes(): number {
    return this.found.rows.length * rowBytes + this.found.series.length * seriesBytes;
  }

  /** Place of the series of this number, or -1 where it has no rows here. */
  placeOf(series: number): number {
    return this.#places[series] ?? -1;
  }

  rowsOf(series: number): number {
    const place = this.placeOf(series);
    return place < 0 ? 0 : this.found.starts[place + 1]! - this.found.starts[place]!;
  }
}

/** Writes the times of rows [from, to) to the same places of `timesNs`. Hot loop. */
export function lookUpTimes(
  { heads }: Chunk,
  rows: Int32Array,
  from: number,
  to: number,
  timesNs: BigInt64Array,
): void {
  const lanes = lanesOf(timesNs);
  const { blocks } = heads;
  for (let at = from; at < to; at++) {
    const row = rows[at]!;
    const block = blocks[row >>> blockShift]!.heads;
    const head = (row & blockMask) * headWidth;
    lanes[at * 2] = block[head + headTimeLow]!;
    lanes[at * 2 + 1] = block[head + headTimeHigh]!;
  }
}
