import type { Database, ShardGroup } from '../core/catalog/types.js';
import type { ConflictList, ConflictReader } from '../core/ports/conflict-reader.js';
import type { HotReadOptions } from '../core/ports/hot-reader.js';
import { isVarveError } from '../core/std/errors.js';
import { joinConflicts } from './hot/join-conflicts.js';

/** Rows of varve.conflicts in one answer: some megabytes. */
export const conflictsMax = 10_000;

export interface GatherConflictsOptions {
  readonly reader: ConflictReader;
  readonly database: Database;
  /** Everything in the list of groups, read now. */
  readonly groups: readonly ShardGroup[];
  readonly read: HotReadOptions;
  readonly signal: AbortSignal;
}

/**
 * The rows of varve.conflicts: of every group that is in flux, the latest first, then what is remembered of those that
 * are not. `moved` when a group was sealed and dropped meanwhile: the list of groups must be read again.
 */
export async function gatherConflicts(options: GatherConflictsOptions): Promise<ConflictList | 'moved'> {
  const { reader, database, signal } = options;
  const lists: ConflictList[] = [];
  let left = conflictsMax;
  try {
    // One after the other, so that what is held at a time stays within the bound.
    for (const group of options.groups.toReversed()) {
      if (left === 0) break;
      const list = await conflictsOf(group, left, options);
      lists.push(list);
      left -= list.conflicts.length;
    }
    // After the groups: what was dropped since is remembered by then.
    const kept = await reader.keptConflicts({ database: database.id, conflictsMax }, signal);
    const all = joinConflicts([...lists, kept], conflictsMax);
    return { ...all, isCut: all.isCut || lists.length < options.groups.length };
  } catch (error) {
    if (isVarveError(error, 'not-found')) return 'moved';
    throw error;
  }
}

async function conflictsOf(
  { id, shards, state }: ShardGroup,
  conflictsLeft: number,
  { reader, database, read, signal }: GatherConflictsOptions,
): Promise<ConflictList> {
  const request = { database: database.id, group: id, conflictsMax: conflictsLeft, shards };
  if (state !== 'sealed') return reader.conflicts({ ...request, read }, signal);
  // History holds it; an owner that has dropped it remembers.
  try {
    const lenient: HotReadOptions = { consistency: 'one', onIncomplete: () => {} };
    return await reader.conflicts({ ...request, read: lenient }, signal);
  } catch (error) {
    if (isVarveError(error, 'not-found')) return { conflicts: [], isCut: false };
    throw error;
  }
}
