import { ownersOf } from '../../core/catalog/group-list.js';
import { liveNodes } from '../../core/catalog/node-catalog.js';
import type { Database, NodeRecord, ShardGroup } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import { quorumOf } from '../../core/model/quorum.js';
import type { Clock } from '../../core/ports/clock.js';
import { errorMessage, isVarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import type { CompactorCatalog } from '../compactor-catalog.js';
import type { Hold } from '../fencing.js';
import type { PeerOf } from './group-survey.js';

export interface GoneNodesOptions {
  readonly catalog: Pick<CompactorCatalog, 'databases' | 'groups' | 'nodes'>;
  readonly peers: PeerOf;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A node that gave no heartbeat for so long is not live. */
  readonly nodeSilenceMs: number;
  /** An ephemeral node that was silent for so long, and cannot be reached either, is gone. */
  readonly ephemeralSilenceMs: number;
}

const lookEveryMs = 5000;

/**
 * Declares ephemeral nodes lost that died: nothing they held comes back, so nobody has to be asked whether to wait. Not
 * those whose heartbeats the catalog lacks and that answer, and not where fewer than a quorum of the other owners of some
 * shard live: what was acknowledged at quorum might be given up with them, and that decision stays an operator's.
 */
export class GoneNodes {
  readonly #options: GoneNodesOptions;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** Nodes that nobody may give up without an operator, as they were last told of. */
  #kept = '';

  constructor(options: GoneNodesOptions) {
    this.#options = options;
  }

  /** Looks at the nodes, every few seconds at most. Failures are logged, and it is tried again. */
  async round(hold: Hold): Promise<void> {
    const { catalog, clock, logger, ephemeralSilenceMs } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#lookedMs < lookEveryMs) return;
    this.#lookedMs = nowMs;
    try {
      const records = await catalog.nodes.list(hold.signal);
      const silent = records.filter(
        ({ state, ephemeral, heartbeatMs }) =>
          ephemeral === true &&
          (state === 'live' || state === 'draining') &&
          clock.nowMs() - heartbeatMs >= ephemeralSilenceMs,
      );
      if (silent.length > 0) await this.#judge(silent, records, hold);
    } catch (error) {
      hold.signal.throwIfAborted();
      if (!isVarveError(error)) throw error;
      logger.warn({ error: error.message }, 'could not look for nodes that are gone; it is tried again');
    }
  }

  async #judge(silent: readonly NodeRecord[], records: readonly NodeRecord[], hold: Hold): Promise<void> {
    const { catalog, clock, logger, nodeSilenceMs, ephemeralSilenceMs } = this.#options;
    const live = liveNodes(records, clock.nowMs(), nodeSilenceMs).map(({ node }) => node);
    const inFlux = await this.#groupsInFlux(hold);
    const kept: NodeId[] = [];
    for (const { node, heartbeatMs } of silent) {
      const owned = inFlux.filter(({ group }) => ownersOf(group).includes(node));
      if (owned.some(({ group }) => !restIsQuorum(group, node, live))) {
        kept.push(node);
        continue;
      }
      const [first] = owned;
      if (first !== undefined && (await this.#answers(node, first, hold))) continue;
      const record = await catalog.nodes.forget(node, hold.signal, ephemeralSilenceMs);
      if (record?.state !== 'lost') continue;
      const silentSeconds = (clock.nowMs() - heartbeatMs) / 1000;
      logger.warn(
        { node, silentSeconds, groups: owned.length },
        'an ephemeral node is gone, and so is its disk: declared lost, others take its place',
      );
    }
    this.#tellKept(kept);
  }

  /** Groups whose owners still count: what has been agreed on only waits to be let go. */
  async #groupsInFlux(hold: Hold): Promise<{ readonly database: Database; readonly group: ShardGroup }[]> {
    const { databases, groups } = this.#options.catalog;
    const found: { database: Database; group: ShardGroup }[] = [];
    for (const database of await databases.list(hold.signal)) {
      const { value: list } = await groups.get(database, hold.signal);
      for (const group of list.groups)
        if (group.state !== 'sealed' && group.sealedBatches === null) found.push({ database, group });
    }
    return found;
  }

  async #answers(
    node: NodeId,
    { database, group }: { readonly database: Database; readonly group: ShardGroup },
    hold: Hold,
  ): Promise<boolean> {
    try {
      await this.#options.peers(node).reportGroup(database.id, group.id, hold.signal);
      return true;
    } catch (error) {
      hold.signal.throwIfAborted();
      this.#options.logger.debug({ node, error: errorMessage(error) }, 'a silent node does not answer');
      return false;
    }
  }

  #tellKept(kept: readonly NodeId[]): void {
    const nodes = kept.join(', ');
    if (nodes !== '' && nodes !== this.#kept)
      this.#options.logger.error(
        { nodes: kept },
        'nodes are silent, and without them less than a quorum of some shard is left: what it acknowledged may be with them alone; `varve nodes forget` gives them up',
      );
    this.#kept = nodes;
  }
}

/** Whether the live owners but this one are a quorum of every shard that it owns, of those that are not being filled too. */
function restIsQuorum({ shards }: ShardGroup, node: NodeId, live: readonly NodeId[]): boolean {
  return shards.every(({ owners, filling = [] }) => {
    if (!owners.includes(node) || filling.includes(node)) return true;
    const rest = owners.filter((owner) => owner !== node && live.includes(owner) && !filling.includes(owner));
    return rest.length >= quorumOf(owners.length);
  });
}
