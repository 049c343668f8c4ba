import type { DuckDBConnection, DuckDBPreparedStatement, DuckDBType } from '@duckdb/node-api';
import { isVarveError, VarveError } from '../../core/std/errors.js';
import { finishing } from '../finishing.js';
import { encoderFor } from '../formats/encoder-for.js';
import type { ResultEncoder } from '../formats/result-encoder.js';
import { engineError } from './engine-errors.js';
import { EngineLane, KeptConnections } from './engine-lane.js';
import type { EngineOptions } from './engine-settings.js';
import type { EngineWatch } from './engine-watch.js';
import { decodeHotScan } from './hot-scan.js';
import type {
  EngineAnswer,
  EvaluateRequest,
  ExecuteRequest,
  ParsedSql,
  QueryEngine,
  SqlParameters,
  ViewSql,
} from './query-engine.js';
import { readChunk, resultKind } from './result-reader.js';
import { bindParameters, RunningQuery, type StartedStatement, setNowSql } from './running-query.js';
import type { EngineScan } from './scan.js';
import { SettledRows } from './settled-rows.js';

interface SerializedSql {
  readonly error: boolean;
  readonly error_message?: string;
  readonly error_type?: string;
  readonly position?: string;
}

/** Memory for what is known of settled files, roughly. */
const knownOfFilesBytesMax = 64 * 2 ** 20;
/** The narrow lane's part of the engine's memory: one in so many. */
const narrowShare = 8;
/** Rows with which a query may take the narrow lane: they come through one thread anyway. */
const narrowRowsMax = 100_000;
/** Connections that keep their views; some tens of kilobytes each. */
const keptConnectionsMax = 16;

/** What a query reads, as one of the lanes is to have it. */
interface ReadyQuery {
  readonly request: ExecuteRequest;
  readonly views: readonly string[];
  readonly scans: ReadonlyMap<string, EngineScan>;
  /** True when all rows come from scans of ours and are few. */
  readonly isNarrow: boolean;
}

/**
 * DuckDB, sandboxed, in the thread that opens it, as two instances. The wide lane has all threads and reads files. The
 * narrow lane has the one thread that calls it, reads no file and does not spill: with two, one of them waits in a loop
 * for the other, which costs a short query more than the query itself. What is too large for it goes the wide way. A
 * connection serves one query at a time; its views and its "now" are that query's. The thread must stay free while a
 * query reads scans: the engine calls back into it.
 */
export class DuckDbEngine implements QueryEngine {
  readonly #wide: EngineLane;
  readonly #narrow: EngineLane;
  readonly #kept = new KeptConnections(keptConnectionsMax);
  readonly #settledRows = new SettledRows(knownOfFilesBytesMax);
  readonly #watch: EngineWatch;
  /** Kept prepared: every new text goes through it. */
  #serialize: DuckDBPreparedStatement | undefined;
  #parserQueue: Promise<unknown> = Promise.resolve();

  private constructor(wide: EngineLane, narrow: EngineLane, watch: EngineWatch) {
    this.#wide = wide;
    this.#narrow = narrow;
    this.#watch = watch;
  }

  static async open(options: EngineOptions, watch: EngineWatch): Promise<DuckDbEngine> {
    const { threads, settledDirectories, spillDirectory, spillBytesMax } = options;
    const narrowBytesMax = Math.trunc(options.memoryBytesMax / narrowShare);
    const wide = await EngineLane.open({
      threads,
      memoryBytesMax: options.memoryBytesMax - narrowBytesMax,
      spill: { directory: spillDirectory, bytesMax: spillBytesMax },
      settledDirectories,
    });
    const narrow = await EngineLane.open({
      threads: 1,
      memoryBytesMax: narrowBytesMax,
      spill: null,
      settledDirectories: [],
    });
    return new DuckDbEngine(wide, narrow, watch);
  }

  async parse(sql: string): Promise<ParsedSql> {
    return this.#withParser(async (connection) => {
      this.#serialize ??= await connection.prepare('SELECT json_serialize_sql($1::VARCHAR)');
      this.#serialize.bindVarchar(1, sql);
      const ast = String((await this.#serialize.runAndReadAll()).getRows()[0]?.[0]);
      // Cheap look first: a parse tree can hold numbers that JSON.parse refuses.
      if (ast.startsWith('{"error":true')) throw parseError(JSON.parse(ast) as SerializedSql, sql);
      return { ast };
    });
  }

  async tableNames(sql: string): Promise<readonly string[]> {
    return this.#withParser(async (connection) => connection.getTableNames(sql, false));
  }

