import { mkdirSync } from 'node:fs';
import {
  type DuckDBConnection,
  type DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBPreparedStatement,
  type DuckDBResult,
  type DuckDBType,
  type DuckDBValue,
  StatementType,
} from '@duckdb/node-api';
import { VarveError } from '../../core/std/errors.js';
import { finishing } from '../finishing.js';
import { encoderFor } from '../formats/encoder-for.js';
import type { ResultEncoder } from '../formats/result-encoder.js';
import { engineError, isFatal } from './engine-errors.js';
import { closeSandbox, type EngineOptions, macroStatements, nowVariable } from './engine-settings.js';
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
import type { EngineScan } from './scan.js';
import { scanTableFunction, scanTableNames } from './scan-table.js';
import { SettledRows } from './settled-rows.js';

interface SerializedSql {
  readonly error: boolean;
  readonly error_message?: string;
  readonly error_type?: string;
  readonly position?: string;
}

/** Memory for what is known of settled files, roughly. */
const knownOfFilesBytesMax = 64 * 2 ** 20;

/**
 * DuckDB, sandboxed, in the thread that opens it. One instance; a connection a query, which is where its views and
 * its "now" live and die. The thread must stay free while a query reads hot data: the engine calls back into it.
 */
export class DuckDbEngine implements QueryEngine {
  readonly #instance: DuckDBInstance;
  /** For parsing and constants only; never used by two calls at once. */
  readonly #parser: DuckDBConnection;
  readonly #scans: Map<string, EngineScan>;
  readonly #settledRows = new SettledRows(knownOfFilesBytesMax);
  readonly #onFatal: () => void;
  /** Kept prepared: every new text goes through it. */
  #serialize: DuckDBPreparedStatement | undefined;
  #parserQueue: Promise<unknown> = Promise.resolve();

  private constructor(
    instance: DuckDBInstance,
    parser: DuckDBConnection,
    scans: Map<string, EngineScan>,
    onFatal: () => void,
  ) {
    this.#instance = instance;
    this.#parser = parser;
    this.#scans = scans;
    this.#onFatal = onFatal;
  }

  /** @param onFatal called when the engine has hit a defect and will answer nothing any more */
  static async open(options: EngineOptions, onFatal: () => void = () => {}): Promise<DuckDbEngine> {
    mkdirSync(options.spillDirectory, { recursive: true });
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(options.threads),
      memory_limit: `${options.memoryBytesMax} bytes`,
    });
    const connection = await instance.connect();
    const scans = new Map<string, EngineScan>();
    for (const name of scanTableNames) {
      connection.registerTableFunction(scanTableFunction(name, (id) => scans.get(id)));
    }
    for (const statement of macroStatements) await connection.run(statement);
    await closeSandbox(connection, options);
    return new DuckDbEngine(instance, connection, scans, onFatal);
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
    const connection = await this.#instance.connect().catch((error: unknown) => {
      throw engineError(error);
    });
    const run = new RunningQuery(connection, signal, this.#onFatal);
    const heldScans: string[] = [];
    try {
      const hold = (id: string, scan: EngineScan): void => {
        this.#scans.set(id, scan);
        heldScans.push(id);
      };
      for (const scan of request.hotScans) hold(scan.id, decodeHotScan(scan));
      const views = request.views.map((view) => this.#viewText(view, hold));
      const result = await run.start(request, views);
      const columns = result
        .columnNames()
        .map((name, index) => ({ name, type: String(result.columnType(index)) }));
      const release = (): void => this.#release(run, heldScans);
      return { columns, body: finishing(formatted(run, result, request), release) };
    } catch (error) {
      this.#release(run, heldScans);
      throw signal?.aborted ? signal.reason : engineError(error);
    }
  }

  async close(): Promise<void> {
    await this.#parserQueue;
    this.#serialize?.destroySync();
    this.#parser.closeSync();
    this.#instance.closeSync();
  }

  /** The text of a view, with the better of each two ways to read settled rows. */
  #viewText(view: ViewSql, hold: (id: string, scan: EngineScan) => void): string {
    const pieces = view.map((piece) => {
      if (typeof piece === 'string') return piece;
      const scan = this.#settledRows.select(piece.scan);
      if (scan === undefined) return piece.wide;
      hold(piece.scan.id, scan);
      return piece.narrow;
    });
    return pieces.join('');
  }

  #release(run: RunningQuery, heldScans: readonly string[]): void {
    run.close();
    for (const id of heldScans) this.#scans.delete(id);
  }

  #withParser<Result>(use: (connection: DuckDBConnection) => Promise<Result>): Promise<Result> {
    const turn = this.#parserQueue.then(
      () => use(this.#parser),
      () => use(this.#parser),
    );
    this.#parserQueue = turn.catch(() => undefined);
    return turn.catch((error: unknown) => {
      throw engineError(error);
    });
  }
}

