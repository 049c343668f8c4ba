import type { DatabaseCatalog } from '../core/catalog/database-catalog.js';
import type { GroupCatalog } from '../core/catalog/group-catalog.js';
import type { TableCatalog } from '../core/catalog/table-catalog.js';
import type { Database, GroupList, TableRecord } from '../core/catalog/types.js';
import type { TimeBounds } from '../core/iceberg/snapshot-outline.js';
import type { SnapshotFiles } from '../core/iceberg/types.js';

/** The catalog as a query sees it: reads only. Every call reads what is committed now. */
export interface QueryCatalog {
  getDatabase(database: string, signal?: AbortSignal): Promise<Database | undefined>;
  /** Everything in flux; a query reads it first, before any table's record. */
  getGroups(database: Database, signal?: AbortSignal): Promise<GroupList>;
  getTable(database: Database, table: string, signal?: AbortSignal): Promise<TableRecord | undefined>;
  listTables(database: Database, signal?: AbortSignal): Promise<readonly TableRecord[]>;
}

/** Settled history: the files of a snapshot, the record's current one where no id is given. */
export interface SettledReader {
  /**
   * With `within`, at least the files that may hold a row within the bounds. `not-found` when the snapshot has expired.
   */
  snapshot(record: TableRecord, snapshotId?: string, within?: TimeBounds): Promise<SnapshotFiles>;
}

/** The catalog's classes as one QueryCatalog. */
export function queryCatalog(catalogs: {
  readonly databases: DatabaseCatalog;
  readonly groups: GroupCatalog;
  readonly tables: TableCatalog;
}): QueryCatalog {
  const { databases, groups, tables } = catalogs;
  return {
    getDatabase: (database, signal) => databases.get(database, signal),
    getGroups: async (database, signal) => (await groups.get(database, signal)).value,
    getTable: async (database, table, signal) => (await tables.get(database, table, signal))?.value,
    listTables: async (database, signal) =>
      (await tables.list(database, signal)).map((versioned) => versioned.value),
  };
}
