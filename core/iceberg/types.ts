import type { GroupId } from '../model/batch.js';
import type { TableSchema } from '../model/schema.js';
import type { ColumnStatistics } from '../parquet/types.js';

/** A data file of a table as its manifests tell of it. */
export interface DataFile {
  /** Key in the object store: `<table folder>/data/<sha-256 of the bytes in hex>.parquet`. */
  readonly key: string;
  /** Hex SHA-256 of the file's bytes. */
  readonly contentHash: string;
  readonly bytes: number;
  readonly rows: number;
  /** Day since the epoch that all rows lie in, or null for a file that spans days (partition spec 1, unpartitioned). */
  readonly day: number | null;
  readonly minTimeNs: bigint;
  readonly maxTimeNs: bigint;
  readonly columns: readonly ColumnStatistics[];
  readonly rowGroupOffsets: readonly number[];
  /** Names of the tags by which the file is sorted, then time. */
  readonly sortedBy: readonly string[];
  /** Iceberg's data sequence number: what was sealed later wins over what was sealed before. 0 in a file not yet committed. */
  readonly sequence: number;
}

/** A snapshot with all its data files: what a planner prunes. Immutable. */
export interface SnapshotFiles {
  readonly snapshotId: string;
  readonly historyRoot: string;
  readonly schema: TableSchema;
  readonly files: readonly DataFile[];
}

/** Lines of a table's history, newest first. */
export interface SnapshotSummary {
  readonly snapshotId: string;
  readonly sequence: number;
  readonly timestampMs: number;
  /** overwrite: a seal brought bytes that were live already, and their entry was replaced by a newer one. */
  readonly operation: 'append' | 'overwrite' | 'replace' | 'delete';
  readonly historyRoot: string;
  /** Groups sealed by this very snapshot. */
  readonly groups: readonly GroupId[];
  readonly fileCount: number;
  readonly rows: number;
  readonly bytes: number;
}

/** A change to a table's history; exactly one snapshot comes of it. */
export type TableChange =
  | {
      readonly kind: 'seal';
      readonly groups: readonly GroupId[];
      readonly added: readonly DataFile[];
      readonly properties?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'merge';
      readonly removed: readonly string[];
      readonly added: readonly DataFile[];
      readonly sequence: number;
    }
  | { readonly kind: 'remove'; readonly removed: readonly string[] };
