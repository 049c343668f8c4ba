import type { GroupList, ShardGroup } from '../core/catalog/types.js';
import type { EncodedBatch, GroupId, NodeId } from '../core/model/batch.js';
import { HybridClock, stampMs } from '../core/model/hybrid-clock.js';
import type { Clock } from '../core/ports/clock.js';
import type { Peer } from '../core/ports/peer.js';
import type { Random } from '../core/ports/random.js';
import type { Logger } from '../core/std/logger.js';
import { Admission } from './admit/admission.js';
import { DroppedDatabaseSweeper } from './dropped-databases.js';
import type { HotTier } from './hot/hot-tier.js';
import { groupKey, type IngestCatalog } from './ingest-catalog.js';
import { BatchWriter } from './replicate/batch-writer.js';
import type { HintSink } from './replicate/hint-sink.js';
import type { HintedBatches } from './replicate/hinted-batches.js';
import { LocalOwner } from './replicate/local-owner.js';
import { LogThrottle } from './replicate/log-throttle.js';
import { noReplicationMetrics, type ReplicationMetrics } from './replicate/replication-metrics.js';
import { type ReplicationLimits, Replicator } from './replicate/replicator.js';
import { LateGroupReroute, type Reroute } from './replicate/reroute.js';
import { Router } from './route/router.js';
import type { Wal } from './wal/wal.js';
import type { WriteLimits } from './write-contract.js';
import { type WriteMetrics, WritePath } from './write-path.js';

/** What an ingest node is made of; all of it given, nothing read from the surroundings. */
export interface IngestNodeOptions {
  readonly node: NodeId;
  /** This start of the node; greater than that of every start before. */
  readonly epoch: number;
  readonly catalog: IngestCatalog;
  readonly wal: Wal;
  readonly hot: HotTier;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: WriteLimits;
  readonly metrics: WriteMetrics;
  readonly logger: Logger;
  readonly peerOf: (node: NodeId) => Peer | undefined;
  readonly replication?: {
    readonly limits?: Partial<ReplicationLimits>;
    readonly metrics?: ReplicationMetrics;
  };
  /** Where batches are kept for owners that cannot be reached; without it such owners have failed. */
  readonly hints?: HintSink & HintedBatches;
  /** Awaited before a sealed group is dropped; see LocalOwnerOptions. */
  readonly beforeDrop?: (database: string, group: GroupId) => Promise<void>;
}

/** How long what goes on in the background may take when the node stops. */
const stopGraceMs = 2000;
const stampLoggedEveryMs = 60_000;

/** What the replay at start found. */
export interface RecoveryReport {
  readonly batchesRestored: number;
  readonly batchesDropped: number;
  readonly bytesRestored: number;
}

/** A node that takes writes and owns shards. There is none that has not recovered: `start` is the only way to one. */
export class IngestNode {
  readonly owner: LocalOwner;
  readonly writes: WritePath;
  readonly reroute: Reroute;
  readonly replicator: Replicator;
  readonly recovery: RecoveryReport;
  readonly #wal: Wal;
  readonly #sweeper: DroppedDatabaseSweeper;
  readonly #admission: Admission;

  private constructor(
    options: IngestNodeOptions,
    owner: LocalOwner,
    stamps: HybridClock,
    recovery: RecoveryReport,
  ) {
    const { node, epoch, catalog, hot, clock, limits, metrics } = options;
    this.owner = owner;
    this.recovery = recovery;
    const { random, logger, peerOf } = options;
    const hints = options.hints === undefined ? {} : { hints: options.hints };
    this.replicator = new Replicator({
      ...{ local: owner, peerOf, clock, random, logger },
      ...options.replication,
      ...hints,
    });
    this.#wal = options.wal;
    this.#sweeper = new DroppedDatabaseSweeper({ owner, catalog, clock, logger: options.logger });
    const router = new Router({ catalog, clock });
    this.reroute = new LateGroupReroute({ catalog, router, replicator: this.replicator });
    this.#admission = new Admission({ catalog, clock });
    this.writes = new WritePath({
      admission: this.#admission,
      router,
      writer: new BatchWriter({ node, epoch, clock: stamps, replicator: this.replicator }),
      room: hot,
      limits,
      metrics,
    });
  }

