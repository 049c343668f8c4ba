import {
  type DuckDBDataChunk,
  type DuckDBPreparedStatement,
  type DuckDBResult,
  type DuckDBValue,
  StatementType,
} from '@duckdb/node-api';
import { VarveError } from '../../core/std/errors.js';
import { isFatal } from './engine-errors.js';
import type { LaneConnection } from './engine-lane.js';
import { nowVariable } from './engine-settings.js';
import { type EngineWatch, interruptUntil } from './engine-watch.js';
import type { ExecuteRequest, SqlParameters } from './query-engine.js';

/** A statement that has begun: it has given its first chunk, or ended without one. */
export interface StartedStatement {
  readonly result: DuckDBResult;
  readonly columnNames: readonly string[];
  /** Null when there are no rows. */
  readonly first: DuckDBDataChunk | null;
}

export interface StatementOptions {
  readonly connection: LaneConnection;
  /** Aborting it interrupts the engine. */
  readonly signal: AbortSignal | undefined;
  readonly watch: EngineWatch;
}

/** One statement on a connection that it has to itself, interrupted when its signal fires. */
export class RunningQuery {
  readonly #options: StatementOptions;
  #statement: DuckDBPreparedStatement | undefined;

  constructor(options: StatementOptions) {
    this.#options = options;
  }

  /** @param views what has to be made before the statement can be read */
  async start(request: ExecuteRequest, views: readonly string[]): Promise<StartedStatement> {
    const { connection } = this.#options.connection;
    // All in one go: each call to the engine is a turn of another thread.
    const statements = request.nowMicros === null ? views : [setNowSql(request.nowMicros), ...views];
    if (statements.length > 0) await this.#interruptible(() => connection.run(statements.join(';\n')));
    const prefix = { no: '', plan: 'EXPLAIN ', analyze: 'EXPLAIN ANALYZE ' }[request.explain];
    const statement = await this.#interruptible(() => connection.prepare(prefix + request.sql));
    this.#statement = statement;
    // Admission saw a SELECT; if the engine sees anything else, the two disagree and nothing may run.
    const wanted = request.explain === 'no' ? StatementType.SELECT : StatementType.EXPLAIN;
    if (statement.statementType !== wanted) {
      throw new VarveError('invalid', 'query: got a statement that is no SELECT; want one SELECT statement');
    }
    if (request.isGathered && request.explain === 'no') return this.#startGathered(request, statement);
    return this.#begin(statement, request.parameters);
  }

  /** By way of a materialized CTE, which tells columns of one name apart: they keep the names that were asked for. */
  async #startGathered(
    { sql, parameters }: ExecuteRequest,
    asked: DuckDBPreparedStatement,
  ): Promise<StartedStatement> {
    const { connection } = this.#options.connection;
    // Without the types of its parameters the engine cannot tell the names.
    const names =
      asked.parameterCount > 0
        ? null
        : Array.from({ length: asked.columnCount }, (_, index) => asked.columnName(index));
    // A comment at the end of the SQL must not swallow the parenthesis.
    const gathered = `WITH "varve answer" AS MATERIALIZED (${sql}\n) FROM "varve answer"`;
    const statement = await this.#interruptible(() => connection.prepare(gathered));
    this.#statement = statement;
    asked.destroySync();
    const started = await this.#begin(statement, parameters);
    return names === null ? started : { ...started, columnNames: names };
  }

  async #begin(statement: DuckDBPreparedStatement, parameters: SqlParameters): Promise<StartedStatement> {
    bindParameters(statement, parameters);
    const result = await this.#interruptible(() => statement.stream());
    return { result, columnNames: result.columnNames(), first: await this.fetch(result) };
  }

  /** The next chunk; null after the last. */
  async fetch(result: DuckDBResult): Promise<DuckDBDataChunk | null> {
    const chunk = await this.#interruptible(() => result.fetchChunk());
    return chunk === null || chunk.rowCount === 0 ? null : chunk;
  }

  throwIfAborted(): void {
    this.#options.signal?.throwIfAborted();
  }

  /** Lets go of the statement; the connection is free again. */
  end(): void {
    this.#statement?.destroySync();
    this.#statement = undefined;
  }

  /**
   * Interrupts the engine for as long as it works on something that nobody wants any more. Once would not do: an
   * interrupt that comes before the engine has begun is forgotten when it begins.
   */
  async #interruptible<Result>(work: () => Promise<Result>): Promise<Result> {
    this.throwIfAborted();
    const { connection, signal, watch } = this.#options;
    let isDone = false;
    let interrupting: Promise<boolean> | undefined;
    const onAbort = (): void => {
      const interrupt = (): void => connection.connection.interrupt();
      interrupting = interruptUntil(() => isDone, interrupt, watch);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await work();
    } catch (error) {
      if (isFatal(error)) watch.onDefect('fatal');
      throw error;
    } finally {
      isDone = true;
      signal?.removeEventListener('abort', onAbort);
      // It came back after all: another has taken its place by now.
      if (await interrupting) watch.onDefect('fatal');
    }
  }
}

/** The statement that pins what now() and its kin give, microseconds since the epoch. */
export function setNowSql(nowMicros: bigint): string {
  return `SET VARIABLE ${nowVariable} = make_timestamp(${nowMicros})`;
}

/** Binds the parameters that the statement has; those it lacks are no error here, the request checks that. */
export function bindParameters(statement: DuckDBPreparedStatement, parameters: SqlParameters): void {
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
