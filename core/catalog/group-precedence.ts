import type { GroupKind, ShardGroup } from './types.js';

/** Of groups that close in one step the lower ones close first; of open groups the higher ones win. */
const kindOrder: Readonly<Record<GroupKind, number>> = { ahead: 0, window: 1, late: 2 };

/**
 * Orders groups by the precedence of their values, lowest first: what is sealed or closing by close sequence, then
 * what is open: ahead, window, late. Values of settled files yield to those of any group that is not in them.
 *
 * The order of open groups is the one in which they close, should they hold the same time: rows of an ahead group
 * were written before their window could be opened, rows of the late group after it was closed or given up.
 */
export function compareGroupPrecedence(left: ShardGroup, right: ShardGroup): number {
  const leftSequence = left.closeSequence ?? Number.POSITIVE_INFINITY;
  const rightSequence = right.closeSequence ?? Number.POSITIVE_INFINITY;
  if (leftSequence !== rightSequence) return leftSequence - rightSequence;
  if (left.kind !== right.kind) return kindOrder[left.kind] - kindOrder[right.kind];
  if (left.startNs !== null && right.startNs !== null) {
    return left.startNs < right.startNs ? -1 : left.startNs > right.startNs ? 1 : 0;
  }
  return left.id < right.id ? -1 : left.id > right.id ? 1 : 0;
}
