import { Gauge, type Registry } from 'prom-client';
import type { SettledTables } from '../../core/iceberg/settled-tables.js';
import type { Catalogs } from './catalogs.js';

const states = ['open', 'closing', 'sealed'] as const;

/**
 * Registers gauges of what the catalog says of each database: groups by state, tables, and the files, rows and bytes
 * of settled history. They show what stood when the returned function was last called; snapshots come from the cache
 * of parsed manifests.
 */
export function registerStateGauges(
  registry: Registry,
  catalogs: Catalogs,
  settled: SettledTables,
): () => Promise<void> {
  const gauge = (name: string, help: string, ...more: readonly string[]): Gauge =>
    new Gauge({ name, help, labelNames: ['database', ...more], registers: [registry] });
  const groups = gauge('varve_groups', 'Shard groups in flux; sealed ones wait to be released.', 'state');
  const tables = gauge('varve_tables', 'Tables of a database.');
  const files = gauge('varve_settled_files', 'Data files of the current snapshots.');
  const rows = gauge('varve_settled_rows', 'Rows of the current snapshots.');
  const bytes = gauge('varve_settled_bytes', 'Bytes of the data files of the current snapshots.');
  return async () => {
    const databases = await catalogs.databases.list();
    for (const each of [groups, tables, files, rows, bytes]) each.reset();
    for (const database of databases) {
      const label = { database: database.name };
      const { value: list } = await catalogs.groups.get(database);
      for (const state of states) {
        groups.set({ ...label, state }, list.groups.filter((group) => group.state === state).length);
      }
      const records = await catalogs.tables.list(database.name);
      tables.set(label, records.length);
      for (const { value: record } of records) {
        for (const file of (await settled.snapshot(record)).files) {
          files.inc(label);
          rows.inc(label, file.rows);
          bytes.inc(label, file.bytes);
        }
      }
    }
  };
}
