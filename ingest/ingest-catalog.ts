import type { Database, GroupKind, GroupList, ShardGroup, TableRecord } from '../core/catalog/types.js';
import type { GroupId } from '../core/model/batch.js';
import type { SchemaAddition } from '../core/model/schema.js';
import type { Window } from '../core/model/window.js';

/** What the ingest room asks of the catalog. */
export interface IngestCatalog {
  /** The database, made with default settings if it is missing and that is allowed; `not-found` otherwise. */
  openDatabase(name: string): Promise<Database>;
  /** The database with that id; undefined when it has been dropped. */
  databaseById(id: string): Promise<Database | undefined>;
  listTables(database: Database): Promise<readonly TableRecord[]>;
  /** Adds columns and tables; one outcome an addition, in order. */
  extendTables(database: Database, additions: readonly SchemaAddition[]): Promise<readonly ExtendOutcome[]>;
  groupList(database: Database): Promise<GroupList>;
  /** The open group of the instant, made if there is none; or why the instant takes no rows any more or yet. */
  openWindowGroup(database: Database, timeNs: bigint): Promise<OpenWindowOutcome>;
  /** The open group for rows of windows that are not open, made if there is none. */
  openSpillGroup(database: Database, kind: Exclude<GroupKind, 'window'>): Promise<ShardGroup>;
}

export type ExtendOutcome =
  | { readonly kind: 'extended'; readonly record: TableRecord }
  | {
      readonly kind: 'refused';
      readonly table: string;
      /** The column at fault; null when the table itself cannot be made. */
      readonly column: string | null;
      readonly reason: string;
    };

/** `span`: the instants around the one asked for that this holds for, a window or a part of one that was cut. */
export type OpenWindowOutcome = { readonly span: Window } & (
  | { readonly kind: 'open'; readonly group: ShardGroup }
  | { readonly kind: 'not-open'; readonly reason: 'behind' | 'ahead' | 'closed' }
);

/** Text that names a group of a database (by its id) in maps; no id contains NUL. */
export function groupKey(database: string, group: GroupId): string {
  return `${database}\0${group}`;
}

/** The database and group that a groupKey names. */
export function parseGroupKey(key: string): { readonly database: string; readonly group: GroupId } {
  const at = key.indexOf('\0');
  return { database: key.slice(0, at), group: key.slice(at + 1) as GroupId };
}
