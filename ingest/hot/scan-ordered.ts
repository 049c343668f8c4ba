import type { HotGroup } from './hot-group.js';
import type { KeptOrders } from './kept-orders.js';
import { lookUpTimes, RowOrder } from './row-order.js';
import { collectingCost, collectRows, type RowRequest, sortRows } from './scan-rows.js';
import { orderSeries } from './scan-series.js';
import { noRowsHeld, type SortedRows } from './sorted-rows.js';
import { compareLanes, lanesOf, lanesOfTime } from './time-lanes.js';

/** Rows copied or looked up before other work may go first: a few milliseconds. */
const copiedAtOnce = 2 ** 18;
const lookedUpAtOnce = 2 ** 15;
/** Series looked up before other work may go first. */
const seriesAtOnce = 2 ** 14;

/** Orders of chunks and the group whose chunk is read. */
export interface OrdersOfGroup {
  readonly orders: KeptOrders;
  readonly group: HotGroup;
  /** Whether the hot tier holds the group still: what is kept of one that it has dropped nobody would let go of. */
  readonly isHeld: () => boolean;
}

/**
 * As collectRows, with the help of the order that was kept of the chunk: its rows are found by bisection, and only
 * those that have come since are looked for. Makes the order when that pays.
 */
export async function collectOrdered(
  request: RowRequest,
  { orders, group, isHeld }: OrdersOfGroup,
): Promise<SortedRows> {
  const { chunk, rowCount } = request;
  const order = orders.of(chunk);
  const isDue = orders.spend(chunk, collectingCost(request, order ?? noRowsHeld), rowCount);
  const whole = { ...request, series: everySeries(chunk.series.count), minTimeNs: null, maxTimeNs: null };
  const isWhole =
    request.series.length === whole.series.length && request.minTimeNs === null && request.maxTimeNs === null;
  // With an order to join to, the answer to such a request is the next one already.
  if (!isDue && !(isWhole && order !== undefined && order.rowCount < rowCount)) {
    if (order === undefined) return collectRows(request);
    const tail = order.rowCount === rowCount ? noRows : await collectRows(request, order);
    return joinTail(request, order, tail);
  }
  const rows = await collectRows(whole, order);
  const found = order === undefined ? rows : await joinTail(whole, order, rows);
  const next = new RowOrder(await withTimes(whole, found), rowCount);
  if (isHeld()) orders.keep(group, chunk, next);
  return joinTail(request, next, noRows);
}

function everySeries(count: number): Int32Array {
  const every = new Int32Array(count);
  for (let series = 0; series < count; series++) every[series] = series;
  return every;
}

const noRows: SortedRows = {
  series: new Int32Array(0),
  rows: new Int32Array(0),
  starts: new Int32Array(1),
  repeats: new Uint8Array(0),
  timesNs: null,
};

async function withTimes(
  { chunk, giveWay }: RowRequest,
  found: SortedRows,
): Promise<SortedRows & { readonly timesNs: BigInt64Array }> {
  const { timesNs: known, rows } = found;
  if (known !== null) return { ...found, timesNs: known };
  const timesNs = new BigInt64Array(rows.length);
  for (let from = 0; from < rows.length; from += lookedUpAtOnce) {
    lookUpTimes(chunk, rows, from, Math.min(rows.length, from + lookedUpAtOnce), timesNs);
    await giveWay();
  }
  return { ...found, timesNs };
}

/** The rows of one series: part of the order, then part of the tail; each may be empty. */
interface SeriesParts {
  readonly series: number;
  readonly place: number;
  readonly from: number;
  readonly to: number;
  readonly tailPlace: number;
  readonly tailFrom: number;
  readonly tailTo: number;
}

/** The rows of the request in the order, joined with those that have come since. */
async function joinTail(request: RowRequest, order: RowOrder, tail: SortedRows): Promise<SortedRows> {
  const { series, minTimeNs, maxTimeNs } = request;
  const hasTail = tail.rows.length > 0;
  if (!hasTail && series.length === order.found.series.length && minTimeNs === null && maxTimeNs === null) {
    // As many of them as there are: all of them, unless some have come since.
    if (series.every((each) => order.placeOf(each) >= 0)) return order.found;
  }
  const parts = await partsOf(request, order, tail);
  const count = parts.reduce((sum, { from, to, tailFrom, tailTo }) => sum + to - from + tailTo - tailFrom, 0);
  const joined = {
    series: Int32Array.from(parts, ({ series }) => series),
    rows: new Int32Array(count),
    starts: new Int32Array(parts.length + 1),
    repeats: new Uint8Array(parts.length),
    timesNs: new BigInt64Array(count),
  };
  let copied = 0;
  for (let index = 0; index < parts.length; index++) {
    // A series costs more than its few rows.
    copied += joinSeries(request, order, tail, parts[index]!, joined, index) + copiedAtOnce / seriesAtOnce;
    if (copied < copiedAtOnce) continue;
    copied = 0;
    await request.giveWay();
  }
  return joined;
}

