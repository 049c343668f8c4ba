import { blockMask, blockRows, blockShift } from './blocks.js';
import type { Chunk } from './chunk.js';
import { headSeries, headTimeHigh, headTimeLow, headWidth } from './row-heads.js';
import { orderSeries } from './scan-series.js';
import { stateLastRow, stateRows, stateWidth } from './series-index.js';
import { noRowsHeld, type RowsHeld, type SeriesRows, type SortedRows } from './sorted-rows.js';
import { compareLanes, lanesOfTime } from './time-lanes.js';

/** What to read of a chunk. */
export interface RowRequest {
  readonly chunk: Chunk;
  /** Rows of the chunk at the time of the call. */
  readonly rowCount: number;
  /** Numbers of the series, ascending. */
  readonly series: Int32Array;
  /** Inclusive bounds of time; null for none. */
  readonly minTimeNs: bigint | null;
  readonly maxTimeNs: bigint | null;
  /** Awaited after every few milliseconds of work. */
  readonly giveWay: () => Promise<void>;
}

/** One row read by way of the row before it costs about as much as so many read one after the other. */
const linkCost = 8;
/** More rows than this are not followed in one go: it would take more than a few milliseconds. */
const linkedMax = 65_536;

/** Blocks read, and rows of disordered series sorted, before other work may go first: a few milliseconds each. */
const blocksAtOnce = 16;
const sortedAtOnce = 32_768;

const minInt64 = -(2n ** 63n);
const maxInt64 = 2n ** 63n - 1n;

interface LaneBounds {
  readonly minLow: number;
  readonly minHigh: number;
  readonly maxLow: number;
  readonly maxHigh: number;
}

/**
 * Finds the rows of the series among those that the chunk has at the time of the call, those already `held` left out.
 * A few rows are followed from one to the next of their series; for many the chunk is read once through and sorted by
 * counting.
 */
export async function collectRows(
  request: RowRequest,
  held: RowsHeld = noRowsHeld,
): Promise<SortedRows & { readonly timesNs: null }> {
  const { chunk, giveWay } = request;
  const linked = linkedRows(request, held);
  const found = isFollowed(request, held)
    ? await followLinks(request, held, linked)
    : await sortByCounting(request, held);
  const repeats = new Uint8Array(found.series.length);
  let sorted = 0;
  for (let place = 0; place < found.series.length; place++) {
    if (chunk.series.disordered[found.series[place]!] === 0) continue;
    const end = found.starts[place + 1]!;
    if (sortRows(chunk, found.rows, found.starts[place]!, end)) repeats[place] = 1;
    sorted += end - found.starts[place]!;
    if (sorted < sortedAtOnce) continue;
    sorted = 0;
    await giveWay();
  }
  return { ...found, repeats, timesNs: null };
}

/** What collectRows costs, in rows read one after the other. To be asked where collectRows would be called. */
export function collectingCost(request: RowRequest, held: RowsHeld): number {
  return isFollowed(request, held) ? linkedRows(request, held) * linkCost : request.rowCount - held.rowCount;
}

function isFollowed(request: RowRequest, held: RowsHeld): boolean {
  const linked = linkedRows(request, held);
  return linked <= linkedMax && linked * linkCost < request.rowCount - held.rowCount;
}

function linkedRows({ chunk, series }: RowRequest, held: RowsHeld): number {
  const { state } = chunk.series;
  let linked = 0;
  for (const each of series) linked += state[each * stateWidth + stateRows]! - held.rowsOf(each);
  return linked;
}

function laneBounds({ minTimeNs, maxTimeNs }: RowRequest): LaneBounds {
  const min = lanesOfTime(minTimeNs ?? minInt64);
  const max = lanesOfTime(maxTimeNs ?? maxInt64);
  return { minLow: min.low, minHigh: min.high, maxLow: max.low, maxHigh: max.high };
}

