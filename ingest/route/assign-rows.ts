import type { TableRows } from '../../core/model/columns.js';
import { nsPerMs, type Window, windowOf } from '../../core/model/window.js';

/** Where a row belongs by its time alone: the index of one of the open windows, or before or after all of them. */
export const behind = -1;
/** The row's window begins later than the last window that may be open. */
export const ahead = -2;

/** How many windows beyond their deadline are looked for in the list of groups; the compactor is this far behind at most. */
const overdueWindowsMax = 64;

/**
 * The windows that may take rows at `nowMs`, oldest first: those whose deadline has not passed, up to the one after
 * the current, so that a producer whose clock runs a little fast is not late; and all from the one on that has the
 * oldest open group, for as long as it is open a group takes its rows, whatever the clock here says. Filed as late they
 * might be in a late group that closes before it, and yield to what was written before them.
 *
 * @param oldestOpenNs start of the oldest window that has an open group; null when there is none
 */
export function openWindows(
  nowMs: number,
  windowMs: number,
  graceMs: number,
  oldestOpenNs: bigint | null = null,
): Window[] {
  const nowNs = BigInt(Math.floor(nowMs)) * nsPerMs;
  const graceNs = BigInt(graceMs) * nsPerMs;
  const lengthNs = BigInt(windowMs) * nsPerMs;
  let startNs = windowOf(nowNs - graceNs, windowMs).startNs;
  if (startNs + lengthNs + graceNs <= nowNs) startNs += lengthNs;
  if (oldestOpenNs !== null && oldestOpenNs < startNs) {
    const earliestNs = startNs - BigInt(overdueWindowsMax) * lengthNs;
    startNs = windowOf(oldestOpenNs < earliestNs ? earliestNs : oldestOpenNs, windowMs).startNs;
  }
  const windows: Window[] = [];
  for (; startNs <= nowNs + lengthNs; startNs += lengthNs) {
    windows.push({ startNs, endNs: startNs + lengthNs });
  }
  return windows;
}

/**
 * For every row the index of its window in `windows` (which adjoin one another, oldest first), or `behind`, or
 * `ahead`; or one number when it is the same for all rows. Hot loop: exact comparisons of 32-bit lanes.
 */
export function assignRows(rows: TableRows, windows: readonly Window[]): number | Int32Array {
  // Boundaries between the regions: windows[0].start, …, windows[n-1].start, windows[n-1].end.
  const boundaries = new BigInt64Array([
    ...windows.map((window) => window.startNs),
    windows.at(-1)?.endNs ?? 0n,
  ]);
  const boundaryLow = new Uint32Array(boundaries.buffer);
  const boundaryHigh = new Int32Array(boundaries.buffer);
  const low = new Uint32Array(rows.timesNs.buffer, rows.timesNs.byteOffset, rows.rowCount * 2);
  const high = new Int32Array(rows.timesNs.buffer, rows.timesNs.byteOffset, rows.rowCount * 2);
  const last = boundaries.length - 1;
  let assigned: Int32Array | undefined;
  let first = 0;
  for (let row = 0; row < rows.rowCount; row++) {
    const rowHigh = high[row * 2 + 1] as number;
    const rowLow = low[row * 2] as number;
    let region = last;
    while (region >= 0) {
      const boundary = boundaryHigh[region * 2 + 1] as number;
      if (rowHigh > boundary || (rowHigh === boundary && rowLow >= (boundaryLow[region * 2] as number)))
        break;
      region--;
    }
    const target = region === last ? ahead : region;
    if (row === 0) first = target;
    if (assigned !== undefined) assigned[row] = target;
    else if (target !== first) {
      assigned = new Int32Array(rows.rowCount).fill(first, 0, row);
      assigned[row] = target;
    }
  }
  return assigned ?? first;
}
