import type { ConflictList, FieldConflict } from '../../core/ports/conflict-reader.js';

/** Several lists as one, in their order, each conflict once: several owners remember the same group. */
export function joinConflicts(lists: readonly ConflictList[], conflictsMax: number): ConflictList {
  const conflicts = new Map<string, FieldConflict>();
  for (const conflict of lists.flatMap((list) => list.conflicts)) {
    const { group, shard, table, tags, timeNs, field } = conflict;
    const key = JSON.stringify([group, shard, table, tags, `${timeNs}`, field]);
    if (!conflicts.has(key)) conflicts.set(key, conflict);
  }
  return {
    conflicts: [...conflicts.values()].slice(0, conflictsMax),
    isCut: conflicts.size > conflictsMax || lists.some((list) => list.isCut),
  };
}
