import type { NodeRecord } from '../core/catalog/types.js';
import type { NodeId } from '../core/model/batch.js';
import type { Clock } from '../core/ports/clock.js';
import { errorMessage, isVarveError, VarveError } from '../core/std/errors.js';
import type { Logger } from '../core/std/logger.js';

export interface ClusterViewOptions {
  /** This node. */
  readonly node: NodeId;
  /** NodeCatalog. */
  readonly nodes: { list(signal?: AbortSignal): Promise<readonly NodeRecord[]> };
  /** Asks a node for a sign of life. */
  readonly ping: (node: NodeId, signal: AbortSignal) => Promise<void>;
  /** Whether what was sent to the node failed lately. */
  readonly isSuspected: (node: NodeId) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often the catalog is read and the others are asked for a sign of life. */
  readonly intervalMs: number;
  /** A node that noted no heartbeat for so long owns nothing new. */
  readonly silenceMsMax: number;
}

/** How another node looks from here. */
export interface NodeSighting {
  readonly record: NodeRecord;
  /** Its heartbeats come. */
  readonly isHeard: boolean;
  /** It answers this node; only then what is sent to it has a chance. */
  readonly isReached: boolean;
}

/** A change that others may want to act upon. */
export type ClusterChange =
  /** A node can be reached again, or was started anew. */
  | { readonly kind: 'returned'; readonly node: NodeId }
  /** A node was declared lost: others own what it owned. */
  | { readonly kind: 'lost'; readonly node: NodeId };

interface Sighting {
  record: NodeRecord;
  /** When its last heartbeat was first seen, by the monotonic clock here: clocks of nodes may differ. */
  heardAtMs: number;
  /** As of the last look: while the catalog is out of reach nobody falls silent. */
  isHeard: boolean;
  isReached: boolean;
  /** Its last answer was that it does not take the secret of this node. */
  refusesSecret: boolean;
}

const pingMsMax = 2000;

/**
 * The ingest nodes as this one sees them: who is registered, whose heartbeats come, who answers. New groups get their
 * owners from here. What stands in the catalog is the same for all nodes; that a node cannot be reached from here is
 * this node's own experience, so it makes others preferred but never a group smaller.
 */
