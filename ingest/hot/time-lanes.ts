import { dayOf, nsPerDay } from '../../core/model/window.js';

/**
 * Times in nanoseconds read as pairs of 32-bit lanes (low unsigned, high signed), because a BigInt a row would cost
 * more than everything else that is done with the row. Hot loops.
 */

/** The lanes of a column of times; time i is lanes[2 i] (low) and lanes[2 i + 1] (high). */
export function lanesOf(timesNs: BigInt64Array): Int32Array {
  return new Int32Array(timesNs.buffer, timesNs.byteOffset, timesNs.length * 2);
}

/** The time of two lanes. */
export function timeOfLanes(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** Low and high lane of a time. */
export function lanesOfTime(timeNs: bigint): { readonly low: number; readonly high: number } {
  return { low: Number(BigInt.asIntN(32, timeNs)), high: Number(timeNs >> 32n) };
}

/** Orders two times by their lanes. */
export function compareLanes(lowA: number, highA: number, lowB: number, highB: number): number {
  return highA !== highB ? highA - highB : (lowA >>> 0) - (lowB >>> 0);
}

/** Smallest and greatest of the times [from, to), which must not be empty. */
export function timeBounds(
  lanes: Int32Array,
  from: number,
  to: number,
): { readonly minNs: bigint; readonly maxNs: bigint } {
  let minLow = lanes[from * 2]!;
  let minHigh = lanes[from * 2 + 1]!;
  let maxLow = minLow;
  let maxHigh = minHigh;
  for (let at = from * 2 + 2; at < to * 2; at += 2) {
    const low = lanes[at]!;
    const high = lanes[at + 1]!;
    if (high < minHigh || (high === minHigh && low >>> 0 < minLow >>> 0)) {
      minLow = low;
      minHigh = high;
    } else if (high > maxHigh || (high === maxHigh && low >>> 0 > maxLow >>> 0)) {
      maxLow = low;
      maxHigh = high;
    }
  }
  return { minNs: timeOfLanes(minLow, minHigh), maxNs: timeOfLanes(maxLow, maxHigh) };
}

/** Whether some time of [from, to) is no whole number of microseconds; 2^32 is 296 modulo 1000. */
export function hasBelowMicrosecond(lanes: Int32Array, from: number, to: number): boolean {
  for (let at = from * 2; at < to * 2; at += 2) {
    if (((lanes[at + 1]! % 1000) * 296 + ((lanes[at]! >>> 0) % 1000)) % 1000 !== 0) return true;
  }
  return false;
}

/** Adds the number of times [from, to) that lie in each day since the epoch to `rowsByDay`. */
export function countDays(lanes: Int32Array, from: number, to: number, rowsByDay: Map<number, number>): void {
  const { minNs, maxNs } = timeBounds(lanes, from, to);
  const firstDay = dayOf(minNs);
  if (firstDay === dayOf(maxNs)) {
    rowsByDay.set(firstDay, (rowsByDay.get(firstDay) ?? 0) + to - from);
    return;
  }
  const dayNs = Number(nsPerDay);
  let day = firstDay;
  let count = 0;
  for (let at = from * 2; at < to * 2; at += 2) {
    // A double is off by less than 1,024 ns here, so the day is certain unless the time is that near to midnight.
    const days = (lanes[at + 1]! * 4294967296 + (lanes[at]! >>> 0)) / dayNs;
    let rowDay = Math.floor(days);
    const fraction = days - rowDay;
    if (fraction < 1e-9 || fraction > 1 - 1e-9) rowDay = dayOf(timeOfLanes(lanes[at]!, lanes[at + 1]!));
    if (rowDay !== day) {
      if (count > 0) rowsByDay.set(day, (rowsByDay.get(day) ?? 0) + count);
      day = rowDay;
      count = 0;
    }
    count += 1;
  }
  rowsByDay.set(day, (rowsByDay.get(day) ?? 0) + count);
}
