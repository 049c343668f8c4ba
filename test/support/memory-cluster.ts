import { type Catalogs, openCatalogs } from '../../cli/serve/catalogs.js';
import { ingestCatalog, wasDropped } from '../../cli/serve/ingest-catalog.js';
import { localNodeReader } from '../../cli/serve/local-node.js';
import { Compactor } from '../../compactor/compactor.js';
import { type CompactorSettings, defaultCompactorSettings } from '../../compactor/compactor-settings.js';
import { noCompactorMetrics } from '../../compactor/metrics.js';
import { SimulatedClock } from '../../core/adapters/clock-simulated.js';
import { MemoryDisk } from '../../core/adapters/disk-memory.js';
import { MemoryMetaStore } from '../../core/adapters/meta-store-memory.js';
import { MemoryObjectStore } from '../../core/adapters/object-store-memory.js';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import { defaultDatabaseSettings } from '../../core/catalog/database-settings.js';
import { parseNodeId } from '../../core/catalog/node-catalog.js';
import type { CatalogPorts } from '../../core/catalog/record-store.js';
import type { Database, ShardGroup } from '../../core/catalog/types.js';
import { encodeBatch } from '../../core/codec/batch-codec.js';
import { SettledTables } from '../../core/iceberg/settled-tables.js';
import type { EncodedBatch, NodeId } from '../../core/model/batch.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import { VarveError } from '../../core/std/errors.js';
import { silentLogger } from '../../core/std/logger.js';
import { HotTier } from '../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../ingest/hot/hot-tier-reader.js';
import { IngestNode } from '../../ingest/ingest-node.js';
import { Wal } from '../../ingest/wal/wal.js';
import { type PlainPoint, rowsOf } from './rows.js';

export const clusterStartMs = Date.UTC(2026, 0, 10);

/** A node of the cluster, and what stands between it and the others. */
export interface ClusterNode {
  readonly id: NodeId;
  readonly disk: MemoryDisk;
  readonly ingest: IngestNode;
  readonly reader: Peer & HotReader;
  readonly wal: Wal;
}

/** Several ingest nodes over one catalog, all in memory; any of them can be cut off from all others. */
export class MemoryCluster {
  readonly clock: SimulatedClock;
  readonly random: SeededRandom;
  readonly catalogs: ReturnType<typeof openCatalogs>;
  readonly objects: MemoryObjectStore;
  readonly settled: SettledTables;
  readonly nodes = new Map<NodeId, ClusterNode>();
  cut = new Set<NodeId>();
  /** The database `d`: one shard, three owners, windows of an hour, unless other things were asked for. */
  readonly database: Database;

  private constructor(
    parts: Pick<MemoryCluster, 'clock' | 'random' | 'catalogs' | 'objects' | 'settled' | 'database'>,
  ) {
    this.clock = parts.clock;
    this.random = parts.random;
    this.catalogs = parts.catalogs;
    this.objects = parts.objects;
    this.settled = parts.settled;
    this.database = parts.database;
  }

  static async make(
    names: readonly string[],
    settings: Partial<typeof defaultDatabaseSettings> = {},
    catalogsOf: (ports: Omit<CatalogPorts, 'store'>) => Catalogs = (ports) =>
      openCatalogs({ ...ports, store: new MemoryMetaStore() }),
  ): Promise<MemoryCluster> {
    const clock = new SimulatedClock({ startMs: clusterStartMs });
    const random = new SeededRandom(1);
    const catalogs = catalogsOf({ clock, random });
    const objects = new MemoryObjectStore({ clock });
    const commitPoint = catalogs.tables;
    const settled = new SettledTables({ objects, commitPoint, clock, random, logger: silentLogger });
    const database = await catalogs.databases.ensure('d', {
      ...defaultDatabaseSettings,
      windowMs: 3_600_000,
      graceMs: 300_000,
      lateDelayMs: 60_000,
      replication: 3,
      shards: 1,
      consistency: 'quorum',
      ...settings,
    });
    const cluster = new MemoryCluster({ clock, random, catalogs, objects, settled, database });
    for (const name of names) await cluster.start(name);
    return cluster;
  }

  /** Starts the node, for the second time as after a crash: from what its disk kept. */
  async start(name: string, isEphemeral = false): Promise<ClusterNode> {
    const { clock, random, catalogs } = this;
    const id = parseNodeId(name);
    const disk = this.nodes.get(id)?.disk ?? new MemoryDisk();
    const { epoch } = await catalogs.nodes.register(id, `http://${name}`, undefined, isEphemeral);
    const hot = new HotTier({ bytesMax: 2 ** 28, logger: silentLogger });
    const wal = new Wal({
      disk,
      directory: 'wal',
      clock,
      random,
      logger: silentLogger,
      segmentBytes: 2 ** 18,
      reserveBytes: 0,
      onFatal: (error) => {
        throw error;
      },
    });
    const limits = { columnsMax: 100, tablesMax: 100 };
    const liveNodes = () => [...this.nodes.keys()].filter((node) => !this.cut.has(node));
    const ingest = await IngestNode.start({
      node: id,
      epoch,
      catalog: ingestCatalog({ catalogs, clock, defaults: defaultDatabaseSettings, limits, liveNodes }),
      wal,
      hot,
      clock,
      random,
      limits,
      metrics: { rows() {}, levelNotMet() {}, refusedForMemory() {} },
      logger: silentLogger,
      peerOf: (peer) => this.reach(peer, id),
    });
    const reader = localNodeReader(
      ingest.owner,
      new HotTierReader({
        tier: hot,
        giveWay: () => Promise.resolve(),
        wasDropped: (database, group) => wasDropped(catalogs, id, database, group),
      }),
    );
    const node = { id, disk, ingest, reader, wal };
    this.nodes.set(id, node);
    return node;
  }

