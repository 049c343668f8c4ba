import { expect, test } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryMetaStore } from '../../../core/adapters/meta-store-memory.js';
import { MemoryObjectStore } from '../../../core/adapters/object-store-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { DatabaseCatalog } from '../../../core/catalog/database-catalog.js';
import { defaultDatabaseSettings } from '../../../core/catalog/database-settings.js';
import { TableCatalog } from '../../../core/catalog/table-catalog.js';
import type { Database, TableRecord } from '../../../core/catalog/types.js';
import { contentHashOf, dataFileKey } from '../../../core/iceberg/object-paths.js';
import { SettledTables } from '../../../core/iceberg/settled-tables.js';
import type { DataFile } from '../../../core/iceberg/types.js';
import { silentLogger } from '../../../core/std/logger.js';
import { group, putRows } from './history-fixture.js';

/** SettledTables on the catalog itself rather than on the fixture's record. */

const limits = { columnsMax: 100, tablesMax: 100 };

async function onCatalog() {
  const clock = new SimulatedClock({ sleeps: 'jump' });
  const random = new SeededRandom(7);
  const ports = { store: new MemoryMetaStore(), clock, random };
  const databases = new DatabaseCatalog(ports);
  const tables = new TableCatalog(ports, databases);
  const objects = new MemoryObjectStore({ clock });
  const settled = new SettledTables({ objects, commitPoint: tables, clock, random, logger: silentLogger });
  const database = await databases.ensure('metrics', defaultDatabaseSettings);
  const extend = async (...fields: string[]): Promise<TableRecord> => {
    const additions = fields.map((name) => ({ name, type: 'double' as const }));
    await tables.extend(
      database,
      [{ table: 'cpu', tags: ['host'], fields: additions, hasTimeNs: false }],
      limits,
    );
    const record = (await tables.get(database, 'cpu'))?.value;
    if (record === undefined) throw new Error('got no record; want one');
    return record;
  };
  return { databases, tables, objects, settled, database, extend };
}

async function dataFile(
  objects: MemoryObjectStore,
  database: Database,
  record: TableRecord,
  usage: number,
): Promise<DataFile> {
  const file = await putRows(objects, record.schema, [{ timeNs: 1000n, host: 'a', usage }]);
  const bytes = await objects.get(file.key);
  const key = dataFileKey(database.id, record.tableUuid, contentHashOf(bytes));
  await objects.put(key, bytes);
  return { ...file, key };
}

test('a seal, a new column and a second seal end in one history on the catalog', async () => {
  const { tables, objects, settled, database, extend } = await onCatalog();
  const first = await extend('usage');
  const seal = (number: number, ...added: DataFile[]) => {
    const change = { kind: 'seal', groups: [group(number)], added } as const;
    return settled.commit({ database, table: 'cpu', change, fencingEpoch: 3 });
  };
  const file = await dataFile(objects, database, first, 1);
  expect((await seal(1, file)).kind).toBe('committed');
  expect((await seal(1, file)).kind).toBe('already');
  const second = await extend('load');
  const result = await seal(2, await dataFile(objects, database, second, 2));
  if (result.kind !== 'committed') throw new Error(`got ${result.kind}; want committed`);
  expect(result.record).toEqual((await tables.get(database, 'cpu'))?.value);
  expect(result.record.sealedGroups).toEqual([group(1), group(2)]);
  const snapshot = await settled.snapshot(result.record);
  expect(snapshot.files).toHaveLength(2);
  expect(snapshot.schema).toEqual(second.schema);
  await tables.forgetGroups(database, 'cpu', [group(1)]);
  expect((await seal(1, file)).kind).toBe('already');
});

test('a compactor whose epoch is behind is fenced by the catalog', async () => {
  const { objects, settled, database, extend } = await onCatalog();
  const record = await extend('usage');
  const commit = async (number: number, fencingEpoch: number) => {
    const added = [await dataFile(objects, database, record, number)];
    const change = { kind: 'seal', groups: [group(number)], added } as const;
    return settled.commit({ database, table: 'cpu', change, fencingEpoch });
  };
  expect((await commit(1, 5)).kind).toBe('committed');
  expect(await commit(2, 4)).toEqual({ kind: 'fenced', by: 5 });
  expect((await commit(2, 6)).kind).toBe('committed');
});

test('a database made again under the same name does not take commits meant for the old one', async () => {
  const { databases, objects, settled, database, extend } = await onCatalog();
  const record = await extend('usage');
  const file = await dataFile(objects, database, record, 1);
  await databases.delete('metrics');
  const again = await databases.ensure('metrics', defaultDatabaseSettings);
  expect(again.id).not.toBe(database.id);
  const change = { kind: 'seal', groups: [group(1)], added: [file] } as const;
  const request = { database: again, table: 'cpu', change, fencingEpoch: 1 };
  await expect(settled.commit(request)).rejects.toThrow('no such table');
});