async function followLinks(request: RowRequest, held: RowsHeld, rowsMax: number): Promise<SeriesRows> {
  const { heads, series: index } = request.chunk;
  const { state, disordered } = index;
  const bounds = laneBounds(request);
  const rows = new Int32Array(rowsMax);
  // By series, in the order of the request: where its rows end.
  const ends = new Map<number, { readonly from: number; readonly to: number }>();
  let count = 0;
  for (const each of request.series) {
    const from = count;
    const ordered = disordered[each] === 0;
    const last = state[each * stateWidth + stateLastRow]!;
    for (let row = last; row >= held.rowCount; row = heads.previous(row)) {
      const low = heads.timeLow(row);
      const high = heads.timeHigh(row);
      if (compareLanes(low, high, bounds.minLow, bounds.minHigh) < 0) {
        if (ordered) break;
        continue;
      }
      if (compareLanes(low, high, bounds.maxLow, bounds.maxHigh) <= 0) rows[count++] = row;
    }
    rows.subarray(from, count).reverse();
    if (count > from) ends.set(each, { from, to: count });
  }
  const series = await orderSeries(index, Int32Array.from(ends.keys()), request.giveWay);
  const ordered = new Int32Array(count);
  const starts = new Int32Array(series.length + 1);
  series.forEach((each, place) => {
    const { from, to } = ends.get(each)!;
    ordered.set(rows.subarray(from, to), starts[place]!);
    starts[place + 1] = starts[place]! + to - from;
  });
  return { series, rows: ordered, starts };
}

/** A block that has rows within the bounds. */
interface BlockPart {
  readonly heads: Int32Array;
  readonly firstRow: number;
  readonly rows: number;
  /** Null when all its rows are within. */
  readonly bounds: LaneBounds | null;
}

async function sortByCounting(request: RowRequest, held: RowsHeld): Promise<SeriesRows> {
  const { chunk, giveWay } = request;
  const blocks = blocksWithin(request, held.rowCount);
  const counts = await countBySeries(request, held, blocks);
  const series = await orderSeries(
    chunk.series,
    request.series.filter((each) => counts[each]! > 0),
    giveWay,
  );
  const starts = new Int32Array(series.length + 1);
  // By series: where its next row goes, or -1 for one that is not read.
  const cursors = new Int32Array(counts.length).fill(-1);
  series.forEach((each, place) => {
    cursors[each] = starts[place]!;
    starts[place + 1] = starts[place]! + counts[each]!;
  });
  const rows = new Int32Array(starts[series.length]!);
  await visitBlocks(blocks, giveWay, (block) =>
    placeRows(block.heads, block.rows, block.firstRow, block.bounds, cursors, rows),
  );
  return { series, rows, starts };
}

/** By number of series: its rows within the bounds. What is counted of series that are not read does not matter. */
async function countBySeries(
  request: RowRequest,
  held: RowsHeld,
  blocks: readonly BlockPart[],
): Promise<Int32Array> {
  const { chunk, minTimeNs, maxTimeNs, giveWay } = request;
  const counts = new Int32Array(chunk.series.count);
  if (minTimeNs !== null || maxTimeNs !== null) {
    await visitBlocks(blocks, giveWay, (block) => countRows(block.heads, block.rows, block.bounds, counts));
    return counts;
  }
  const { state } = chunk.series;
  for (let each = 0; each < counts.length; each++) {
    counts[each] = state[each * stateWidth + stateRows]! - held.rowsOf(each);
  }
  return counts;
}

/** The blocks, or what of them lies behind `from`, that have rows within the bounds. */
function blocksWithin(request: RowRequest, from: number): BlockPart[] {
  const { chunk, rowCount, minTimeNs, maxTimeNs } = request;
  const lanes = laneBounds(request);
  const firstBlock = from >>> blockShift;
  return chunk.heads.blocks.slice(firstBlock).flatMap(({ heads, minNs, maxNs }, index) => {
    if ((minTimeNs !== null && maxNs < minTimeNs) || (maxTimeNs !== null && minNs > maxTimeNs)) return [];
    const within = (minTimeNs === null || minNs >= minTimeNs) && (maxTimeNs === null || maxNs <= maxTimeNs);
    const skipped = index === 0 ? from & blockMask : 0;
    const firstRow = (firstBlock + index) * blockRows + skipped;
    const rows = Math.min(blockRows - skipped, rowCount - firstRow);
    return [{ heads: heads.subarray(skipped * headWidth), firstRow, rows, bounds: within ? null : lanes }];
  });
}

