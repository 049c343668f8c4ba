import { closeGroups } from './close-group.js';
import { mapGroups, msToNs } from './group-list.js';
import type { GroupList } from './types.js';

/**
 * Cuts off at now the open group of the window that contains now: the group ends there and closes at once. Rows from
 * the cut on get a group of their own, with the owners that are live when the first of them comes; rows before it
 * that come later are late. A list without such a group is given back as it is. See docs/adr/0007.
 */
export function truncateGroups(list: GroupList, nowMs: number): GroupList {
  const cutNs = msToNs(nowMs);
  const current = list.groups.find(
    ({ state, startNs, endNs }) =>
      state === 'open' && startNs !== null && endNs !== null && startNs < cutNs && cutNs < endNs,
  );
  if (current === undefined) return list;
  const cut = mapGroups(list, (group) => (group.id === current.id ? { ...group, endNs: cutNs } : group));
  const closed = closeGroups(cut, [current.id], nowMs);
  return cutNs > closed.openFromNs ? { ...closed, openFromNs: cutNs } : closed;
}