  node(name: string): ClusterNode {
    const node = this.nodes.get(name as NodeId);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** The node as another one, or a compactor, reaches it. */
  reach(to: NodeId, from?: NodeId): Peer & HotReader {
    const reachable = (): Peer & HotReader => {
      const node = this.nodes.get(to);
      const isCut = this.cut.has(to) || (from !== undefined && this.cut.has(from));
      if (node !== undefined && !isCut) return node.reader;
      throw new VarveError('unavailable', `node ${to} cannot be reached`);
    };
    return {
      node: to,
      append: async (...args) => reachable().append(...args),
      closeGroup: async (...args) => reachable().closeGroup(...args),
      reportGroup: async (...args) => reachable().reportGroup(...args),
      listBatches: async (...args) => reachable().listBatches(...args),
      fetchBatches: async function* (...args) {
        for await (const bytes of reachable().fetchBatches(...args)) yield bytes;
      },
      releaseGroup: async (...args) => reachable().releaseGroup(...args),
      catchUp: async (...args) => reachable().catchUp(...args),
      describe: async (...args) => reachable().describe(...args),
      scan: async function* (...args) {
        for await (const piece of reachable().scan(...args)) {
          reachable();
          yield piece;
        }
      },
      holdings: async (...args) => reachable().holdings(...args),
    };
  }

  compactor(
    settings: Partial<CompactorSettings> = {},
    peers: (node: NodeId) => Peer & HotReader = (node) => this.reach(node),
  ): Compactor {
    return new Compactor({
      catalog: this.catalogs,
      settled: this.settled,
      objects: this.objects,
      peers,
      clock: this.clock,
      logger: silentLogger,
      metrics: noCompactorMetrics,
      holder: 'compactor',
      isGone: () => true,
      onFatal: (error) => {
        throw error;
      },
      settings: { ...defaultCompactorSettings, ...settings },
    });
  }

  /** The open window group of now, owned by these nodes; its tables have the columns of pointOf. */
  async openGroup(owners: readonly string[], shards = 1): Promise<ShardGroup> {
    const nowMs = this.clock.nowMs();
    const windowMs = this.database.windowMs;
    const startNs = BigInt(nowMs - (nowMs % windowMs)) * 1_000_000n;
    const assign = () => Array.from({ length: shards }, () => ({ owners: owners.map(parseNodeId) }));
    const { outcome } = await this.catalogs.groups.openWindowGroup(this.database, startNs, { nowMs, assign });
    if (outcome.kind !== 'open') throw new Error(outcome.reason);
    const additions = ['cpu', 'mem'].map((table) => ({
      table,
      tags: ['host'],
      fields: [{ name: 'value', type: 'double' as const }],
      hasTimeNs: false,
    }));
    const limits = { columnsMax: 100, tablesMax: 100 };
    await this.catalogs.tables.extend(this.database.name, additions, limits);
    return outcome.group;
  }

  /** A batch of one point a table, told from all others by its sequence. */
  batch(group: ShardGroup, sequence: number, options: BatchOptions = {}): EncodedBatch {
    const { origin = 'n1', shard = 0, tables = ['cpu'] } = options;
    return encodeBatch({
      id: { origin: parseNodeId(origin), epoch: 1, sequence },
      stamp: (BigInt(this.clock.nowMs()) << 16n) + BigInt(sequence),
      database: this.database.id,
      group: group.id,
      shard,
      tables: tables.map((table) => rowsOf(table, [pointOf(group, sequence)])),
    });
  }

  /** Appends the batch on exactly these nodes. */
  async put(batch: EncodedBatch, ...nodes: readonly string[]): Promise<void> {
    for (const name of nodes) {
      const { kind } = await this.node(name).ingest.owner.append(batch.bytes);
      if (kind === 'closed') throw new Error(`node ${name} has closed group ${batch.group}`);
    }
  }

  async list() {
    return (await this.catalogs.groups.get(this.database)).value;
  }

  async group(id: ShardGroup['id']): Promise<ShardGroup | undefined> {
    return (await this.list()).groups.find((group) => group.id === id);
  }

  /** Keeps the heartbeats of nodes that are not cut off, and moves the clock. */
  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
    for (const { node, epoch } of await this.catalogs.nodes.list()) {
      if (this.nodes.has(node) && !this.cut.has(node)) await this.catalogs.nodes.heartbeat(node, epoch);
    }
  }
}

export interface BatchOptions {
  readonly origin?: string;
  readonly shard?: number;
  readonly tables?: readonly string[];
}

function pointOf(group: ShardGroup, sequence: number): PlainPoint {
  const startNs = group.startNs ?? BigInt(clusterStartMs) * 1_000_000n;
  return {
    tags: { host: `h${sequence}` },
    timeNs: startNs + BigInt(sequence) * 1_000_000_000n,
    fields: { value: sequence },
  };
}
