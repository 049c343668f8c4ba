import { ownersOf } from '../core/catalog/group-list.js';
import type { Database, ShardGroup } from '../core/catalog/types.js';
import type { Clock } from '../core/ports/clock.js';
import { errorMessage } from '../core/std/errors.js';
import type { CompactorCatalog } from './compactor-catalog.js';
import type { TruncatedGroup, TruncateReport } from './compactor-control.js';
import { type Hold, notFenced, stampOf } from './fencing.js';
import type { PeerLookup } from './seal/seal-group.js';

export interface TruncateTools {
  readonly catalog: CompactorCatalog;
  readonly peers: PeerLookup;
  readonly clock: Clock;
}

/**
 * Cuts off at now the open group of a database's current window, and tells its owners at once, so that nodes which
 * remember the group learn of the cut with their next write. An owner that does not answer is told again by sealing.
 * Throws `fenced` when another compactor has taken over.
 */
export async function truncateShards(
  database: Database,
  tools: TruncateTools,
  hold: Hold,
): Promise<TruncateReport> {
  const stamp = stampOf(tools.clock, hold);
  const answer = await tools.catalog.groups.truncate(database, stamp, hold.signal);
  const { groups } = notFenced(answer.outcome, `truncating the shards of "${database.name}"`, hold);
  const truncated = await Promise.all(groups.map((group) => tellOwners(database, group, tools, hold)));
  return { database: database.name, groups: truncated };
}

async function tellOwners(
  database: Database,
  group: ShardGroup,
  { peers }: TruncateTools,
  hold: Hold,
): Promise<TruncatedGroup> {
  const untold = await Promise.all(
    ownersOf(group).map(async (node) => {
      try {
        await peers(node).closeGroup(database.id, group.id, hold.signal);
        return [];
      } catch (error) {
        hold.signal.throwIfAborted();
        return [{ node, reason: errorMessage(error) }];
      }
    }),
  );
  const { id, startNs, endNs } = group;
  return { group: id, startNs, endNs, owners: ownersOf(group), untold: untold.flat() };
}
