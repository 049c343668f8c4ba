import { liveNodes } from '../../core/catalog/node-catalog.js';
import { subtractSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { Database, GroupList, NodeRecord, ShardGroup } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import { quorumOf } from '../../core/model/quorum.js';
import type { Clock } from '../../core/ports/clock.js';
import type { Logger } from '../../core/std/logger.js';
import type { CompactorCatalog } from '../compactor-catalog.js';
import { type Hold, notFenced, stampOf } from '../fencing.js';
import type { CompactorMetrics } from '../metrics.js';
import { bringUpToDate, heldBy, shardUnion } from './catch-up-orders.js';
import { type GroupSurvey, nodesOf, type PeerOf, surveyGroup } from './group-survey.js';

export interface LostOwnersOptions {
  readonly catalog: Pick<CompactorCatalog, 'groups' | 'nodes'>;
  readonly peers: PeerOf;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CompactorMetrics;
  readonly nodeSilenceMs: number;
}

/** Nodes are declared lost by people: that is seen soon enough so. */
const readNodesEveryMs = 5000;
/** Filling may wait for nodes that do not answer; it must not keep from sealing round after round. */
const fillEveryMs = 5000;

/**
 * Restores redundancy in what is in flux: other nodes take the place of lost owners and of those that hand over, join where a group was made while
 * too few nodes lived, and are filled.
 */
export class LostOwners {
  readonly #options: LostOwnersOptions;
  readonly #filledMs = new Map<string, number>();
  #nodes: { readonly records: readonly NodeRecord[]; readonly readMs: number } | undefined;

  constructor(options: LostOwnersOptions) {
    this.#options = options;
  }

  /** Replaces owners that are lost by now and goes on filling those that took the place of some. */
  async round(database: Database, list: GroupList, hold: Hold): Promise<void> {
    let current = list;
    let records = await this.#records(hold);
    if (this.#lacksOwners(database, list, records)) {
      // A node that began to leave since they were read must not be given anything: it may be gone at any moment.
      this.#nodes = undefined;
      records = await this.#records(hold);
      if (this.#lacksOwners(database, list, records)) current = await this.#replace(database, records, hold);
    }
    const filling = current.groups.filter(
      (group) => isInFlux(group) && group.shards.some((shard) => shard.filling !== undefined),
    );
    const { clock, metrics } = this.#options;
    if (filling.length === 0) {
      this.#filledMs.delete(database.id);
      metrics.filling(database.name, 0);
    } else if (
      clock.monotonicMs() - (this.#filledMs.get(database.id) ?? Number.NEGATIVE_INFINITY) >=
      fillEveryMs
    ) {
      let left = 0;
      for (const group of filling) left += await this.#fill(database, group, records, hold);
      metrics.filling(database.name, left);
      this.#filledMs.set(database.id, clock.monotonicMs());
    }
  }

  async #records(hold: Hold): Promise<readonly NodeRecord[]> {
    const { catalog, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#nodes === undefined || nowMs - this.#nodes.readMs >= readNodesEveryMs) {
      this.#nodes = { records: await catalog.nodes.list(hold.signal), readMs: nowMs };
    }
    return this.#nodes.records;
  }

  #live(records: readonly NodeRecord[]): readonly NodeId[] {
    const { clock, nodeSilenceMs } = this.#options;
    return liveNodes(records, clock.nowMs(), nodeSilenceMs).map(({ node }) => node);
  }

  /** Whether a lost owner might give way, or a shard get one more. */
  #lacksOwners({ replication }: Database, list: GroupList, records: readonly NodeRecord[]): boolean {
    const lost = goingNodes(records);
    const live = this.#live(records);
    return list.groups.some(
      (group) =>
        isInFlux(group) &&
        (owns(group, lost) || (group.state === 'open' && mayGrow(group, replication, live))),
    );
  }

  async #replace(database: Database, records: readonly NodeRecord[], hold: Hold): Promise<GroupList> {
    const { catalog, clock, logger, metrics } = this.#options;
    const { id: databaseId, replication } = database;
    const replacement = { databaseId, lost: goingNodes(records), live: this.#live(records), replication };
    const stamp = stampOf(clock, hold);
    const answer = await catalog.groups.replaceLost(database, replacement, stamp, hold.signal);
    const { replaced } = notFenced(answer.outcome, `replacing lost owners of "${database.name}"`, hold);
    for (const change of replaced) {
      metrics.ownerReplaced(database.name);
      logger.warn(
        { database: database.name, ...change },
        change.lost === null
          ? 'a shard that had too few owners got one more'
          : 'an owner of a shard that is lost or hands over gave way to another node',
      );
    }
    return answer.list.value;
  }

  /**
   * An owner counts once it holds what a quorum's worth of the owners that count hold together.
   *
   * @returns shards with an owner that does not count yet
   */
  async #fill(
    database: Database,
    group: ShardGroup,
    records: readonly NodeRecord[],
    hold: Hold,
  ): Promise<number> {
    const { catalog, clock, peers, logger, nodeSilenceMs } = this.#options;
    let left = 0;
    const nodes = nodesOf(group, records, clock.nowMs(), nodeSilenceMs);
    const survey = await surveyGroup(database.id, group, nodes, peers, { close: false, signal: hold.signal });
    const { fetched, failures } = await bringUpToDate(database.id, group, survey, peers, hold.signal);
    const about = { database: database.name, group: group.id };
    if (failures.length > 0) logger.warn({ ...about, failures }, 'could not fill a new owner yet');
    for (const [shard, { filling = [], lost = [] }] of group.shards.entries()) {
      // Those that handed over and still live; of one that is lost nothing is heard.
      const givers = lost.filter((former) => nodes.others.includes(former));
      const areHeard = givers.every((former) => survey.reports.has(former));
      const filled = areHeard ? filling.filter((node) => isFilled(group, shard, node, survey)) : [];
      if (filled.length < filling.length) left++;
      for (const node of filled) {
        const stamp = stampOf(clock, hold);
        const owner = { shard, node, heard: givers };
        const answer = await catalog.groups.filled(database, group.id, owner, stamp, hold.signal);
        notFenced(answer.outcome, `noting that an owner of group ${group.id} is filled`, hold);
        logger.info({ ...about, shard, node, fetched }, 'a new owner holds what the others hold');
      }
    }
    return left;
  }
}

