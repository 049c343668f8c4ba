import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCatalogs } from '../../cli/serve/catalogs.js';
import { ingestCatalog } from '../../cli/serve/ingest-catalog.js';
import { localNodeReader } from '../../cli/serve/local-node.js';
import { openSettledTables } from '../../cli/serve/settled-tables.js';
import { Compactor } from '../../compactor/compactor.js';
import { defaultCompactorSettings } from '../../compactor/compactor-settings.js';
import { noCompactorMetrics } from '../../compactor/metrics.js';
import { SimulatedClock } from '../../core/adapters/clock-simulated.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { FileSystemDisk } from '../../core/adapters/disk-filesystem.js';
import { MemoryDisk } from '../../core/adapters/disk-memory.js';
import { DynamoDbMetaStore } from '../../core/adapters/meta-store-dynamodb.js';
import { S3ObjectStore } from '../../core/adapters/object-store-s3.js';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import { countingObjectStore, StoreTallies } from '../../core/adapters/store-counters.js';
import { defaultDatabaseSettings } from '../../core/catalog/database-settings.js';
import { parseNodeId } from '../../core/catalog/node-catalog.js';
import type { DatabaseSettings } from '../../core/catalog/types.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import { silentLogger } from '../../core/std/logger.js';
import { HotTier } from '../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../ingest/hot/hot-tier-reader.js';
import { IngestNode } from '../../ingest/ingest-node.js';
import { LineProtocolDecoder } from '../../ingest/protocols/line-protocol/decoder.js';
import { ScratchPool } from '../../ingest/protocols/line-protocol/row-memory.js';
import { SeriesInternerSlot } from '../../ingest/protocols/line-protocol/series-interner.js';
import { Wal } from '../../ingest/wal/wal.js';
import { ParquetFiles } from '../../query/cache/parquet-files.js';
import { DuckDbEngine } from '../../query/engine/duckdb-engine.js';
import { unwatched } from '../../query/engine/engine-watch.js';
import { noQueryMetrics } from '../../query/query-metrics.js';
import { defaultQueryLimits, QueryService } from '../../query/query-service.js';
import { queryCatalog } from '../../query/query-sources.js';
import {
  type Emulator,
  emulatorConnection,
  runName,
  type S3Emulator,
  startDynamoDb,
  startS3,
} from '../../test/aws/emulators.js';
import type { StoreUse } from './price-list.js';

/** Emulators of S3 and DynamoDB, for as long as a bench runs. */
export interface CostStores {
  readonly s3: S3Emulator;
  readonly dynamoDb: Emulator;
  close(): Promise<void>;
}

/** Starts s3rver and dynalite in this process, or takes what AWS_ENDPOINT_URL names. */
export async function openCostStores(worlds: readonly string[]): Promise<CostStores> {
  const s3 = await startS3();
  const dynamoDb = await startDynamoDb(...worlds.map(tableOf));
  return {
    s3,
    dynamoDb,
    close: async () => {
      await dynamoDb.close();
      await s3.close();
    },
  };
}

const limits = { columnsMax: 1000, tablesMax: 1000 };
const nodeId = parseNodeId('node-1');
const tableOf = (world: string): string => `${runName}-${world}`;

/**
 * An ingest node, a compactor and queriers over the real adapters, under a clock that moves when told to; what their
 * stores are asked is counted. Worlds of different names share nothing but the emulators.
 */
export class CostWorld {
  readonly clock: SimulatedClock;
  readonly #objectTallies = new StoreTallies();
  readonly #units = { read: 0, write: 0 };
  readonly #folder = mkdtempSync(join(tmpdir(), 'varve-bench-cost-'));
  readonly #random = new SeededRandom(1);
  readonly #objects: S3ObjectStore;
  readonly #meta: DynamoDbMetaStore;
  readonly #settings: DatabaseSettings;
  #node: IngestNode | undefined;
  #compactor: Compactor | undefined;
  #hot: HotReader | undefined;
  readonly #caches = { interners: new SeriesInternerSlot(2 ** 28), scratch: new ScratchPool(2 ** 26) };

