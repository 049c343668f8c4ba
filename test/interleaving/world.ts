import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localNodeReader } from '../../cli/serve/local-node.js';
import { openSettledTables } from '../../cli/serve/settled-tables.js';
import { Compactor } from '../../compactor/compactor.js';
import { defaultCompactorSettings } from '../../compactor/compactor-settings.js';
import { noCompactorMetrics } from '../../compactor/metrics.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { FileSystemDisk } from '../../core/adapters/disk-filesystem.js';
import { MemoryObjectStore } from '../../core/adapters/object-store-memory.js';
import { silentLogger } from '../../core/std/logger.js';
import { ParquetFiles } from '../../query/cache/parquet-files.js';
import { DuckDbEngine } from '../../query/engine/duckdb-engine.js';
import { unwatched } from '../../query/engine/engine-watch.js';
import { noQueryMetrics } from '../../query/query-metrics.js';
import { defaultQueryLimits, QueryService } from '../../query/query-service.js';
import { queryCatalog } from '../../query/query-sources.js';
import { type MemoryNode, type MemoryWorld, makeWorld, startNode } from '../support/memory-node.js';

export const database = 'db';
export const windowMs = 10_000;
export const graceMs = 5000;
const lateDelayMs = 3000;
export const historyMs = 60_000;

/** A whole server in one thread: simulated clock, memory stores, real everything else. */
export interface WholeWorld extends MemoryWorld {
  readonly objects: MemoryObjectStore;
  current: MemoryNode;
  compactor: Compactor;
  readonly query: QueryService;
  /** Another compactor takes over, as after a crash of the first. */
  replaceCompactor(): Promise<void>;
  /** The process is killed and starts again from its disk. */
  crashAndRestart(): Promise<void>;
}

let engine: Promise<DuckDbEngine> | undefined;
const cacheRoot = mkdtempSync(join(tmpdir(), 'varve-interleaving-'));
process.once('exit', () => rmSync(cacheRoot, { recursive: true, force: true }));

/** One engine for all worlds of a test file: an instance costs more than a query. */
function sharedEngine(): Promise<DuckDbEngine> {
  engine ??= DuckDbEngine.open(
    {
      threads: 2,
      memoryBytesMax: 2 ** 28,
      spillDirectory: join(cacheRoot, 'spill'),
      spillBytesMax: 2 ** 28,
      settledDirectories: [cacheRoot],
    },
    unwatched(new SystemClock()),
  );
  return engine;
}

/** Makes a whole world. */
export async function makeWholeWorld(seed: number): Promise<WholeWorld> {
  const base = makeWorld({ seed, settings: { windowMs, graceMs, lateDelayMs, historyMs } });
  const { clock, random, catalogs } = base;
  const objects = new MemoryObjectStore({ clock });
  const settled = openSettledTables({ objects, catalogs, clock, random, logger: silentLogger });
  const files = new ParquetFiles({
    objects,
    disk: new FileSystemDisk(cacheRoot),
    root: cacheRoot,
    bytesMax: 2 ** 30,
    metrics: noQueryMetrics,
  });
  let starts = 0;
  const makeCompactor = (): Compactor =>
    new Compactor({
      catalog: catalogs,
      settled,
      objects,
      peers: () => localNodeReader(world.current.node.owner, world.current.hotReader),
      clock,
      logger: silentLogger,
      metrics: noCompactorMetrics,
      holder: `compactor/${++starts}`,
      isGone: (holder) => Number(holder.split('/')[1]) < starts,
      onFatal: (error) => {
        throw error;
      },
      settings: {
        ...defaultCompactorSettings,
        releaseGraceMs: 1000,
        merge: { ...defaultCompactorSettings.merge, fanIn: 2, quietMs: 0, dayDelayMs: 0 },
        expiry: { graceMs: 5000, orphanScanMs: 5000 },
        upkeepIdleMs: 1000,
      },
    });
  const world: WholeWorld = {
    ...base,
    objects,
    current: await startNode(base),
    compactor: makeCompactor(),
    query: new QueryService({
      catalog: queryCatalog(catalogs),
      settled,
      hot: {
        describe: (request) => world.current.hotReader.describe(request),
        scan: (request, signal) => world.current.hotReader.scan(request, signal),
        holdings: (request) => world.current.hotReader.holdings(request),
      },
      files,
      engine: await sharedEngine(),
      clock,
      limits: { ...defaultQueryLimits, timeMs: 3_600_000 },
      metrics: noQueryMetrics,
      logger: silentLogger,
    }),
    replaceCompactor: async () => {
      world.compactor = makeCompactor();
      await world.compactor.keepLease();
    },
    crashAndRestart: async () => {
      base.disk.crash(base.random);
      world.current = await startNode(base);
      await world.replaceCompactor();
    },
  };
  await world.compactor.keepLease();
  return world;
}