/** Whether owners may still be exchanged: what has been agreed on is only waiting to be let go. */
function isInFlux(group: ShardGroup): boolean {
  return group.state !== 'sealed' && group.sealedBatches === null;
}

/** Nodes that take no batches any more: lost ones, and those that hand over. */
function goingNodes(records: readonly NodeRecord[]): readonly NodeId[] {
  return records
    .filter(({ state, handsOver }) => state === 'lost' || (state === 'draining' && handsOver === true))
    .map(({ node }) => node);
}

function owns(group: ShardGroup, nodes: readonly NodeId[]): boolean {
  return group.shards.some(({ owners }) => owners.some((owner) => nodes.includes(owner)));
}

/** Whether a shard has fewer owners than it should have, and a node lives that could join them. */
function mayGrow(group: ShardGroup, replication: number, live: readonly NodeId[]): boolean {
  return group.shards.some(
    ({ owners }) => owners.length < replication && live.some((node) => !owners.includes(node)),
  );
}

function isFilled(group: ShardGroup, shard: number, node: NodeId, { reports, nodes }: GroupSurvey): boolean {
  const { owners, filling = [] } = group.shards[shard] ?? { owners: [] };
  const counting = owners.filter((owner) => !filling.includes(owner) && !nodes.lost.includes(owner));
  const heard = counting.filter((owner) => reports.has(owner)).length;
  if (heard < Math.min(quorumOf(owners.length), counting.length) || !reports.has(node)) return false;
  const union = shardUnion(shard, reports.values());
  return subtractSequenceRanges(union, heldBy(reports.get(node), shard)).length === 0;
}
