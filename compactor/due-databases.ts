import type { GroupList } from '../core/catalog/types.js';
import type { Clock } from '../core/ports/clock.js';
import type { CompactorCatalog } from './compactor-catalog.js';
import type { Hold } from './fencing.js';

/** Names of the databases with a group that is closing or due. */
export async function dueDatabases(
  { catalog, clock }: { readonly catalog: CompactorCatalog; readonly clock: Clock },
  hold: Hold,
): Promise<readonly string[]> {
  const due: string[] = [];
  for (const database of await catalog.databases.list(hold.signal)) {
    const { groups } = (await catalog.groups.get(database, hold.signal)).value;
    const nowMs = clock.nowMs();
    const isDue = groups.some(
      ({ state, closeAfterMs }) => state === 'closing' || (state === 'open' && closeAfterMs <= nowMs),
    );
    if (isDue) due.push(database.name);
  }
  return due;
}

/** Whether the list calls for a look within `soonMs`: something is closing, has no fixed end, or is due soon. */
export function hasWork(list: GroupList, nowMs: number, soonMs: number): boolean {
  return list.groups.some((group) => {
    if (group.state === 'closing') return true;
    if (group.state === 'sealed') return group.released.length === 0;
    return group.kind !== 'window' || group.closeAfterMs <= nowMs + soonMs;
  });
}
