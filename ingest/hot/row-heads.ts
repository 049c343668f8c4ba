import { blockCapacity, blockMask, blockShift, forEachBlock } from './blocks.js';
import { resize } from './growing-array.js';
import {
  type SeriesIndex,
  stateLastRow,
  stateRows,
  stateTimeHigh,
  stateTimeLow,
  stateWidth,
} from './series-index.js';
import { lanesOf, timeBounds } from './time-lanes.js';

/** Numbers a row in a block of heads. */
export const headWidth = 4;
/** Low lane of the row's time. */
export const headTimeLow = 0;
/** High lane of the row's time. */
export const headTimeHigh = 1;
/** Number of the row's series. */
export const headSeries = 2;
/** The row of that series that came before, or -1. */
export const headPrevious = 3;

/** The heads of up to 32,768 rows; the bounds let a scan pass over the block. */
export interface HeadBlock {
  heads: Int32Array;
  minNs: bigint;
  maxNs: bigint;
}

/** Time and series of every row of a chunk. Written rows never change and arrays are only replaced by longer copies. */
export class RowHeads {
  readonly blocks: HeadBlock[] = [];
  #rowCount = 0;
  #bytes = 0;

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Bytes that the arrays hold. */
  get bytes(): number {
    return this.#bytes;
  }

  timeLow(row: number): number {
    return this.blocks[row >>> blockShift]!.heads[(row & blockMask) * headWidth + headTimeLow]!;
  }

  timeHigh(row: number): number {
    return this.blocks[row >>> blockShift]!.heads[(row & blockMask) * headWidth + headTimeHigh]!;
  }

  /** The row of the same series that came before, or -1. */
  previous(row: number): number {
    return this.blocks[row >>> blockShift]!.heads[(row & blockMask) * headWidth + headPrevious]!;
  }

  /**
   * Appends rows and brings the state of their series up to date.
   *
   * @param series by row: index into `numbers`
   * @param numbers the series' numbers in the index
   */
  append(timesNs: BigInt64Array, series: Int32Array, numbers: Int32Array, index: SeriesIndex): void {
    const lanes = lanesOf(timesNs);
    forEachBlock(this.#rowCount, series.length, (number, offset, rows, done) => {
      const { minNs, maxNs } = timeBounds(lanes, done, done + rows);
      const block = this.#room(number, offset + rows, minNs);
      if (minNs < block.minNs) block.minNs = minNs;
      if (maxNs > block.maxNs) block.maxNs = maxNs;
      const firstRow = this.#rowCount + done;
      writeHeads(
        block.heads,
        offset,
        rows,
        firstRow,
        lanes,
        series,
        done,
        numbers,
        index.state,
        index.disordered,
      );
    });
    this.#rowCount += series.length;
  }

  #room(number: number, rows: number, timeNs: bigint): HeadBlock {
    const known = this.blocks[number];
    const capacity = blockCapacity(number, rows);
    if (known === undefined) {
      const block = { heads: new Int32Array(capacity * headWidth), minNs: timeNs, maxNs: timeNs };
      this.blocks[number] = block;
      this.#bytes += block.heads.byteLength;
      return block;
    }
    if (known.heads.length < rows * headWidth) {
      this.#bytes -= known.heads.byteLength;
      known.heads = resize(known.heads, capacity * headWidth);
      this.#bytes += known.heads.byteLength;
    }
    return known;
  }
}

/** Hot loop, hence the many plain parameters. */
function writeHeads(
  heads: Int32Array,
  offset: number,
  rows: number,
  firstRow: number,
  lanes: Int32Array,
  series: Int32Array,
  from: number,
  numbers: Int32Array,
  state: Int32Array,
  disordered: Uint8Array,
): void {
  for (let done = 0; done < rows; done++) {
    const number = numbers[series[from + done]!]!;
    const low = lanes[(from + done) * 2]!;
    const high = lanes[(from + done) * 2 + 1]!;
    const head = (offset + done) * headWidth;
    const at = number * stateWidth;
    heads[head + headTimeLow] = low;
    heads[head + headTimeHigh] = high;
    heads[head + headSeries] = number;
    heads[head + headPrevious] = state[at + stateLastRow]!;
    const newestHigh = state[at + stateTimeHigh]!;
    if (
      state[at + stateRows] === 0 ||
      high > newestHigh ||
      (high === newestHigh && low >>> 0 > state[at + stateTimeLow]! >>> 0)
    ) {
      state[at + stateTimeLow] = low;
      state[at + stateTimeHigh] = high;
    } else disordered[number] = 1;
    state[at + stateLastRow] = firstRow + done;
    state[at + stateRows] = state[at + stateRows]! + 1;
  }
}
