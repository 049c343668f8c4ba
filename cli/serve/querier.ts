import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { Counter, Histogram, type Registry } from 'prom-client';
import { FileSystemDisk } from '../../core/adapters/disk-filesystem.js';
import type { ConflictReader } from '../../core/ports/conflict-reader.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import { VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { ParquetFiles } from '../../query/cache/parquet-files.js';
import { WorkerEngine } from '../../query/engine/worker-engine.js';
import { registerQueryRoutes } from '../../query/http/query-routes.js';
import { registerIcebergCatalogRoutes } from '../../query/iceberg-catalog/catalog-routes.js';
import { IcebergCatalog } from '../../query/iceberg-catalog/iceberg-catalog.js';
import type { QueryMetrics } from '../../query/query-metrics.js';
import { defaultQueryLimits, QueryService } from '../../query/query-service.js';
import { queryCatalog } from '../../query/query-sources.js';
import type { HistoryGround } from './ground.js';
import { icebergClientDefaults } from './iceberg-client-defaults.js';
import type { QueryFlags } from './serve-flags.js';
import { objectRoot } from './stores.js';

/** The querier of a process: planning on this thread, the engine on one of its own. */
export interface Querier {
  registerRoutes(server: FastifyInstance): void;
  start(): Promise<void>;
  /** Questions are answered from now on: before what was in flux is back, answers would be silently short. */
  open(): void;
  stop(): Promise<void>;
}

/** Queries that may wait for a place beyond those that run. */
const waitingPerRunning = 32;
/** Threads of Node's pool that queries must leave to the WAL's syncs and to files. */
const threadsForFiles = 2;
/** Bounded cache of settled files, for object stores that are not on this machine. */
const cacheBytesMax = 8 * 2 ** 30;

/** What a querier works with besides the ground. */
export interface QuerierOptions {
  readonly flags: QueryFlags;
  readonly hotReader: HotReader;
  readonly conflicts: ConflictReader;
  /** Folder of bounded caches and spill files, of this process alone. */
  readonly cacheDirectory: string;
  /** Bytes of points in flux that one query may read. */
  readonly hotBytesMax: number;
}

/** Puts the querier together. */
export function openQuerier(ground: HistoryGround, options: QuerierOptions): Querier {
  const { flags, hotReader, cacheDirectory: root, hotBytesMax } = options;
  const { stores, catalogs, settled, objects, clock, logger } = ground;
  warnOfThreads(flags.queryConcurrency, logger);
  const filesRoot = join(root, 'files');
  mkdirSync(filesRoot, { recursive: true });
  const localRoot = objectRoot(stores);
  if (localRoot !== undefined) mkdirSync(localRoot, { recursive: true });
  const metrics = queryMetrics(ground.registry);
  const engine = new WorkerEngine(
    {
      threads: flags.queryThreads,
      memoryBytesMax: flags.queryMemory,
      spillDirectory: join(root, 'spill'),
      spillBytesMax: flags.querySpill,
      settledDirectories: localRoot === undefined ? [filesRoot] : [localRoot, filesRoot],
    },
    clock,
    logger,
  );
  const files = new ParquetFiles({
    objects,
    disk: new FileSystemDisk(filesRoot),
    root: filesRoot,
    bytesMax: cacheBytesMax,
    metrics,
  });
  const catalog = queryCatalog(catalogs);
  const service = new QueryService({
    catalog,
    settled,
    hot: hotReader,
    conflicts: options.conflicts,
    files,
    engine,
    clock,
    limits: {
      ...defaultQueryLimits,
      timeMs: flags.queryTimeout,
      runningMax: flags.queryConcurrency,
      waitingMax: flags.queryConcurrency * waitingPerRunning,
      hotBytesMax,
    },
    metrics,
    logger,
  });
  const icebergCatalog = new IcebergCatalog({
    catalog: { ...catalog, listDatabases: (signal) => catalogs.databases.list(signal) },
    objects,
    clientDefaults: icebergClientDefaults(stores),
  });
  let isOpen = false;
  return {
    registerRoutes: (server) => {
      // Other engines read settled files only, so their catalog answers before what was in flux is back.
      registerIcebergCatalogRoutes(server, icebergCatalog, logger);
      registerQueryRoutes(server, {
        query: (request, signal) => {
          if (isOpen) return service.query(request, signal);
          throw new VarveError(
            'unavailable',
            'the server is recovering what was in flux; want the same query again shortly',
            {
              retryAfterSeconds: 1,
            },
          );
        },
      });
    },
    open: () => {
      isOpen = true;
    },
    start: async () => {
      await files.start();
      await engine.start();
    },
    stop: () => engine.close(),
  };
}

/** A running query occupies a thread of Node's pool; with none left a write waits for its sync until a query ends. */
function warnOfThreads(queryConcurrency: number, logger: Logger): void {
  const poolThreads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4);
  if (queryConcurrency + threadsForFiles <= poolThreads) return;
  logger.warn(
    { queryConcurrency, poolThreads },
    `queries at once can keep writes waiting for their sync; want UV_THREADPOOL_SIZE of at least ${queryConcurrency + threadsForFiles}`,
  );
}

function queryMetrics(registry: Registry): QueryMetrics {
  const registers = [registry];
  const seconds = new Histogram({
    name: 'varve_query_seconds',
    help: 'From a query to the last byte of its answer, by outcome.',
    labelNames: ['outcome'],
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const stages = new Histogram({
    name: 'varve_query_stage_seconds',
    help: 'Stages of a query: parse, plan, wait, hot, files, execute (until the answer begins), answer.',
    labelNames: ['stage'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
    registers,
  });
  const hits = new Counter({
    name: 'varve_file_cache_hits_total',
    help: 'Settled files found in the cache.',
    registers,
  });
  const misses = new Counter({
    name: 'varve_file_cache_misses_total',
    help: 'Settled files fetched into the cache.',
    registers,
  });
  const bytes = new Counter({
    name: 'varve_file_cache_fetched_bytes_total',
    help: 'Bytes fetched into the cache.',
    registers,
  });
  return {
    querySeconds: (value, outcome) => seconds.observe({ outcome }, value),
    stageSeconds: (value, stage) => stages.observe({ stage }, value),
    cacheHit: () => hits.inc(),
    cacheMiss: (fetched) => {
      misses.inc();
      bytes.inc(fetched);
    },
  };
}