  async print(ast: string): Promise<string> {
    return this.#withParser(async (connection) => {
      const reader = await connection.runAndReadAll(`SELECT json_deserialize_sql($1::JSON)`, [ast]);
      return String(reader.getRows()[0]?.[0]);
    });
  }

  async evaluate(request: EvaluateRequest): Promise<readonly (bigint | null)[]> {
    return this.#withParser(async (connection) => {
      await connection.run(setNowSql(request.nowMicros));
      const values: (bigint | null)[] = [];
      for (const expression of request.expressions) {
        values.push(await evaluateOne(connection, expression, request.parameters));
      }
      return values;
    });
  }

  async execute(request: ExecuteRequest, signal?: AbortSignal): Promise<EngineAnswer> {
    const query = this.#ready(request);
    if (!query.isNarrow) return this.#run(this.#wide, query, signal);
    try {
      return await this.#run(this.#narrow, query, signal);
    } catch (error) {
      if (!isVarveError(error, 'exhausted') || signal?.aborted) throw error;
      return this.#run(this.#wide, query, signal);
    }
  }

  async close(): Promise<void> {
    await this.#parserQueue;
    this.#serialize?.destroySync();
    this.#kept.close();
    this.#narrow.close();
    this.#wide.close();
  }

  #ready(request: ExecuteRequest): ReadyQuery {
    const scans = new Map<string, EngineScan>();
    for (const scan of request.hotScans) scans.set(scan.id, decodeHotScan(scan));
    let readsFiles = false;
    const textOf = (piece: ViewSql[number]): string => {
      if (typeof piece === 'string') return piece;
      const scan = 'scan' in piece ? this.#settledRows.select(piece.scan) : undefined;
      if ('scan' in piece && scan !== undefined) {
        scans.set(piece.scan.id, scan);
        return piece.narrow;
      }
      readsFiles = true;
      return piece.wide;
    };
    const views = request.views.map((view) => view.map(textOf).join(''));
    const rows = [...scans.values()].reduce((sum, { rowCount }) => sum + rowCount, 0);
    return { request, views, scans, isNarrow: scans.size > 0 && !readsFiles && rows <= narrowRowsMax };
  }

  /** Runs it until its first chunk is there: up to then it can be run again elsewhere. */
  async #run(lane: EngineLane, query: ReadyQuery, signal: AbortSignal | undefined): Promise<EngineAnswer> {
    const { request, views, scans } = query;
    const keptAs = lane === this.#narrow ? views.join(';\n') : null;
    const kept = keptAs === null ? undefined : this.#kept.take(keptAs);
    const connection = kept ?? (await lane.connect());
    const run = new RunningQuery({
      connection,
      signal,
      watch: this.#watch,
    });
    let isClosed = false;
    const release = (outcome: 'answered' | 'failed'): void => {
      if (isClosed) return;
      isClosed = true;
      run.end();
      if (keptAs !== null && outcome === 'answered') this.#kept.keep(keptAs, connection);
      else connection.close();
    };
    try {
      connection.lend(scans);
      const started = await run.start(request, kept === undefined ? views : []);
      const { result, columnNames } = started;
      const columns = columnNames.map((name, index) => ({ name, type: String(result.columnType(index)) }));
      return { columns, body: finishing(formatted(run, started, request), release) };
    } catch (error) {
      release('failed');
      throw signal?.aborted ? signal.reason : engineError(error);
    }
  }

  #withParser<Result>(use: (connection: DuckDBConnection) => Promise<Result>): Promise<Result> {
    const turn = this.#parserQueue.then(
      () => use(this.#wide.first),
      () => use(this.#wide.first),
    );
    this.#parserQueue = turn.catch(() => undefined);
    return turn.catch((error: unknown) => {
      throw engineError(error);
    });
  }
}

async function* formatted(
  run: RunningQuery,
  { result, columnNames, first }: StartedStatement,
  request: ExecuteRequest,
): AsyncGenerator<Uint8Array> {
  try {
    const types = result.columnTypes();
    const encoder = makeEncoder(columnNames, types, request);
    for (let chunk = first; chunk !== null; chunk = await run.fetch(result)) {
      yield* encoder.encode(readChunk(chunk, types));
    }
    run.throwIfAborted();
    yield* encoder.finish();
  } catch (error) {
    run.throwIfAborted();
    throw engineError(error);
  }
}

function makeEncoder(
  names: readonly string[],
  types: readonly DuckDBType[],
  request: ExecuteRequest,
): ResultEncoder {
  const fields = types.map((type, index) => ({ name: names[index] ?? '', kind: resultKind(type) }));
  return encoderFor(request.format, fields, request.heldBytesMax);
}

async function evaluateOne(
  connection: DuckDBConnection,
  expression: string,
  parameters: SqlParameters,
): Promise<bigint | null> {
  try {
    const statement = await connection.prepare(`SELECT epoch_us(CAST((${expression}) AS TIMESTAMP))::BIGINT`);
    try {
      bindParameters(statement, parameters);
      const value = (await statement.runAndReadAll()).getRows()[0]?.[0];
      return typeof value === 'bigint' ? value : null;
    } finally {
      statement.destroySync();
    }
  } catch {
    // A constant that is none: the query itself will tell what is wrong with it.
    return null;
  }
}

function parseError(failure: SerializedSql, sql: string): VarveError {
  const message = failure.error_message ?? 'cannot be parsed';
  if (failure.error_type === 'not implemented') {
    return new VarveError(
      'invalid',
      `query: got "${sql.trim().slice(0, 80)}"; want one SELECT statement (WITH, UNION, VALUES, EXPLAIN, DESCRIBE and SHOW TABLES are fine too). ${message}`,
    );
  }
  const position = failure.position === undefined ? '' : ` (at character ${Number(failure.position) + 1})`;
  return new VarveError('invalid', `query: ${message}${position}`);
}
