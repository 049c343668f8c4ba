import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryMetaStore, type MemoryMetaStoreOptions } from '../../../core/adapters/meta-store-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { DatabaseCatalog } from '../../../core/catalog/database-catalog.js';
import { defaultDatabaseSettings } from '../../../core/catalog/database-settings.js';
import { GroupCatalog } from '../../../core/catalog/group-catalog.js';
import { LeaseCatalog } from '../../../core/catalog/lease-catalog.js';
import { NodeCatalog } from '../../../core/catalog/node-catalog.js';
import type { CatalogPorts } from '../../../core/catalog/record-store.js';
import { TableCatalog } from '../../../core/catalog/table-catalog.js';
import type { Database, DatabaseSettings, ShardOwners } from '../../../core/catalog/types.js';
import type { NodeId } from '../../../core/model/batch.js';
import { windowOf } from '../../../core/model/window.js';

export const node = (name: string): NodeId => name as NodeId;
export const minuteMs = 60_000;
/** 2024-01-01T00:00:00Z, where the simulated clock begins: a whole number of any window. */
export const startMs = Date.UTC(2024, 0, 1);

/** Window 10 m, grace 5 m, late delay 1 m, created at startMs. */
export const database: Database = {
  ...defaultDatabaseSettings,
  name: 'metrics',
  id: '018cc251f400aaaaaaaaaaaaaaaaaaaa',
  createdMs: startMs,
};

/** One shard with one owner, `n1`. */
export const assign = (): readonly ShardOwners[] => [{ owners: [node('n1')] }];

/** Begin of the window that contains the moment this many milliseconds after startMs. */
export const windowAt = (afterMs: number): bigint =>
  windowOf(BigInt(startMs + afterMs) * 1_000_000n, database.windowMs).startNs;

export const settingsWith = (some: Partial<DatabaseSettings>): DatabaseSettings => ({
  ...defaultDatabaseSettings,
  ...some,
});

export interface CatalogFixture extends CatalogPorts {
  readonly store: MemoryMetaStore;
  readonly clock: SimulatedClock;
  readonly databases: DatabaseCatalog;
  readonly tables: TableCatalog;
  readonly groups: GroupCatalog;
  readonly leases: LeaseCatalog;
  readonly nodes: NodeCatalog;
}

/** The whole catalog over a memory store and a clock that jumps over back-offs. */
export function openCatalog(options: MemoryMetaStoreOptions = {}): CatalogFixture {
  const clock = new SimulatedClock({ startMs, sleeps: 'jump' });
  const store = new MemoryMetaStore(options);
  const ports = { store, clock, random: new SeededRandom(1) };
  const databases = new DatabaseCatalog(ports);
  return {
    ...ports,
    databases,
    tables: new TableCatalog(ports, databases),
    groups: new GroupCatalog(ports),
    leases: new LeaseCatalog(ports),
    nodes: new NodeCatalog(ports),
  };
}
