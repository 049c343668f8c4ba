import type { DuckDBConnection } from '@duckdb/node-api';
import { sqlText } from '../plan/identifiers.js';

/** What the engine may use. Everything else is shut: see docs/adr/0003-sandbox.md. */
export interface EngineOptions {
  readonly threads: number;
  readonly memoryBytesMax: number;
  /** Where intermediate results spill; made if missing. */
  readonly spillDirectory: string;
  readonly spillBytesMax: number;
  /** The only directories that a scan may read: the roots of settled files. Absolute paths. */
  readonly settledDirectories: readonly string[];
  /** A query that goes on for so long though it is interrupted is stuck, milliseconds; 30,000 where it is left out. */
  readonly stuckAfterMs?: number;
}

/** Limits of one instance of DuckDB. */
export interface LaneOptions {
  readonly threads: number;
  readonly memoryBytesMax: number;
  /** Null: it may not spill. */
  readonly spill: { readonly directory: string; readonly bytesMax: number } | null;
  /** As in EngineOptions; none for a lane that reads no files. */
  readonly settledDirectories: readonly string[];
}

/** Depth of an expression such as a + b + c + …; 200 terms take a fraction of a second. */
const expressionDepthMax = 250;

/**
 * Closes the sandbox. Order matters: directories and time zone before the lock, the lock last; nothing can be set
 * afterwards, by us neither.
 */
export async function closeSandbox(connection: DuckDBConnection, options: LaneOptions): Promise<void> {
  const directories = options.settledDirectories.map(sqlText).join(', ');
  const settings = [
    `SET TimeZone = 'UTC'`,
    // Preparing a chain of operators takes time with the cube of its depth, and cannot be interrupted.
    `SET GLOBAL max_expression_depth = ${expressionDepthMax}`,
    `SET autoinstall_known_extensions = false`,
    `SET autoload_known_extensions = false`,
    `SET allow_community_extensions = false`,
    `SET parquet_metadata_cache = true`,
    `SET temp_directory = ${sqlText(options.spill?.directory ?? '')}`,
    `SET max_temp_directory_size = '${options.spill?.bytesMax ?? 0} bytes'`,
    `SET allowed_directories = [${directories}]`,
    `SET enable_external_access = false`,
    `SET lock_configuration = true`,
  ];
  for (const setting of settings) await connection.run(setting);
}

/** The session variable that holds the one "now" of a query, as TIMESTAMP. */
export const nowVariable = 'varve_now';

const now = `getvariable('${nowVariable}')::TIMESTAMP`;

/**
 * Functions of ours, which stand before the engine's own of the same name. All that tell the time tell the query's
 * pinned one, as TIMESTAMP: the engine's TIMESTAMPTZ cannot be compared with TIMESTAMP_NS. `date_bin` is InfluxDB 3's
 * name, with its default origin.
 */
export const macroStatements: readonly string[] = [
  `CREATE MACRO now() AS ${now}`,
  `CREATE MACRO transaction_timestamp() AS ${now}`,
  `CREATE MACRO get_current_timestamp() AS ${now}`,
  `CREATE MACRO current_localtimestamp() AS ${now}`,
  `CREATE MACRO current_date() AS (${now})::DATE`,
  `CREATE MACRO today() AS (${now})::DATE`,
  `CREATE MACRO get_current_time() AS (${now})::TIME`,
  `CREATE MACRO current_localtime() AS (${now})::TIME`,
  `CREATE MACRO ago(span) AS ${now} - span::INTERVAL`,
  `CREATE MACRO age(a) AS system.main.age((${now})::DATE::TIMESTAMP, a), (a, b) AS system.main.age(a, b)`,
  `CREATE MACRO date_bin(width, instant) AS time_bucket(width::INTERVAL, instant, TIMESTAMP '1970-01-01'),
     (width, instant, origin) AS time_bucket(width::INTERVAL, instant, origin::TIMESTAMP)`,
];