  constructor(stores: CostStores, startMs: number, name: string, settings: Partial<DatabaseSettings>) {
    this.clock = new SimulatedClock({ startMs, sleeps: 'manual' });
    this.#settings = { ...defaultDatabaseSettings, ...settings };
    const clock = new SystemClock();
    const { s3, dynamoDb } = stores;
    this.#objects = new S3ObjectStore({
      location: { bucket: s3.bucket, prefix: name },
      clock,
      random: this.#random,
      connection: emulatorConnection(s3.endpoint),
      pathStyle: true,
      checksums: s3.checksums,
    });
    this.#meta = new DynamoDbMetaStore({
      table: tableOf(name),
      clock,
      random: this.#random,
      connection: emulatorConnection(dynamoDb.endpoint),
      onUnits: (kind, units) => {
        this.#units[kind] += units;
      },
    });
  }

  /** Starts node and compactor. */
  async start(): Promise<void> {
    const { clock } = this;
    const random = this.#random;
    const catalogs = openCatalogs({ store: this.#meta, clock, random });
    const { epoch } = await catalogs.nodes.register(nodeId, null);
    const hot = new HotTier({ bytesMax: 2 ** 32, logger: silentLogger });
    const wal = new Wal({
      disk: new MemoryDisk(),
      directory: 'wal',
      clock,
      random,
      logger: silentLogger,
      segmentBytes: 2 ** 20,
      reserveBytes: 0,
      onFatal: (error) => {
        throw error;
      },
    });
    const node = await IngestNode.start({
      node: nodeId,
      epoch,
      catalog: ingestCatalog({
        catalogs,
        clock,
        defaults: this.#settings,
        limits,
        liveNodes: () => [nodeId],
      }),
      wal,
      hot,
      clock,
      random,
      limits,
      metrics: { rows() {}, levelNotMet() {}, refusedForMemory() {} },
      logger: silentLogger,
      peerOf: () => undefined,
    });
    this.#node = node;
    const reader = new HotTierReader({ tier: hot, giveWay: () => Promise.resolve() });
    this.#hot = reader;
    const peer = localNodeReader(node.owner, reader);
    const objects = countingObjectStore(this.#objects, this.#objectTallies);
    this.#compactor = new Compactor({
      catalog: catalogs,
      settled: openSettledTables({ objects, catalogs, clock, random, logger: silentLogger }),
      objects,
      peers: () => peer,
      clock,
      logger: silentLogger,
      metrics: noCompactorMetrics,
      holder: 'bench',
      onFatal: (error) => {
        throw error;
      },
      settings: defaultCompactorSettings,
    });
  }

  get compactor(): Compactor {
    if (this.#compactor === undefined) throw new Error('the world was not started');
    return this.#compactor;
  }

  /** Writes lines as one request. */
  async write(database: string, lines: string): Promise<void> {
    if (this.#node === undefined) throw new Error('the world was not started');
    const session = await this.#node.writes.begin({ database });
    const decoder = new LineProtocolDecoder({
      schemaOf: (table) => session.schemaOf(table),
      precision: 'ns',
      nowNs: 0n,
      caches: this.#caches,
      limits,
    });
    decoder.push(Buffer.from(lines, 'latin1'));
    const { tables, lineCount } = decoder.finish();
    const { written } = await session.commit(tables, { acceptPartial: false });
    if (written !== lineCount) throw new Error(`wrote ${written} of ${lineCount} lines`);
  }

  /** What the stores were asked since the world began. */
  use(): StoreUse {
    const requests = this.#objectTallies.requests();
    const of = (...operations: readonly string[]): number =>
      operations.reduce((sum, operation) => sum + (requests[operation] ?? 0), 0);
    return {
      puts: of('put'),
      gets: of('get', 'getRange', 'head'),
      lists: of('list'),
      deletes: of('deleteMany'),
      writeUnits: this.#units.write,
      readUnits: this.#units.read,
    };
  }

  /** Bytes of the objects that are there, by whether they are data files. Not counted as use. */
  async storedBytes(): Promise<{ readonly data: number; readonly metadata: number }> {
    const stored = { data: 0, metadata: 0 };
    for await (const { key, bytes } of this.#objects.list('')) {
      stored[key.endsWith('.parquet') ? 'data' : 'metadata'] += bytes;
    }
    return stored;
  }

  /** A querier that has just started, with nothing in its caches. */
  async querier(): Promise<{ ask(database: string, sql: string): Promise<string>; close(): Promise<void> }> {
    const { clock } = this;
    const random = this.#random;
    const folder = mkdtempSync(join(this.#folder, 'querier-'));
    const root = join(folder, 'files');
    mkdirSync(root);
    const objects = countingObjectStore(this.#objects, this.#objectTallies);
    const catalogs = openCatalogs({ store: this.#meta, clock, random });
    const files = new ParquetFiles({
      objects,
      disk: new FileSystemDisk(root),
      root,
      bytesMax: 2 ** 32,
      metrics: noQueryMetrics,
    });
    await files.start();
    const engine = await DuckDbEngine.open(
      {
        threads: 1,
        memoryBytesMax: 512 * 2 ** 20,
        spillDirectory: join(folder, 'spill'),
        spillBytesMax: 2 ** 30,
        settledDirectories: [root],
      },
      unwatched(new SystemClock()),
    );
    if (this.#hot === undefined) throw new Error('the world was not started');
    const service = new QueryService({
      catalog: queryCatalog(catalogs),
      settled: openSettledTables({ objects, catalogs, clock, random, logger: silentLogger }),
      hot: this.#hot,
      files,
      engine,
      clock,
      limits: defaultQueryLimits,
      metrics: noQueryMetrics,
      logger: silentLogger,
    });
    return {
      ask: async (database, sql) => {
        const answer = await service.query({
          database,
          sql,
          parameters: {},
          format: 'csv',
          tier: 'all',
          snapshot: null,
          ifNoneMatch: null,
        });
        if (answer.kind !== 'answer') throw new Error(`got ${answer.kind}; want an answer`);
        const pieces: Uint8Array[] = [];
        for await (const piece of answer.body) pieces.push(piece);
        return Buffer.concat(pieces).toString();
      },
      close: () => engine.close(),
    };
  }

  async stop(): Promise<void> {
    await this.#compactor?.stop();
    await this.#node?.stop();
    this.#objects.close();
    await this.#meta.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
