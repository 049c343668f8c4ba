import type { Logger as PinoLogger } from 'pino';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import type { SettledTables } from '../../core/iceberg/settled-tables.js';
import type { Clock } from '../../core/ports/clock.js';
import type { MetaStore } from '../../core/ports/meta-store.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import type { Random } from '../../core/ports/random.js';
import { errorMessage } from '../../core/std/errors.js';
import { type Catalogs, openCatalogs } from './catalogs.js';
import { type LogFlags, openLogger } from './logging.js';
import { openSettledTables } from './settled-tables.js';
import { type StoreMetrics, storeMetrics } from './store-metrics.js';
import { openMetaStore, openObjectStore, resolveStoreFlags, type StoreFlags } from './stores.js';

/** What every part of a serving process stands on. */
export interface Ground {
  readonly logger: PinoLogger;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly random: Random;
  readonly stores: StoreFlags;
  readonly storeMetrics: StoreMetrics;
  readonly meta: MetaStore;
  readonly catalogs: Catalogs;
  /** Ends the process at once: going on could harm the data. */
  readonly fatal: (reason: string) => never;
}

/** The ground of a process that also reads or writes settled history. */
export interface HistoryGround extends Ground {
  readonly objects: ObjectStore;
  readonly settled: SettledTables;
}

/** Exit status of a process that ended itself because it contradicted itself (sysexits.h: EX_SOFTWARE). */
const fatalStatus = 70;

/** Opens both stores. */
export async function openHistoryGround(flags: StoreFlags & LogFlags): Promise<HistoryGround> {
  const ground = await openGround(flags);
  const { stores, storeMetrics: metrics, logger } = ground;
  const objects = await openObjectStore(stores, metrics);
  // Writes are taken while the object store is away, so that it is away does not keep the process from starting.
  await objects.check().catch((error: unknown) => logger.error({}, errorMessage(error)));
  return { ...ground, objects, settled: openSettledTables({ ...ground, objects }) };
}

/** Opens the catalog. */
export async function openGround(flags: StoreFlags & LogFlags): Promise<Ground> {
  const logger = openLogger(flags);
  const clock = new SystemClock();
  const random = new SystemRandom();
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const stores = resolveStoreFlags(flags);
  const metrics = storeMetrics(registry, '');
  const meta = await openMetaStore(stores, metrics);
  const catalogs = openCatalogs({ store: meta, clock, random });
  return {
    logger,
    registry,
    clock,
    random,
    stores,
    storeMetrics: metrics,
    meta,
    catalogs,
    fatal: (reason) => {
      logger.fatal(
        { reason },
        'ending the process: going on could harm the data; a restart recovers from the WAL',
      );
      process.exit(fatalStatus);
    },
  };
}
