import type { ConsistencyLevel } from '../core/catalog/types.js';
import type { GroupId, NodeId } from '../core/model/batch.js';
import type { TableRows } from '../core/model/columns.js';
import type { TableSchema } from '../core/model/schema.js';

/**
 * What stands between a protocol and the write path. Validation is staged: a protocol decodes lines against the
 * schema known now (parsed), the write path extends the catalog (schema-checked), then routes, replicates and
 * syncs (committed).
 */
export interface WriteSink {
  /** Finds the database, creating it if that is allowed; `not-found` otherwise, `unavailable` at the limits of memory. */
  begin(request: WriteRequest): Promise<WriteSession>;
}

export interface WriteRequest {
  readonly database: string;
  /** The database's own level when absent. */
  readonly level?: ConsistencyLevel;
}

export interface WriteSession {
  /** The table's columns as known now, or undefined for a table not seen yet. Synchronous: called while decoding. */
  schemaOf(table: string): TableSchema | undefined;
  readonly limits: WriteLimits;
  /**
   * Resolves when the write met its level. Rows that cannot be taken (type conflict that came up meanwhile, older
   * than retention, limits of columns or tables) are in `rejected`; all others are durable.
   * Errors: LevelNotMetError, `exhausted` (disk full), `unavailable` (limit of memory, with retry-after).
   */
  commit(tables: readonly DecodedTable[], options: CommitOptions): Promise<CommitReport>;
}

export interface CommitOptions {
  /** False: if any row would be rejected none is written. */
  readonly acceptPartial: boolean;
  readonly signal?: AbortSignal;
}

export interface WriteLimits {
  readonly columnsMax: number;
  readonly tablesMax: number;
}

/** Rows of one table with the line each came from. */
export interface DecodedTable {
  readonly rows: TableRows;
  /** Length rows.rowCount; 1-based line number in the request. */
  readonly lineNumbers: Int32Array;
}

export interface RowRejection {
  readonly lineNumber: number;
  readonly message: string;
}

export interface CommitReport {
  /** Rows written, duplicates within the request included. */
  readonly written: number;
  readonly rejected: readonly RowRejection[];
}

/** What became of the rows for one shard. */
export interface ShardOutcome {
  readonly group: GroupId;
  readonly shard: number;
  readonly level: ConsistencyLevel;
  readonly required: number;
  readonly acknowledged: readonly NodeId[];
  readonly hinted: readonly NodeId[];
  readonly failed: readonly { readonly node: NodeId; readonly reason: string }[];
}

/** The level was not met for some shard. Sending the same request again is safe: points are idempotent. */
export class LevelNotMetError extends Error {
  readonly shards: readonly ShardOutcome[];
  /** When to send it again; sent as Retry-After. */
  readonly retryAfterSeconds: number;

  constructor(message: string, shards: readonly ShardOutcome[], retryAfterSeconds: number) {
    super(message);
    this.name = 'LevelNotMetError';
    this.shards = shards;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
