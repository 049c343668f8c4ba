import type { NodeId } from '../model/batch.js';
import { ownersOf } from './group-list.js';
import type { Database, GroupList, ShardGroup, Versioned } from './types.js';

/** What is asked of the catalog to tell who owns what is in flux. */
export interface GroupsInFlux {
  /** DatabaseCatalog. */
  readonly databases: { list(signal?: AbortSignal): Promise<readonly Database[]> };
  /** GroupCatalog. */
  readonly groups: { get(database: Database, signal?: AbortSignal): Promise<Versioned<GroupList>> };
}

/** How many groups each node owns that it has not released yet, over all databases; nodes that own none are left out. */
export async function countOwnedGroups(
  catalog: GroupsInFlux,
  signal?: AbortSignal,
): Promise<ReadonlyMap<NodeId, number>> {
  const counts = new Map<NodeId, number>();
  for (const database of await catalog.databases.list(signal)) {
    const { value: list } = await catalog.groups.get(database, signal);
    for (const group of list.groups) {
      for (const owner of holdersOf(group)) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
  }
  return counts;
}

/**
 * How many groups in flux still need the node, over all databases: it owns a shard that it has not released, or gave its
 * place to another that does not hold yet all that it holds.
 */
export async function countGroupsThatNeed(
  node: NodeId,
  catalog: GroupsInFlux,
  signal?: AbortSignal,
): Promise<number> {
  let count = 0;
  for (const database of await catalog.databases.list(signal)) {
    const { value: list } = await catalog.groups.get(database, signal);
    count += list.groups.filter(
      (group) =>
        holdersOf(group).includes(node) ||
        (group.state !== 'sealed' && group.shards.some(({ lost = [] }) => lost.includes(node))),
    ).length;
  }
  return count;
}

/** How many groups in flux lack a copy that counts: some owner is not live, or does not hold yet what others hold. */
export async function countGroupsShortOfCopies(
  live: readonly NodeId[],
  catalog: GroupsInFlux,
  signal?: AbortSignal,
): Promise<number> {
  let count = 0;
  for (const database of await catalog.databases.list(signal)) {
    const { value: list } = await catalog.groups.get(database, signal);
    count += list.groups.filter(
      (group) =>
        group.state !== 'sealed' &&
        group.sealedBatches === null &&
        group.shards.some(
          ({ owners, filling = [] }) => filling.length > 0 || owners.some((owner) => !live.includes(owner)),
        ),
    ).length;
  }
  return count;
}

/** Owners of the group that have not released it. */
function holdersOf(group: ShardGroup): readonly NodeId[] {
  return ownersOf(group).filter((owner) => !group.released.includes(owner));
}
