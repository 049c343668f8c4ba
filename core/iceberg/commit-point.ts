import type { Database, SnapshotOutline, TableRecord, Versioned } from '../catalog/types.js';
import type { GroupId } from '../model/batch.js';

/** What SettledTables needs of the catalog: the table's record, read and replaced by compare-and-set. */
export interface TableCommitPoint {
  get(
    database: DatabaseIdentity,
    table: string,
    signal?: AbortSignal,
  ): Promise<Versioned<TableRecord> | undefined>;
  /**
   * Replaces the parts of the record named in `change` if its version is `expectedVersion` and no higher fencing
   * epoch has committed.
   */
  commit(
    database: DatabaseIdentity,
    table: string,
    expectedVersion: number,
    change: TableRecordChange,
    fencingEpoch: number,
    signal?: AbortSignal,
  ): Promise<TableCommitResult>;
}

/** A database that was deleted and made again has the same name and another id. */
export type DatabaseIdentity = Pick<Database, 'id' | 'name'>;

export interface TableRecordChange {
  readonly metadataKey: string;
  readonly snapshotId: string;
  readonly historyRoot: string;
  /** The whole new list, the groups named before included. */
  readonly sealedGroups: readonly GroupId[];
  /** Of the snapshot named here; null where it is too large for a record. */
  readonly outline: SnapshotOutline | null;
}

export type TableCommitResult =
  | { readonly kind: 'committed'; readonly record: Versioned<TableRecord> }
  | { readonly kind: 'conflict' }
  /** `by`: the higher epoch that has committed. */
  | { readonly kind: 'fenced'; readonly by: number };
