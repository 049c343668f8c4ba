import type { GroupId, NodeId } from '../model/batch.js';
import { assignOwners } from './assign-owners.js';
import { mapGroups } from './group-list.js';
import type { GroupList, ShardGroup, ShardOwners } from './types.js';

/** Which nodes are lost or hand over, and which may take their place. */
export interface OwnerReplacement {
  /** Id of the database, for the choice of owners. */
  readonly databaseId: string;
  readonly lost: readonly NodeId[];
  readonly live: readonly NodeId[];
  /** Owners that a shard should have. */
  readonly replication: number;
}

/** A shard that got another owner, or one more. */
export interface ReplacedOwner {
  readonly group: GroupId;
  readonly shard: number;
  /** Null where the shard had too few owners, because too few nodes lived when its group was made. */
  readonly lost: NodeId | null;
  readonly by: NodeId;
}

export interface ReplaceOutcome {
  readonly kind: 'replaced';
  readonly replaced: readonly ReplacedOwner[];
}

/**
 * Puts live nodes in the place of lost owners in what is open or closing and not agreed on yet: the ones that
 * rendezvous hashing would choose. They begin as `filling`. A lost owner for whom no node is left stays, so that the
 * shard goes on to demand its replication factor; a later round finds a node. Open groups that were made while too few
 * nodes lived get the owners they lack in the same way.
 */
export function replaceLostOwners(
  list: GroupList,
  replacement: OwnerReplacement,
): { readonly list: GroupList | undefined; readonly outcome: ReplaceOutcome } {
  const replaced: ReplacedOwner[] = [];
  const next = mapGroups(list, (group) => {
    if (group.state === 'sealed' || group.sealedBatches !== null) return group;
    const before = replaced.length;
    const shards = group.shards.map((shard, number) =>
      completeShard(
        replaceInShard(shard, { group: group.id, shard: number }, replacement, replaced),
        { group: group.id, shard: number },
        group.state === 'open' ? replacement : { ...replacement, replication: 0 },
        replaced,
      ),
    );
    return replaced.length === before ? group : { ...group, shards };
  });
  return { list: replaced.length === 0 ? undefined : next, outcome: { kind: 'replaced', replaced } };
}

/** An owner that holds all of its shard now. */
export interface FilledOwner {
  readonly shard: number;
  readonly node: NodeId;
  /** Former owners that were asked: all that they hold is with the new owner, so nothing of theirs is missing. */
  readonly heard?: readonly NodeId[];
}

/** The list in which the owner counts like any other; undefined when it did already. */
export function withFilledOwner(
  list: GroupList,
  id: GroupId,
  { shard, node, heard = [] }: FilledOwner,
): GroupList | undefined {
  const isFilling = (group: ShardGroup): boolean =>
    group.id === id && group.shards[shard]?.filling?.includes(node) === true;
  if (!list.groups.some(isFilling)) return undefined;
  return mapGroups(list, (group) => {
    if (!isFilling(group)) return group;
    const shards = group.shards.map((owners, number) =>
      number === shard ? withoutLost(withoutFilling(owners, node), heard) : owners,
    );
    return { ...group, shards };
  });
}

function replaceInShard(
  shard: ShardOwners,
  address: { readonly group: GroupId; readonly shard: number },
  { databaseId, lost, live }: OwnerReplacement,
  replaced: ReplacedOwner[],
): ShardOwners {
  let next = shard;
  for (const gone of shard.owners.filter((owner) => lost.includes(owner))) {
    const candidates = live.filter((node) => !next.owners.includes(node) && !lost.includes(node));
    const [by] = assignOwners(databaseId, address.group, address.shard, candidates, 1);
    if (by === undefined) break;
    const stillFilling = (next.filling ?? []).filter((node) => node !== gone);
    next = {
      owners: next.owners.map((owner) => (owner === gone ? by : owner)),
      filling: [...stillFilling, by],
      lost: [...(next.lost ?? []).filter((node) => node !== by), gone],
    };
    replaced.push({ ...address, lost: gone, by });
  }
  return next;
}

/** The shard with as many owners as it should have, as far as there are nodes. */
function completeShard(
  shard: ShardOwners,
  address: { readonly group: GroupId; readonly shard: number },
  { databaseId, lost, live, replication }: OwnerReplacement,
  replaced: ReplacedOwner[],
): ShardOwners {
  const lacking = replication - shard.owners.length;
  if (lacking <= 0) return shard;
  const candidates = live.filter((node) => !shard.owners.includes(node) && !lost.includes(node));
  const added = assignOwners(databaseId, address.group, address.shard, candidates, lacking);
  if (added.length === 0) return shard;
  for (const by of added) replaced.push({ ...address, lost: null, by });
  return {
    ...shard,
    owners: [...shard.owners, ...added],
    filling: [...(shard.filling ?? []), ...added],
  };
}

function withoutLost({ lost = [], ...rest }: ShardOwners, heard: readonly NodeId[]): ShardOwners {
  const left = lost.filter((former) => !heard.includes(former));
  return left.length === 0 ? rest : { ...rest, lost: left };
}

function withoutFilling({ filling = [], ...rest }: ShardOwners, node: NodeId): ShardOwners {
  const left = filling.filter((other) => other !== node);
  return left.length === 0 ? rest : { ...rest, filling: left };
}