async function visitBlocks(
  blocks: readonly BlockPart[],
  giveWay: () => Promise<void>,
  visit: (block: BlockPart) => void,
): Promise<void> {
  for (let at = 0; at < blocks.length; at++) {
    visit(blocks[at]!);
    if (at % blocksAtOnce === blocksAtOnce - 1) await giveWay();
  }
}

/** Hot loop: counts the rows by series. */
function countRows(heads: Int32Array, rowCount: number, bounds: LaneBounds | null, counts: Int32Array): void {
  for (let at = 0; at < rowCount * headWidth; at += headWidth) {
    if (bounds !== null && !isWithin(heads[at + headTimeLow]!, heads[at + headTimeHigh]!, bounds)) continue;
    const series = heads[at + headSeries]!;
    counts[series] = counts[series]! + 1;
  }
}

/** Hot loop: writes the rows where the cursors of their series are. */
function placeRows(
  heads: Int32Array,
  rowCount: number,
  firstRow: number,
  bounds: LaneBounds | null,
  cursors: Int32Array,
  rows: Int32Array,
): void {
  for (let row = 0, at = 0; row < rowCount; row++, at += headWidth) {
    const series = heads[at + headSeries]!;
    const cursor = cursors[series]!;
    if (cursor < 0) continue;
    if (bounds !== null && !isWithin(heads[at + headTimeLow]!, heads[at + headTimeHigh]!, bounds)) continue;
    rows[cursor] = firstRow + row;
    cursors[series] = cursor + 1;
  }
}

function isWithin(low: number, high: number, bounds: LaneBounds): boolean {
  return (
    compareLanes(low, high, bounds.minLow, bounds.minHigh) >= 0 &&
    compareLanes(low, high, bounds.maxLow, bounds.maxHigh) <= 0
  );
}

/**
 * Sorts the rows [from, to) of one series, which come in order of arrival, by time and then by precedence; tells whether
 * some have the same time. Batches that came out of order make runs, so what is in order already is not moved.
 */
export function sortRows(chunk: Chunk, rows: Int32Array, from: number, to: number): boolean {
  const times = new Int32Array((to - from) * 2);
  const order = new Int32Array(to - from);
  for (let at = 0; at < order.length; at++) {
    order[at] = at;
    times[at * 2] = chunk.heads.timeLow(rows[from + at]!);
    times[at * 2 + 1] = chunk.heads.timeHigh(rows[from + at]!);
  }
  const segment = rows.slice(from, to);
  // Arrival is precedence while batches came in its order, and the sort is stable.
  const byArrival = chunk.log.ascending;
  mergeSort(order, 0, order.length, new Int32Array(order.length), (left, right) => {
    const byTime = compareTimes(times, left, right);
    if (byTime !== 0 || byArrival) return byTime;
    return chunk.comparePrecedence(segment[left]!, segment[right]!);
  });
  let repeats = false;
  for (let at = 0; at < order.length; at++) {
    rows[from + at] = segment[order[at]!]!;
    if (at > 0 && compareTimes(times, order[at - 1]!, order[at]!) === 0) repeats = true;
  }
  return repeats;
}

function compareTimes(times: Int32Array, left: number, right: number): number {
  return compareLanes(times[left * 2]!, times[left * 2 + 1]!, times[right * 2]!, times[right * 2 + 1]!);
}

/** Stable; linear where the values are in order, and by runs of them where they are nearly so. */
function mergeSort(
  values: Int32Array,
  from: number,
  to: number,
  spare: Int32Array,
  compare: (left: number, right: number) => number,
): void {
  let sorted = from + 1;
  while (sorted < to && compare(values[sorted - 1]!, values[sorted]!) <= 0) sorted += 1;
  if (sorted >= to) return;
  const middle = Math.max((from + to) >>> 1, Math.min(sorted, to - 1));
  if (sorted < middle) mergeSort(values, from, middle, spare, compare);
  mergeSort(values, middle, to, spare, compare);
  if (compare(values[middle - 1]!, values[middle]!) <= 0) return;
  spare.set(values.subarray(from, middle), from);
  let left = from;
  let right = middle;
  let out = from;
  while (left < middle && right < to) {
    values[out++] = compare(spare[left]!, values[right]!) <= 0 ? spare[left++]! : values[right++]!;
  }
  while (left < middle) values[out++] = spare[left++]!;
}