type JoinedRows = SortedRows & { readonly timesNs: BigInt64Array };

/** Writes one series and how many rows it has. */
function joinSeries(
  { chunk }: RowRequest,
  { found }: RowOrder,
  tail: SortedRows,
  { place, from, to, tailPlace, tailFrom, tailTo }: SeriesParts,
  { rows, starts, repeats, timesNs }: JoinedRows,
  index: number,
): number {
  const start = starts[index]!;
  const middle = start + to - from;
  const end = middle + tailTo - tailFrom;
  starts[index + 1] = end;
  rows.set(found.rows.subarray(from, to), start);
  timesNs.set(found.timesNs.subarray(from, to), start);
  repeats[index] = (found.repeats[place] ?? 0) | (tail.repeats[tailPlace] ?? 0);
  if (end === middle) return end - start;
  rows.set(tail.rows.subarray(tailFrom, tailTo), middle);
  lookUpTimes(chunk, rows, middle, end, timesNs);
  if (middle > start && compareAt(lanesOf(timesNs), middle - 1, middle) >= 0) {
    // Late rows or points that came again: those of equal times stand in order of arrival now, as sorting wants them.
    if (sortRows(chunk, rows, start, end)) repeats[index] = 1;
    lookUpTimes(chunk, rows, start, end, timesNs);
  }
  return end - start;
}

/** The series that have rows, in order of their tag values. */
async function partsOf(
  { chunk, series: wanted, minTimeNs, maxTimeNs, giveWay }: RowRequest,
  order: RowOrder,
  tail: SortedRows,
): Promise<readonly SeriesParts[]> {
  const { found } = order;
  const lanes = lanesOf(found.timesNs);
  const tailPlaces = new Map<number, number>();
  tail.series.forEach((each, place) => {
    tailPlaces.set(each, place);
  });
  const series = tail.series.some((each) => order.placeOf(each) < 0)
    ? await orderSeries(
        chunk.series,
        wanted.filter((each) => order.placeOf(each) >= 0 || tailPlaces.has(each)),
        giveWay,
      )
    : inPlaces(order, wanted);
  const parts: SeriesParts[] = [];
  let looked = 0;
  for (const each of series) {
    const place = order.placeOf(each);
    const start = place < 0 ? 0 : found.starts[place]!;
    const end = place < 0 ? 0 : found.starts[place + 1]!;
    const from = minTimeNs === null ? start : firstAtLeast(lanes, start, end, minTimeNs);
    const to = maxTimeNs === null ? end : firstAfter(lanes, from, end, maxTimeNs);
    const tailPlace = tailPlaces.get(each) ?? -1;
    const tailFrom = tailPlace < 0 ? 0 : tail.starts[tailPlace]!;
    const tailTo = tailPlace < 0 ? 0 : tail.starts[tailPlace + 1]!;
    if (to > from || tailTo > tailFrom) {
      parts.push({ series: each, place, from, to, tailPlace, tailFrom, tailTo });
    }
    looked += 1;
    if (looked % seriesAtOnce === 0) await giveWay();
  }
  return parts;
}

/** Those of the wanted series that the order has, in its order. */
function inPlaces(order: RowOrder, wanted: Int32Array): Int32Array {
  const { series } = order.found;
  if (wanted.length === series.length && wanted.every((each) => order.placeOf(each) >= 0)) return series;
  return wanted
    .map((each) => order.placeOf(each))
    .filter((place) => place >= 0)
    .sort()
    .map((place) => series[place]!);
}

function compareAt(lanes: Int32Array, left: number, right: number): number {
  return compareLanes(lanes[left * 2]!, lanes[left * 2 + 1]!, lanes[right * 2]!, lanes[right * 2 + 1]!);
}

/** The first of the ascending times [from, to) that is not before the time, or `to`. */
function firstAtLeast(lanes: Int32Array, from: number, to: number, timeNs: bigint): number {
  const { low, high } = lanesOfTime(timeNs);
  let first = from;
  let end = to;
  while (first < end) {
    const middle = (first + end) >>> 1;
    if (compareLanes(lanes[middle * 2]!, lanes[middle * 2 + 1]!, low, high) < 0) first = middle + 1;
    else end = middle;
  }
  return first;
}

/** The first of the ascending times [from, to) that is after the time, or `to`. */
function firstAfter(lanes: Int32Array, from: number, to: number, timeNs: bigint): number {
  const { low, high } = lanesOfTime(timeNs);
  let first = from;
  let end = to;
  while (first < end) {
    const middle = (first + end) >>> 1;
    if (compareLanes(lanes[middle * 2]!, lanes[middle * 2 + 1]!, low, high) <= 0) first = middle + 1;
    else end = middle;
  }
  return first;
}