export class ClusterView {
  readonly #options: ClusterViewOptions;
  readonly #stopping = new AbortController();
  readonly #listeners: ((change: ClusterChange) => void)[] = [];
  readonly #sightings = new Map<NodeId, Sighting>();
  #looks = 0;
  #lastLook = 0;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: ClusterViewOptions) {
    this.#options = options;
  }

  /** Reads the catalog once, then again and again. Errors: what the catalog answers the first time. */
  async start(): Promise<void> {
    await this.refresh(this.#stopping.signal);
    this.#loop = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** Calls back at every change, until the process ends. */
  onChange(listener: (change: ClusterChange) => void): void {
    this.#listeners.push(listener);
  }

  /** Every other node that is part of the cluster, by name. */
  others(): NodeSighting[] {
    return [...this.#sightings.values()]
      .filter(
        ({ record: { node, state } }) => node !== this.#options.node && state !== 'lost' && state !== 'left',
      )
      .map((sighting) => ({
        record: sighting.record,
        isHeard: sighting.isHeard,
        isReached: this.#isReached(sighting),
      }));
  }

  /**
   * What is wrong with this node, for /ready: that all others refuse its secret. Where only some do, one of those has
   * another secret, and says so itself.
   */
  problems(): string[] {
    const heard = [...this.#sightings.values()].filter(
      ({ record, isHeard }) => isHeard && record.node !== this.#options.node && record.address !== null,
    );
    if (heard.length === 0 || !heard.every(({ refusesSecret }) => refusesSecret)) return [];
    const nodes = heard.map(({ record }) => record.node).join(', ');
    return [
      `the secret of node ${this.#options.node} was refused by ${nodes}; want the same --cluster-secret-file for every process`,
    ];
  }

  /**
   * Nodes to choose the owners of a new group from: those that live, and where these are fewer than wanted also some
   * that cannot be reached from here but whose heartbeats come. Errors: `unavailable` when there is none.
   */
  async ownerCandidates(wanted: number): Promise<readonly NodeId[]> {
    // A node that has just joined shall be chosen now: later it would have to be filled.
    await this.refresh();
    const live = [...this.#sightings.values()].filter(
      (sighting) => sighting.record.state === 'live' && sighting.isHeard,
    );
    const reached = live.filter((sighting) => this.#isReached(sighting));
    const doubtful = live.filter((sighting) => !this.#isReached(sighting));
    const chosen = [...reached, ...doubtful.slice(0, Math.max(0, wanted - reached.length))];
    if (chosen.length > 0) return chosen.map(({ record }) => record.node);
    throw new VarveError(
      'unavailable',
      'choosing owners for a new group: no node of the cluster is live and not draining; want one at least',
      { retryAfterSeconds: 5 },
    );
  }

  /** Reads who there is. */
  async refresh(signal?: AbortSignal): Promise<void> {
    this.#looks += 1;
    const look = this.#looks;
    const records = await this.#options.nodes.list(signal);
    // Of two looks at once the one that began later has the last word.
    if (look < this.#lastLook) return;
    this.#lastLook = look;
    for (const record of records) this.#see(record);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, intervalMs, logger } = this.#options;
    while (!signal.aborted) {
      await this.#pingOthers(signal);
      await clock.sleep(intervalMs, signal).catch(() => {});
      if (signal.aborted) return;
      await this.refresh(signal).catch((error: unknown) => {
        if (!signal.aborted) logger.warn({ error: errorMessage(error) }, 'could not read the list of nodes');
      });
    }
  }

  #see(record: NodeRecord): void {
    const { clock, node, logger, silenceMsMax } = this.#options;
    const nowMs = clock.monotonicMs();
    const known = this.#sightings.get(record.node);
    if (known === undefined) {
      // Seen for the first time there is nothing to compare with but the wall clock.
      const silentMs = Math.max(0, clock.nowMs() - record.heartbeatMs);
      const isHeard = record.node === node || silentMs <= silenceMsMax;
      this.#sightings.set(record.node, {
        record,
        heardAtMs: nowMs - silentMs,
        isHeard,
        isReached: true,
        refusesSecret: false,
      });
      return;
    }
    const before = known.record;
    const wasHeard = known.isHeard;
    known.record = record;
    if (record.heartbeatMs !== before.heartbeatMs || record.epoch !== before.epoch) known.heardAtMs = nowMs;
    known.isHeard = record.node === node || nowMs - known.heardAtMs <= silenceMsMax;
    if (record.node === node) return;
    if (wasHeard && !known.isHeard)
      logger.warn({ node: record.node }, 'a node is silent: it owns nothing new');
    if (record.epoch !== before.epoch || (known.isHeard && !wasHeard)) {
      logger.info({ node: record.node, epoch: record.epoch }, 'a node is back');
      this.#tell({ kind: 'returned', node: record.node });
    }
    if (record.state === 'lost' && before.state !== 'lost') {
      logger.warn({ node: record.node }, 'a node was declared lost');
      this.#tell({ kind: 'lost', node: record.node });
    }
  }

  async #pingOthers(signal: AbortSignal): Promise<void> {
    const others = this.others().filter(({ record, isHeard }) => isHeard && record.address !== null);
    await Promise.all(others.map(({ record }) => this.#ping(record.node, signal)));
  }

  async #ping(node: NodeId, signal: AbortSignal): Promise<void> {
    const { clock, ping, logger } = this.#options;
    const sighting = this.#sightings.get(node);
    if (sighting === undefined) return;
    const answered = new AbortController();
    const late = new AbortController();
    const timer = clock.sleep(pingMsMax, answered.signal).then(
      () => late.abort(new VarveError('timeout', `no sign of life within ${pingMsMax} ms`)),
      () => {},
    );
    const wasReached = sighting.isReached;
    try {
      await ping(node, AbortSignal.any([signal, late.signal]));
      sighting.isReached = true;
      sighting.refusesSecret = false;
      if (!wasReached) {
        logger.info({ node }, 'a node answers again');
        this.#tell({ kind: 'returned', node });
      }
    } catch (error) {
      if (signal.aborted) return;
      sighting.isReached = false;
      sighting.refusesSecret = isVarveError(error) && isVarveError(error.cause, 'unauthenticated');
      if (wasReached) logger.warn({ node, error: errorMessage(error) }, 'a node does not answer');
    } finally {
      answered.abort();
      await timer;
    }
  }

  #isReached({ record, isReached }: Sighting): boolean {
    return record.node === this.#options.node || (isReached && !this.#options.isSuspected(record.node));
  }

  #tell(change: ClusterChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
