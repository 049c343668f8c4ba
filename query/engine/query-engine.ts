/**
 * What the planner and the HTTP routes see of the SQL engine. Nothing here knows DuckDB, so that the engine can live
 * in another thread, and tests can do without one.
 */
export interface QueryEngine {
  /**
   * Parses one statement. `invalid` with the engine's message and position when it is wrong, is not one statement,
   * or is none that reads.
   */
  parse(sql: string, signal?: AbortSignal): Promise<ParsedSql>;
  /**
   * Tables that the engine itself finds to be named, CTEs left out: a second opinion on admission. For admitted SQL
   * only, since it binds the table functions that are called.
   */
  tableNames(sql: string, signal?: AbortSignal): Promise<readonly string[]>;
  /** The SQL text of a parse tree that `parse` gave and the planner changed. */
  print(ast: string, signal?: AbortSignal): Promise<string>;
  /**
   * Microseconds since the epoch of column-free expressions, each cast to TIMESTAMP; null where that fails or is
   * infinite.
   */
  evaluate(request: EvaluateRequest, signal?: AbortSignal): Promise<readonly (bigint | null)[]>;
  /**
   * Starts a statement. Resolves once the columns are known; the body then comes as it is made. Leaving the body early
   * or aborting the signal interrupts the engine. Errors: `invalid` (SQL wrong, conversion failed), `exhausted`
   * (memory or spill limit), `too-large` (answer above its limit), `unavailable` (a data file could not be read).
   */
  execute(request: ExecuteRequest, signal?: AbortSignal): Promise<EngineAnswer>;
  close(): Promise<void>;
}

export interface ParsedSql {
  /** JSON of the parse tree, as json_serialize_sql gives it; one SELECT statement. */
  readonly ast: string;
}

export type SqlParameter = string | number | bigint | boolean | null;
export type SqlParameters = Readonly<Record<string, SqlParameter>>;

export interface EvaluateRequest {
  readonly expressions: readonly string[];
  readonly parameters: SqlParameters;
  /** What now() and its kin give, microseconds since the epoch. */
  readonly nowMicros: bigint;
}

/** The formats an answer can have. */
export type ResultFormat = 'json' | 'jsonl' | 'csv' | 'pretty' | 'parquet' | 'arrow';

export interface ExecuteRequest {
  readonly sql: string;
  readonly explain: 'no' | 'plan' | 'analyze';
  readonly parameters: SqlParameters;
  /** Statements that make the temporary views the SQL reads, in order. */
  readonly views: readonly ViewSql[];
  /** What now() and its kin give, microseconds since the epoch; null when the SQL does not ask. */
  readonly nowMicros: bigint | null;
  readonly hotScans: readonly HotScanBytes[];
  readonly format: ResultFormat;
  /** Whether the engine makes the whole answer, spilling what memory does not hold, before it hands out a row. */
  readonly isGathered: boolean;
  /** Limit on formats that must be held whole (parquet). */
  readonly heldBytesMax: number;
}

/** A statement in pieces. */
export type ViewSql = readonly (string | SettledChoice | WholeFiles)[];

/** SQL that reads settled files whole, as far as their statistics do not rule row groups out. */
export interface WholeFiles {
  readonly wide: string;
}

/** Two ways to read the same settled rows; the engine takes the one that reads less. */
export interface SettledChoice extends WholeFiles {
  readonly scan: SettledScan;
  /** Reads `varve_settled('<id>')`: the rows of few series, picked out of their files. */
  readonly narrow: string;
}

/** Rows of settled files that have the same columns. */
export interface SettledScan {
  /** No other scan of the query has it. The same question asked again should have the same: its views then are alike. */
  readonly id: string;
  /** Paths of the files on this machine. */
  readonly paths: readonly string[];
  /** What the scan gives: `time` as TIMESTAMP, `time_ns` as INTEGER where the files have it, then columns. */
  readonly columns: readonly {
    readonly name: string;
    readonly type: HotColumnType | 'time-us' | 'nanos';
    readonly fieldId: number;
  }[];
  /** `last`: no more is wanted than the last row of each series, of which the files have each as one run of rows. */
  readonly rows: 'all' | 'last';
  /**
   * All must hold; each row that holds them and lies within the times is given, others may be. Of
   * the last rows, all are given.
   */
  readonly tags: readonly { readonly fieldId: number; readonly values: readonly (string | null)[] }[];
  /** Inclusive, microseconds since the epoch; null for no bound. */
  readonly minMicros: number | null;
  readonly maxMicros: number | null;
}

/** The type of a column of a hot scan: a tag, or a field of one of the five types. */
export type HotColumnType = 'tag' | 'double' | 'bigint' | 'ubigint' | 'boolean' | 'string';

/** Rows that a view reads by `varve_hot('<id>')`: `time` as TIMESTAMP_NS, then the columns. */
export interface HotScanBytes {
  /** As of a SettledScan. */
  readonly id: string;
  /** Columns the scan gives; one that a stream lacks is null in it. */
  readonly columns: readonly { readonly name: string; readonly type: HotColumnType }[];
  /** Arrow IPC streams as HotReader gives them, each in pieces that own their buffers: the engine takes them over. */
  readonly streams: readonly (readonly Uint8Array[])[];
}

export interface ResultColumnInfo {
  readonly name: string;
  /** The SQL type, as the engine writes it. */
  readonly type: string;
}

export interface EngineAnswer {
  readonly columns: readonly ResultColumnInfo[];
  /** The formatted answer in pieces. */
  readonly body: AsyncIterable<Uint8Array>;
}
