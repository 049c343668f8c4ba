import { normalizeSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { SequenceRange } from '../../core/catalog/types.js';
import type { BatchId, EncodedBatch, GroupId, NodeId, ShardAddress } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { Disk } from '../../core/ports/disk.js';
import type { Peer, ShardHoldings } from '../../core/ports/peer.js';
import type { Random } from '../../core/ports/random.js';
import { errorMessage, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { BatchLog } from '../hot/batch-log.js';
import { groupKey, type IngestCatalog } from '../ingest-catalog.js';
import type { HintSink } from '../replicate/hint-sink.js';
import type { HintedBatches } from '../replicate/hinted-batches.js';
import { LogThrottle } from '../replicate/log-throttle.js';
import type { Reroute } from '../replicate/reroute.js';
import { countRefused, destinationDirectory, hintId, hintsOf, oldestSeconds } from './hint-index.js';
import { type HintEnd, type HintMetrics, hintEnds, noHintMetrics } from './hint-metrics.js';
import { HintQueue } from './hint-queue.js';
import { HintReplayer, type ReplayLimits, type ReplayState } from './hint-replayer.js';
import { listDestinations } from './segment-files.js';
import { type ClosedGroup, HintSettler } from './settle-hints.js';
import { Wakeup } from './wakeup.js';

/** What hints are kept with. */
export interface HintsOptions {
  readonly disk: Disk;
  /** Folder of the hints on the disk. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics?: HintMetrics;
  /** Bytes of files of one destination. */
  readonly bytesMax: number;
  /** Hints older than this are dropped. */
  readonly ageMsMax: number;
  readonly replay?: ReplayLimits;
  /** Left free on the disk. Default 256 MiB. */
  readonly reserveBytes?: number;
  /** Default 16 MiB. */
  readonly segmentBytes?: number;
}

/** What hints are sent with, once the node has recovered. */
export interface HintsOutlet {
  readonly peerOf: (node: NodeId) => Peer | undefined;
  readonly catalog: Pick<IngestCatalog, 'databaseById' | 'groupList'>;
  readonly reroute: Reroute;
}

/** How the hints for one destination stand. */
export interface DestinationStatus {
  readonly node: NodeId;
  readonly state: ReplayState;
  readonly hints: number;
  /** Of these, how many the destination refused; they are tried again now and then. */
  readonly refused: number;
  /** Bytes of the batches. */
  readonly bytes: number;
  /** Bytes of the files, which the limit is for. */
  readonly fileBytes: number;
  readonly bytesMax: number;
  readonly oldestMs: number | null;
  /** Bytes that were found damaged when this process started. */
  readonly damagedBytes: number;
  /** How many hints have ended in which way since this process started. */
  readonly ended: Readonly<Record<HintEnd, number>>;
  readonly nextAttemptMs: number | null;
  readonly lastError: string | null;
}

interface Destination {
  readonly queue: HintQueue;
  replayer: HintReplayer | undefined;
}

const lookEveryMs = 2000;
const handOverLookMs = 200;

/**
 * Hinted handoff: keeps batches for owners that could not be reached, and sends them when they can. One a node.
 * Open it first, so that sealing finds the hints of earlier starts; start it once the node has recovered.
 */
export class Hints implements HintSink, HintedBatches {
  readonly #options: HintsOptions;
  readonly #metrics: HintMetrics;
  readonly #destinations = new Map<NodeId, Destination>();
  readonly #opening = new Map<NodeId, Promise<Destination>>();
  readonly #holdings = new Map<string, { readonly version: string; readonly holdings: ShardHoldings[] }>();
  readonly #wakeup: Wakeup;
  readonly #failures: LogThrottle;
  readonly #stopping = new AbortController();
  #isClosed = false;
  #outlet: HintsOutlet | undefined;
  #settler: HintSettler | undefined;
  #loop: Promise<void> = Promise.resolve();
  #settling: Promise<void> | undefined;

  private constructor(options: HintsOptions) {
    this.#options = options;
    this.#metrics = options.metrics ?? noHintMetrics;
    this.#wakeup = new Wakeup(options.clock);
    this.#failures = new LogThrottle({ clock: options.clock, intervalMs: 60_000 });
  }

  /** Opens what earlier starts kept. Errors: `unavailable` when the disk fails. Damage is logged and does not keep it from opening. */
  static async open(options: HintsOptions): Promise<Hints> {
    const hints = new Hints(options);
    for (const node of await listDestinations(options.disk, options.directory))
      await hints.#destination(node);
    return hints;
  }

  /** Begins to send. */
  start(outlet: HintsOutlet): void {
    const { clock, logger, ageMsMax } = this.#options;
    const { catalog, reroute } = outlet;
    this.#outlet = outlet;
    this.#settler = new HintSettler({
      queues: () => this.#queues(),
      catalog,
      reroute,
      clock,
      logger,
      ageMsMax,
    });
    for (const destination of this.#destinations.values()) this.#startReplay(destination);
    this.#loop = this.#run(this.#stopping.signal);
  }

  /** Sends no more. Hints are still kept: what is on its way when a node stops may become one. */
  async stopSending(): Promise<void> {
    this.#stopping.abort(new VarveError('cancelled', 'the node is stopping'));
    this.#wakeup.wake();
    await this.#loop;
    for (const { replayer } of this.#destinations.values()) await replayer?.stop();
  }

  /** Keeps no more and closes the files. What is kept stays for the next start. */
  async close(): Promise<void> {
    await this.stopSending();
    // What is being written into the late group is ended by the node's own stop, which comes between the two.
    await this.#settling;
    this.#isClosed = true;
    await Promise.allSettled(this.#opening.values());
    for (const { queue } of this.#destinations.values()) await queue.stop();
  }

  async keep(owner: NodeId, batch: EncodedBatch): Promise<void> {
    if (this.#isClosed) {
      throw new VarveError('unavailable', `keeping a hint for node ${owner}: this node is stopping`);
    }
    const { queue, replayer } = this.#destinations.get(owner) ?? (await this.#destination(owner));
    await queue.keep(batch);
    const delivery = queue.index.group(batch.database, batch.group)?.delivery;
    if (delivery === 'open') replayer?.wake();
    else if (delivery === 'unknown') this.#wakeup.wake();
  }

  async holdings(database: string, group: GroupId): Promise<readonly ShardHoldings[]> {
    const held = this.#queues().flatMap((queue) => queue.index.group(database, group) ?? []);
    if (held.length === 0) return [];
    const version = held.map((each) => each.version).join();
    const key = groupKey(database, group);
    const known = this.#holdings.get(key);
    if (known?.version === version) return known.holdings;
    const logs = new Map<number, BatchLog>();
    for (const ref of held.flatMap((each) => [...hintsOf(each)])) {
      const log = logs.get(ref.run.shard) ?? new BatchLog();
      logs.set(ref.run.shard, log);
      const hash = ref.run.hash(ref.sequence);
      // A batch may be kept for several owners.
      if (!log.has(hintId(ref), hash)) log.add({ id: hintId(ref), stamp: 0n }, hash);
    }
    const holdings = [...logs]
      .sort(([left], [right]) => left - right)
      .map(([shard, log]) => ({
        shard,
        digest: Buffer.from(log.digest()).toString('hex'),
        batches: normalizeSequenceRanges([...log.ranges()]),
      }));
    this.#holdings.set(key, { version, holdings });
    return holdings;
  }

  async *fetch(
    address: ShardAddress,
    ids: readonly BatchId[],
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    for (const id of ids) {
      for (const queue of this.#queues()) {
        signal?.throwIfAborted();
        const ref = queue.index.find(address, id);
        const batch = ref === undefined ? undefined : await queue.readOrEnd(ref);
        if (batch === undefined) continue;
        yield batch.bytes;
        break;
      }
    }
  }

  async release(
    database: string,
    group: GroupId,
    sealed: readonly SequenceRange[],
  ): Promise<readonly BatchId[]> {
    const settler = this.#settler;
    if (settler === undefined) {
      throw new VarveError('unavailable', `releasing hints of group ${group}: the node is recovering`, {
        retryAfterSeconds: 1,
      });
    }
    await settler.settle({ database, group, sealed }, this.#stopping.signal);
    return settler.kept({ database, group });
  }

  /** How the hints for each destination stand, by name. Destinations without any are left out once they have never had one. */
  status(): DestinationStatus[] {
    return [...this.#destinations.values()]
      .map((destination) => this.#statusOf(destination))
      .sort((left, right) => (left.node < right.node ? -1 : 1));
  }

  /** Hints kept in all. */
  get count(): number {
    return this.#queues().reduce((sum, queue) => sum + queue.index.count, 0);
  }

  /** Bytes of the batches kept in all. */
  get bytes(): number {
    return this.#queues().reduce((sum, queue) => sum + queue.index.bytes, 0);
  }

  /** A node that may have been away is seen again: what is kept for it is sent at once. */
  nodeIsBack(node: NodeId): void {
    this.#destinations.get(node)?.replayer?.tryNow();
  }

  /**
   * For a node that leaves: tries at once to get every hint to its owner, whatever the back-offs, and resolves when each
   * destination has taken its hints or failed. What is left then stays, durable and open to sealing, until its group is
   * sealed: that ends every hint, in history or in the late group. So there is nothing to give to a third node.
   */
  async handOver(signal: AbortSignal): Promise<void> {
    this.#wakeup.wake();
    for (const { replayer } of this.#destinations.values()) replayer?.tryNow();
    do await this.#options.clock.sleep(handOverLookMs, signal);
    while ([...this.#destinations.values()].some(({ replayer }) => replayer?.state === 'replaying'));
  }

  #queues(): HintQueue[] {
    return [...this.#destinations.values()].map(({ queue }) => queue);
  }

  #destination(node: NodeId): Promise<Destination> {
    const known = this.#destinations.get(node);
    if (known !== undefined) return Promise.resolve(known);
    const opening = this.#opening.get(node) ?? this.#open(node).finally(() => this.#opening.delete(node));
    this.#opening.set(node, opening);
    return opening;
  }

  async #open(node: NodeId): Promise<Destination> {
    const { directory, reserveBytes = 256 * 2 ** 20, ...options } = this.#options;
    const queue = await HintQueue.open({
      ...options,
      directory: destinationDirectory(directory, node),
      destination: node,
      reserveBytes,
      metrics: this.#metrics,
    });
    const destination: Destination = { queue, replayer: undefined };
    this.#destinations.set(node, destination);
    if (this.#outlet !== undefined && !this.#stopping.signal.aborted) this.#startReplay(destination);
    return destination;
  }

  #startReplay(destination: Destination): void {
    if (this.#outlet === undefined) return;
    const { clock, random, logger, replay } = this.#options;
    const { peerOf } = this.#outlet;
    const { queue } = destination;
    destination.replayer = new HintReplayer({
      ...replay,
      queue,
      peerOf,
      clock,
      random,
      logger,
      metrics: this.#metrics,
    });
    destination.replayer.start();
  }

  /** Looks at the catalog as long as there are hints, and writes down what has ended. */
  async #run(signal: AbortSignal): Promise<void> {
    let isTidy = false;
    while (!signal.aborted) {
      const hasHints = this.count > 0;
      if (hasHints) await this.#look(signal);
      if (hasHints || !isTidy) await this.#tidy();
      isTidy = !hasHints;
      await this.#wakeup.wait(hasHints ? lookEveryMs : undefined, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    try {
      const closed = (await this.#settler?.look()) ?? [];
      for (const { replayer } of this.#destinations.values()) replayer?.wake();
      // It may take long, and the groups that are open do not wait for it.
      if (closed.length > 0) this.#settling ??= this.#settleAll(closed, signal);
    } catch (error) {
      this.#failures.run((heldBack) =>
        this.#options.logger.warn(
          { heldBack, error: errorMessage(error) },
          'the catalog could not be asked about the groups of hints; it is asked again',
        ),
      );
    }
  }

  async #settleAll(closed: readonly ClosedGroup[], signal: AbortSignal): Promise<void> {
    try {
      for (const each of closed) await this.#settler?.settle(each, signal);
    } finally {
      this.#settling = undefined;
    }
  }

  async #tidy(): Promise<void> {
    for (const [key] of this.#holdings) {
      const at = key.indexOf('\0');
      const [database, group] = [key.slice(0, at), key.slice(at + 1) as GroupId];
      if (!this.#queues().some((queue) => queue.index.group(database, group))) this.#holdings.delete(key);
    }
    for (const queue of this.#queues()) {
      await queue.tidy().catch((error: unknown) => {
        this.#failures.run((heldBack) =>
          this.#options.logger.warn(
            { destination: queue.destination, heldBack, error: errorMessage(error) },
            'it could not be written down which hints have ended; it is tried again',
          ),
        );
      });
    }
  }

  #statusOf({ queue, replayer }: Destination): DestinationStatus {
    const { clock } = this.#options;
    const { index } = queue;
    const oldest = oldestSeconds(index.groups());
    const refused = countRefused(index.groups());
    const isBackingOff = replayer?.state === 'backing-off';
    return {
      node: queue.destination,
      state: replayer?.state ?? (index.count === 0 ? 'idle' : 'waiting'),
      hints: index.count,
      refused,
      bytes: index.bytes,
      fileBytes: queue.fileBytes,
      bytesMax: queue.bytesMax,
      oldestMs: Number.isFinite(oldest) ? oldest * 1000 : null,
      damagedBytes: queue.damagedBytes,
      ended: Object.fromEntries(hintEnds.map((end) => [end, queue.ended(end)])) as Record<HintEnd, number>,
      nextAttemptMs: isBackingOff ? clock.nowMs() + replayer.backOffLeftMs : null,
      lastError: replayer?.lastError ?? (refused > 0 ? replayer?.lastRefusal : undefined) ?? null,
    };
  }
}