  /**
   * Recovers from the WAL (invariant 8), then serves. Batches of groups that are still in flux, or sealed and not yet
   * released by this node, come back; those of groups that have left the list are in history, those of dropped
   * databases are gone: both are dropped. Errors: `corrupt` when the WAL is damaged in the middle, `unavailable` when
   * the catalog cannot be read.
   */
  static async start(options: IngestNodeOptions): Promise<IngestNode> {
    const { node, wal, hot, catalog } = options;
    const lists = new OpenLists(catalog);
    const stamps = new HybridClock({ clock: options.clock });
    const owner = new LocalOwner({
      node,
      wal,
      hot,
      groupOf: (database, group) => lists.groupOf(database, group),
      peerOf: options.peerOf,
      ...(options.hints === undefined ? {} : { hints: options.hints }),
      onStamp: stampObserver(options, stamps),
      // Written anew through the node's own write path, which comes to be after the owner.
      reroute: { toLateGroup: (batch, signal) => started.reroute.toLateGroup(batch, signal) },
      onRerouted: (group, batches) =>
        options.logger.warn(
          { group, batches },
          'held batches of a sealed group that history lacked; they were written into the late group',
        ),
      ...(options.beforeDrop === undefined ? {} : { beforeDrop: options.beforeDrop }),
    });
    const recovery = await replayWal(options, owner, stamps, lists);
    const started: IngestNode = new IngestNode(options, owner, stamps, recovery);
    started.#sweeper.start();
    return started;
  }

  /** What writes have met of the catalog, for /ready; empty while it answers. */
  problems(): readonly string[] {
    return this.#admission.problems();
  }

  /** No write may come any more. What is still on its way to other nodes gets there or becomes a hint. */
  async stop(): Promise<void> {
    await this.#sweeper.stop();
    await this.replicator.stop(stopGraceMs);
    await this.#wal.stop();
  }
}

/**
 * What is written here wins over what other nodes wrote before and sent here. A batch whose stamp is too far ahead is
 * taken all the same, so that all owners hold the same batches; only this node's clock does not follow it (docs/adr/0009).
 */
function stampObserver(
  options: IngestNodeOptions,
  stamps: HybridClock,
): (batch: Pick<EncodedBatch, 'id' | 'stamp'>) => void {
  const { clock, logger } = options;
  const metrics = options.replication?.metrics ?? noReplicationMetrics;
  const log = new LogThrottle({ clock, intervalMs: stampLoggedEveryMs });
  return ({ id, stamp }) => {
    if (stamps.observe(stamp) === 'observed') return;
    metrics.stampTooFarAhead(id.origin);
    const stampedMs = stampMs(stamp);
    log.run((heldBack) =>
      logger.warn(
        { node: id.origin, stampedMs, nowMs: clock.nowMs(), heldBack },
        'a node stamps its batches far ahead of the time here: one of the two clocks is wrong',
      ),
    );
  };
}

async function replayWal(
  options: IngestNodeOptions,
  owner: LocalOwner,
  stamps: HybridClock,
  lists: OpenLists,
): Promise<RecoveryReport> {
  let batchesRestored = 0;
  let batchesDropped = 0;
  let bytesRestored = 0;
  const closed = new Map<string, { readonly database: string; readonly group: GroupId }>();
  const known = new Map<string, GroupList | undefined>();
  await options.wal.start(async (batch) => {
    // What is written from now on wins over what came back, even if the wall clock was set back meanwhile.
    if (batch.id.origin === options.node) stamps.goBeyond(batch.stamp);
    else stamps.observe(batch.stamp);
    if (!known.has(batch.database)) known.set(batch.database, await lists.get(batch.database));
    const group = known.get(batch.database)?.groups.find((candidate) => candidate.id === batch.group);
    // A group leaves the list only after every owner, this one included, has dropped it.
    if (group === undefined || group.released.includes(options.node)) {
      batchesDropped += 1;
      return 'drop';
    }
    owner.restore(batch);
    if (group.state !== 'open') closed.set(groupKey(batch.database, batch.group), batch);
    batchesRestored += 1;
    bytesRestored += batch.bytes.length;
    return 'keep';
  });
  for (const { database, group } of closed.values()) await owner.closeGroup(database, group);
  return { batchesRestored, batchesDropped, bytesRestored };
}

/** Group lists by database id. */
class OpenLists {
  readonly #catalog: IngestCatalog;

  constructor(catalog: IngestCatalog) {
    this.#catalog = catalog;
  }

  /** What is in flux in the database; undefined when it has been dropped. */
  async get(databaseId: string): Promise<GroupList | undefined> {
    const database = await this.#catalog.databaseById(databaseId);
    return database === undefined ? undefined : this.#catalog.groupList(database);
  }

  async groupOf(databaseId: string, group: GroupId): Promise<ShardGroup | undefined> {
    return (await this.get(databaseId))?.groups.find((candidate) => candidate.id === group);
  }
}