/** One statement on a connection of its own, interrupted when its signal fires. */
class RunningQuery {
  readonly #connection: DuckDBConnection;
  readonly #signal: AbortSignal | undefined;
  readonly #onFatal: () => void;
  #statement: DuckDBPreparedStatement | undefined;
  #closed = false;

  constructor(connection: DuckDBConnection, signal: AbortSignal | undefined, onFatal: () => void) {
    this.#connection = connection;
    this.#signal = signal;
    this.#onFatal = onFatal;
  }

  async start(request: ExecuteRequest, views: readonly string[]): Promise<DuckDBResult> {
    // All in one go: each call to the engine is a turn of another thread.
    const statements = request.nowMicros === null ? views : [setNowSql(request.nowMicros), ...views];
    if (statements.length > 0) await this.#interruptible(() => this.#connection.run(statements.join(';\n')));
    const prefix = { no: '', plan: 'EXPLAIN ', analyze: 'EXPLAIN ANALYZE ' }[request.explain];
    const statement = await this.#interruptible(() => this.#connection.prepare(prefix + request.sql));
    this.#statement = statement;
    // Admission saw a SELECT; if the engine sees anything else, the two disagree and nothing may run.
    const wanted = request.explain === 'no' ? StatementType.SELECT : StatementType.EXPLAIN;
    if (statement.statementType !== wanted) {
      throw new VarveError('invalid', 'query: got a statement that is no SELECT; want one SELECT statement');
    }
    bind(statement, request.parameters);
    return this.#interruptible(() => statement.stream());
  }

  /** The next chunk; null after the last. */
  fetch(result: DuckDBResult): Promise<DuckDBDataChunk | null> {
    return this.#interruptible(() => result.fetchChunk());
  }

  throwIfAborted(): void {
    this.#signal?.throwIfAborted();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#statement?.destroySync();
    this.#connection.closeSync();
  }

  /**
   * Interrupts the engine for as long as it works on something that nobody wants any more. Once would not do: an
   * interrupt that comes before the engine has begun is forgotten when it begins.
   */
  async #interruptible<Result>(work: () => Promise<Result>): Promise<Result> {
    this.throwIfAborted();
    let isDone = false;
    const interrupt = (): void => {
      if (isDone) return;
      this.#connection.interrupt();
      setImmediate(interrupt);
    };
    this.#signal?.addEventListener('abort', interrupt, { once: true });
    try {
      return await work();
    } catch (error) {
      if (isFatal(error)) this.#onFatal();
      throw error;
    } finally {
      isDone = true;
      this.#signal?.removeEventListener('abort', interrupt);
    }
  }
}

async function* formatted(
  run: RunningQuery,
  result: DuckDBResult,
  request: ExecuteRequest,
): AsyncGenerator<Uint8Array> {
  try {
    const types = result.columnTypes();
    const encoder = makeEncoder(result, types, request);
    for (;;) {
      const chunk = await run.fetch(result);
      if (chunk === null || chunk.rowCount === 0) break;
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
  result: DuckDBResult,
  types: readonly DuckDBType[],
  request: ExecuteRequest,
): ResultEncoder {
  const names = result.columnNames();
  const fields = types.map((type, index) => ({ name: names[index] ?? '', kind: resultKind(type) }));
  return encoderFor(request.format, fields, request.heldBytesMax);
}

function setNowSql(nowMicros: bigint): string {
  return `SET VARIABLE ${nowVariable} = make_timestamp(${nowMicros})`;
}

async function evaluateOne(
  connection: DuckDBConnection,
  expression: string,
  parameters: SqlParameters,
): Promise<bigint | null> {
  try {
    const statement = await connection.prepare(`SELECT epoch_us(CAST((${expression}) AS TIMESTAMP))::BIGINT`);
    try {
      bind(statement, parameters);
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

/** Binds the parameters that the statement has; those it lacks are no error here, the request checks that. */
function bind(statement: DuckDBPreparedStatement, parameters: SqlParameters): void {
  for (let index = 1; index <= statement.parameterCount; index++) {
    const name = statement.parameterName(index);
    const value = parameters[name];
    if (value === undefined) {
      throw new VarveError(
        'invalid',
        `query: the SQL has the placeholder $${name}; want a value for it in params`,
      );
    }
    statement.bindValue(index, engineValue(value));
  }
}

function engineValue(value: string | number | bigint | boolean | null): DuckDBValue {
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value;
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
