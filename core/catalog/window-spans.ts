import type { Window } from '../model/window.js';
import { floorTo, windowOf } from '../model/window.js';
import { msToNs } from './group-list.js';
import type { GroupList } from './types.js';

/**
 * Instants within windows at which rows go elsewhere, ascending: where a group was cut off (docs/adr/0007). None, as a
 * rule: all other bounds are those of windows.
 */
export function cutsWithinWindows(list: GroupList, windowMs: number): readonly bigint[] {
  const lengthNs = msToNs(windowMs);
  const cuts = new Set<bigint>();
  const note = (timeNs: bigint | null): void => {
    if (timeNs !== null && floorTo(timeNs, lengthNs) !== timeNs) cuts.add(timeNs);
  };
  note(list.openFromNs);
  for (const group of list.groups) {
    note(group.startNs);
    note(group.endNs);
  }
  return [...cuts].sort((left, right) => (left < right ? -1 : 1));
}

/** The windows, which adjoin one another, parted at the cuts: all rows of a span have one place. */
export function spansOf(windows: readonly Window[], cuts: readonly bigint[]): readonly Window[] {
  if (cuts.length === 0) return windows;
  return windows.flatMap((window) => {
    const within = cuts.filter((cut) => window.startNs < cut && cut < window.endNs);
    const bounds = [window.startNs, ...within, window.endNs];
    return within.length === 0
      ? [window]
      : bounds.slice(1).map((endNs, index) => ({ startNs: bounds[index] ?? window.startNs, endNs }));
  });
}

/** The span around an instant whose rows all have one place by this list: its window, or a part of it. */
export function spanAt(list: GroupList, windowMs: number, timeNs: bigint): Window {
  const window = windowOf(timeNs, windowMs);
  const spans = spansOf([window], cutsWithinWindows(list, windowMs));
  return spans.find((span) => span.startNs <= timeNs && timeNs < span.endNs) ?? window;
}

/** Whether two spans have the same bounds. */
export function isSameSpan(left: Window, right: Window): boolean {
  return left.startNs === right.startNs && left.endNs === right.endNs;
}
