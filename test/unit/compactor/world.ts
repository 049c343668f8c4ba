import { type Catalogs, openCatalogs } from '../../../cli/serve/catalogs.js';
import { ingestCatalog } from '../../../cli/serve/ingest-catalog.js';
import { Compactor } from '../../../compactor/compactor.js';
import { type CompactorSettings, defaultCompactorSettings } from '../../../compactor/compactor-settings.js';
import { noCompactorMetrics } from '../../../compactor/metrics.js';
import type { PeerLookup } from '../../../compactor/seal/seal-group.js';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import type { FaultInjection } from '../../../core/adapters/fault.js';
import { MemoryMetaStore } from '../../../core/adapters/meta-store-memory.js';
import { MemoryObjectStore } from '../../../core/adapters/object-store-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { defaultDatabaseSettings } from '../../../core/catalog/database-settings.js';
import { parseNodeId } from '../../../core/catalog/node-catalog.js';
import type { Database, DatabaseSettings } from '../../../core/catalog/types.js';
import { SettledTables } from '../../../core/iceberg/settled-tables.js';
import type { HotReader } from '../../../core/ports/hot-reader.js';
import type { Peer } from '../../../core/ports/peer.js';
import { silentLogger } from '../../../core/std/logger.js';
import { HotTier } from '../../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../../ingest/hot/hot-tier-reader.js';
import { IngestNode } from '../../../ingest/ingest-node.js';
import { Wal } from '../../../ingest/wal/wal.js';
import { type PlainPoint, rowsOf } from '../../support/rows.js';

/** 2026-01-10T00:00:00Z: a midnight, so that windows of an hour cross days where a test wants it. */
export const startMs = Date.UTC(2026, 0, 10);
export const minuteMs = 60_000;
export const hourMs = 3_600_000;
export const dayMs = 86_400_000;

const limits = { columnsMax: 100, tablesMax: 100 };

export interface WorldOptions {
  readonly database?: Partial<DatabaseSettings>;
  readonly compactor?: Partial<CompactorSettings>;
  readonly objectFaults?: FaultInjection;
  /** `manual` where the compactor's loops run; `jump` lets back-offs pass by themselves. */
  readonly sleeps?: 'manual' | 'jump';
}

/** A node, its stores and compactors, all in memory, under a clock that moves when told to. */
export class World {
  readonly clock: SimulatedClock;
  readonly random: SeededRandom;
  readonly catalogs: Catalogs;
  readonly objects: MemoryObjectStore;
  readonly settled: SettledTables;
  /** The database that write and databaseRecord mean. */
  database = 'd';
  readonly #disk = new MemoryDisk();
  readonly #options: WorldOptions;
  readonly #settings: DatabaseSettings;
  #node: IngestNode | null = null;
  #owner: (Peer & HotReader) | null = null;
  #compactors = 0;

  private constructor(seed: number, options: WorldOptions) {
    this.#options = options;
    this.clock = new SimulatedClock({ startMs, sleeps: options.sleeps ?? 'jump' });
    this.random = new SeededRandom(seed);
    this.#settings = {
      ...defaultDatabaseSettings,
      windowMs: hourMs,
      graceMs: 5 * minuteMs,
      lateDelayMs: minuteMs,
      ...options.database,
    };
    const { clock, random } = this;
    this.catalogs = openCatalogs({ store: new MemoryMetaStore(), clock, random });
    this.objects = new MemoryObjectStore({ clock, ...options.objectFaults });
    this.settled = this.openSettled();
  }

  static async make(seed: number, options: WorldOptions = {}): Promise<World> {
    const world = new World(seed, options);
    await world.startNode();
    return world;
  }

  /** Starts the ingest node, for the second time as after a crash: only what the WAL synced comes back. */
  async startNode(): Promise<void> {
    const { clock, random, catalogs } = this;
    const id = parseNodeId('n1');
    const { epoch } = await catalogs.nodes.register(id, null);
    const hot = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
    const wal = new Wal({
      disk: this.#disk,
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
    const liveNodes = () => [id];
    this.#node = await IngestNode.start({
      node: id,
      epoch,
      catalog: ingestCatalog({ catalogs, clock, defaults: this.#settings, limits, liveNodes }),
      wal,
      hot,
      clock,
      random,
      limits,
      metrics: { rows() {}, levelNotMet() {}, refusedForMemory() {} },
      logger: silentLogger,
      peerOf: () => undefined,
    });
    const reader = new HotTierReader({ tier: hot, giveWay: () => Promise.resolve() });
    this.#owner = peerAndReader(this.#node.owner, reader);
  }

  get owner(): Peer & HotReader {
    if (this.#owner === null) throw new Error('no node was started');
    return this.#owner;
  }

  /** Another compactor over the same stores. `settled`: its own, so that caches are not shared. */
  compactor(overrides: { peers?: PeerLookup; isGone?: (holder: string) => boolean } = {}): Compactor {
    this.#compactors += 1;
    return new Compactor({
      catalog: this.catalogs,
      settled: this.openSettled(),
      objects: this.objects,
      peers: () => this.owner,
      clock: this.clock,
      logger: silentLogger,
      metrics: noCompactorMetrics,
      holder: `compactor-${this.#compactors}`,
      isGone: () => true,
      onFatal: (error) => {
        throw error;
      },
      ...overrides,
      settings: { ...defaultCompactorSettings, ...this.#options.compactor },
    });
  }

  openSettled(): SettledTables {
    const { clock, random, objects } = this;
    const commitPoint = this.catalogs.tables;
    return new SettledTables({ objects, commitPoint, clock, random, logger: silentLogger });
  }

  /** Writes through the node's own write path, as a protocol would. */
  async write(table: string, points: readonly PlainPoint[]): Promise<void> {
    const session = await this.#node?.writes.begin({ database: this.database });
    const rows = rowsOf(table, points);
    const report = await session?.commit(
      [{ rows, lineNumbers: Int32Array.from(points, (_, index) => index + 1) }],
      { acceptPartial: false },
    );
    if (report?.written !== points.length) throw new Error(`wrote ${JSON.stringify(report)}`);
  }

  async databaseRecord(): Promise<Database> {
    const database = await this.catalogs.databases.get(this.database);
    if (database === undefined) throw new Error('no database yet');
    return database;
  }
}

function peerAndReader(peer: Peer, reader: HotReader): Peer & HotReader {
  return {
    node: peer.node,
    append: (batch, signal) => peer.append(batch, signal),
    closeGroup: (database, group, signal) => peer.closeGroup(database, group, signal),
    reportGroup: (database, group, signal) => peer.reportGroup(database, group, signal),
    listBatches: (address, signal) => peer.listBatches(address, signal),
    fetchBatches: (address, ids, signal) => peer.fetchBatches(address, ids, signal),
    releaseGroup: (database, group, sealed, signal) => peer.releaseGroup(database, group, sealed, signal),
    catchUp: (address, source, ranges, signal) => peer.catchUp(address, source, ranges, signal),
    describe: (request, signal) => reader.describe(request, signal),
    scan: (request, signal) => reader.scan(request, signal),
    holdings: (request, signal) => reader.holdings(request, signal),
  };
}
