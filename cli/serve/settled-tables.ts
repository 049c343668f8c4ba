import { SettledTables } from '../../core/iceberg/settled-tables.js';
import type { Clock } from '../../core/ports/clock.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import type { Random } from '../../core/ports/random.js';
import type { Logger } from '../../core/std/logger.js';
import type { Catalogs } from './catalogs.js';

/** The settled history over an object store, with the catalog's table records as its commit point. */
export function openSettledTables(options: {
  readonly objects: ObjectStore;
  readonly catalogs: Catalogs;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}): SettledTables {
  const { catalogs, ...rest } = options;
  return new SettledTables({ ...rest, commitPoint: catalogs.tables });
}
