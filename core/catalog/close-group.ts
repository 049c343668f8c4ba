import type { GroupId } from '../model/batch.js';
import { floorTo } from '../model/window.js';
import { type GroupSettings, mapGroups, msToNs } from './group-list.js';
import { compareGroupPrecedence } from './group-precedence.js';
import type { GroupList } from './types.js';

/**
 * Moves those of the groups that are open to closing and gives each the next close sequence. Order within one step:
 * ahead groups, then window groups by time, then late groups. A late group takes the open ahead group with it:
 * what was written for a time to come is older than what was written for the same time when it was past.
 */
export function closeGroups(list: GroupList, ids: readonly GroupId[], nowMs: number): GroupList {
  const wanted = list.groups.filter((group) => group.state === 'open' && ids.includes(group.id));
  const ahead = list.groups.filter(
    (group) => group.state === 'open' && group.kind === 'ahead' && !wanted.includes(group),
  );
  const closing = wanted.some((group) => group.kind === 'late') ? [...ahead, ...wanted] : wanted;
  if (closing.length === 0) return list;
  const order = [...closing].sort(compareGroupPrecedence);
  const closed = mapGroups(list, (group) => {
    const position = order.indexOf(group);
    if (position < 0) return group;
    return { ...group, state: 'closing', closeSequence: list.nextCloseSequence + position, closedMs: nowMs };
  });
  return { ...closed, nextCloseSequence: list.nextCloseSequence + order.length };
}

/** Closes the open groups whose time has come. */
export function closeDueGroups(list: GroupList, nowMs: number): GroupList {
  const due = list.groups.filter((group) => group.state === 'open' && group.closeAfterMs <= nowMs);
  return closeGroups(
    list,
    due.map((group) => group.id),
    nowMs,
  );
}

/**
 * Closes, before their time, the open groups of windows that end at or before `beforeNs`, and all late and ahead
 * groups. Windows that have ended by then and have no group are given up, so that the watermark can pass them;
 * windows that have not ended by the clock are not.
 */
export function closeThrough(
  list: GroupList,
  database: GroupSettings,
  beforeNs: bigint,
  nowMs: number,
): GroupList {
  const lengthNs = msToNs(database.windowMs);
  const endedNs = floorTo(msToNs(nowMs), lengthNs);
  const throughNs = minimum(floorTo(beforeNs, lengthNs), endedNs);
  const ids = list.groups
    .filter((group) => group.endNs === null || group.endNs <= beforeNs)
    .map((group) => group.id);
  const closed = closeGroups(list, ids, nowMs);
  return throughNs > closed.openFromNs ? { ...closed, openFromNs: throughNs } : closed;
}

function minimum(left: bigint, right: bigint): bigint {
  return left < right ? left : right;
}
