import type { Clock } from '../core/ports/clock.js';
import type { ConflictReader } from '../core/ports/conflict-reader.js';
import type { HotReader } from '../core/ports/hot-reader.js';
import { errorMessage, isVarveError, VarveError } from '../core/std/errors.js';
import type { Logger } from '../core/std/logger.js';
import type { ParquetFiles } from './cache/parquet-files.js';
import { type PinnedFiles, pinFiles } from './cache/pinned-files.js';
import type { EngineAnswer, HotScanBytes, QueryEngine, SqlParameters } from './engine/query-engine.js';
import { finishing } from './finishing.js';
import { HotBudget, readHotSource } from './hot-scans.js';
import { printAst } from './plan/ast.js';
import { conflictsViewSql } from './plan/conflicts-view.js';
import { mustGather } from './plan/gathered.js';
import { informationViewSql } from './plan/information-schema.js';
import { mentionedColumns } from './plan/mentioned-columns.js';
import { isOrderSensitive } from './plan/order-sensitive.js';
import { plannedFiles, plannedHot } from './plan/plan-table.js';
import { encodeSnapshotToken } from './plan/snapshot-token.js';
import { viewSql } from './plan/view-sql.js';
import { entityTag, historyRootOf, matchesTag } from './query-etag.js';
import type { QueryMetrics, QueryOutcome } from './query-metrics.js';
import { type QueryPlan, QueryPlanner } from './query-planner.js';
import type { AnswerFacts, QueryAnswer, QueryRequest } from './query-request.js';
import { QuerySlots } from './query-slots.js';
import type { QueryCatalog, SettledReader } from './query-sources.js';
import { queryStages, StageTimes } from './query-stages.js';
import { rewriteRequest } from './rewrite-request.js';
import { type PreparedSql, SqlPreparer } from './sql-preparer.js';

/** Limits of a query and of all queries together. */
export interface QueryLimits {
  readonly timeMs: number;
  readonly runningMax: number;
  readonly waitingMax: number;
  /** A query that takes this long is logged with the time of its stages. */
  readonly slowMs: number;
  /** Bytes that the hot scans of one query may take. */
  readonly hotBytesMax: number;
  /** Bytes of an answer in a format that must be held whole. */
  readonly heldBytesMax: number;
}

/** Two at once keep both cores of a small machine busy, and leave threads of Node's pool to the WAL. */
export const defaultQueryLimits: QueryLimits = {
  timeMs: 60_000,
  runningMax: 2,
  waitingMax: 64,
  slowMs: 5000,
  hotBytesMax: 512 * 2 ** 20,
  heldBytesMax: 256 * 2 ** 20,
};

export interface QueryServiceOptions {
  readonly catalog: QueryCatalog;
  readonly settled: SettledReader;
  readonly hot: HotReader;
  readonly files: ParquetFiles;
  readonly engine: QueryEngine;
  readonly clock: Clock;
  readonly limits: QueryLimits;
  readonly metrics: QueryMetrics;
  readonly logger: Logger;
  /** What varve.conflicts is asked of; not given: it is refused. */
  readonly conflicts?: ConflictReader;
}

/** One try of a query. */
interface PlannedQuery {
  readonly plan: QueryPlan;
  readonly prepared: PreparedSql;
  readonly request: QueryRequest;
  readonly nowMicros: bigint;
  readonly stages: StageTimes;
  readonly signal: AbortSignal;
  /** From 1. */
  readonly attempt: number;
}

/** Plans of one query that may go stale between planning and scanning. */
const triesMax = 5;
/** Plans of one query whose owners may fail while they are read. */
const brokenTriesMax = 3;

/** Answers SQL over both tiers: admit, plan, fetch, execute, stream. */
export class QueryService {
  readonly #options: QueryServiceOptions;
  readonly #preparer: SqlPreparer;
  readonly #planner: QueryPlanner;
  readonly #slots: QuerySlots;

  constructor(options: QueryServiceOptions) {
    this.#options = options;
    this.#preparer = new SqlPreparer(options.engine);
    this.#planner = new QueryPlanner(options);
    this.#slots = new QuerySlots(options.limits.runningMax, options.limits.waitingMax);
  }

  /**
   * Answers a question. The body must be read to its end or left (`return`): until then the query holds a slot and
   * the files it reads. Errors: `invalid`, `not-found`, `busy`, `timeout`, `exhausted`, `too-large`, `cancelled`,
   * `unavailable`.
   */
  async query(request: QueryRequest, caller?: AbortSignal): Promise<QueryAnswer> {
    const { clock, metrics } = this.#options;
    const startedMs = clock.monotonicMs();
    const seconds = (): number => (clock.monotonicMs() - startedMs) / 1000;
    const stages = new StageTimes(clock);
    const limit = this.#startLimit(caller, stages);
    const finish = (outcome: QueryOutcome): void => {
      limit.stop();
      metrics.querySeconds(seconds(), outcome);
      this.#tellStages(request, stages, seconds() * 1000);
    };
    try {
      const answer = await this.#answer(request, stages, limit.signal);
      if (answer.kind === 'not-modified') {
        finish('not-modified');
        return answer;
      }
      stages.enter('answer');
      return { ...answer, body: finishing(answer.body, finish) };
    } catch (error) {
      finish('failed');
      throw error;
    }
  }

  #tellStages(request: QueryRequest, stages: StageTimes, millis: number): void {
    const { metrics, limits, logger } = this.#options;
    const each = stages.millis();
    for (const stage of queryStages) {
      const stageMs = each[stage];
      if (stageMs !== undefined) metrics.stageSeconds(stageMs / 1000, stage);
    }
    // Not the SQL: what is asked for can be confidential.
    if (millis >= limits.slowMs)
      logger.info({ database: request.database, millis, stages: each }, 'slow query');
  }

  /** A signal that fires when the caller goes away or the time is over. */
  #startLimit(
    caller: AbortSignal | undefined,
    stages: StageTimes,
  ): { readonly signal: AbortSignal; readonly stop: () => void } {
    const { clock, limits } = this.#options;
    const abort = new AbortController();
    const onCaller = (): void => abort.abort(new VarveError('cancelled', 'query: the caller went away'));
    if (caller?.aborted) onCaller();
    caller?.addEventListener('abort', onCaller, { once: true });
    const timer = new AbortController();
    clock.sleep(limits.timeMs, timer.signal).then(
      () =>
        abort.abort(
          new VarveError(
            'timeout',
            `query: not done after ${limits.timeMs} ms, which is the limit; it was at its stage "${stages.current}"`,
          ),
        ),
      () => {},
    );
    const stop = (): void => {
      caller?.removeEventListener('abort', onCaller);
      timer.abort();
    };
    return { signal: abort.signal, stop };
  }

  async #answer(request: QueryRequest, stages: StageTimes, signal: AbortSignal): Promise<QueryAnswer> {
    const prepared = await this.#preparer.prepare(request.sql, signal);
    checkParameters(prepared, request.parameters);
    let releaseSlot: (() => void) | undefined;
    try {
      if (prepared.facts.readsConflicts) {
        // They are looked for while it is planned, which is work like no other plan's.
        stages.enter('wait');
        releaseSlot = await this.#slots.take(signal);
      }
      for (let attempt = 1; ; attempt++) {
        const nowMicros = BigInt(Math.trunc(this.#options.clock.nowMs())) * 1000n;
        stages.enter('plan');
        const plan = await this.#planner.plan({ ...request, prepared, nowMicros }, signal);
        const facts = answerFacts(plan, prepared, request);
        if (facts.etag !== null && matchesTag(request.ifNoneMatch, facts.etag)) {
          releaseSlot?.();
          return { kind: 'not-modified', facts };
        }
        stages.enter('wait');
        releaseSlot ??= await this.#slots.take(signal);
        const body = await this.#execute({ plan, prepared, request, nowMicros, stages, signal, attempt });
        if (body !== 'dropped') return { kind: 'answer', facts, body: finishing(body, releaseSlot) };
      }
    } catch (error) {
      releaseSlot?.();
      throw error;
    }
  }

  /** Fetches what the plan names and starts the engine; `dropped` when what is in flux must be planned anew. */
  async #execute(planned: PlannedQuery): Promise<AsyncIterable<Uint8Array> | 'dropped'> {
    const { plan, stages, signal } = planned;
    stages.enter('hot');
    const hotScans = await this.#readHot(planned);
    if (hotScans === 'dropped') return 'dropped';
    this.#warnOfMissing(plan);
    const wanted = plan.tables.flatMap((table) => plannedFiles(table.plan));
    stages.enter('files');
    const files = await pinFiles(this.#options.files, wanted, signal);
    stages.enter('execute');
    try {
      const answer = await this.#run(planned, hotScans, files);
      return finishing(answer.body, () => files.release());
    } catch (error) {
      files.release();
      throw error;
    }
  }

  /** The header of the answer has room for names alone. */
  #warnOfMissing({ database, incomplete }: QueryPlan): void {
    const [first] = incomplete;
    if (first === undefined) return;
    this.#options.logger.warn(
      { database: database.name, missing: incomplete.length, ...first },
      'answered a query without shards that cannot be read, as it allows',
    );
  }

  async #readHot({
    plan,
    prepared,
    attempt,
    signal,
  }: PlannedQuery): Promise<ReadonlyMap<object, HotScanBytes> | 'dropped'> {
    const { hot, limits } = this.#options;
    if (plan.tables.every((table) => plannedHot(table.plan).length === 0)) return new Map();
    const budget = new HotBudget(limits.hotBytesMax);
    const names = prepared.facts.tables.map((table) => table.name);
    const mentioned = mentionedColumns(prepared.root, names);
    // All stop when one fails, so that none reads on for an answer that will not come.
    const abort = new AbortController();
    let ids = 0;
    const scans = plan.tables.flatMap((table) =>
      plannedHot(table.plan).map(async (source) => {
        const id = `hot-${ids++}`;
        const request = { database: plan.database, plan: table.plan, source, mentioned, id };
        const bytes = await readHotSource(hot, request, budget, AbortSignal.any([signal, abort.signal]));
        return [source, bytes] as const;
      }),
    );
    try {
      return new Map(await Promise.all(scans));
    } catch (error) {
      abort.abort();
      await Promise.allSettled(scans);
      if (isVarveError(error, 'not-found') && attempt < triesMax) return 'dropped';
      // An owner broke off in the midst of a scan: planned anew, another one is read, or the plan says what is missing.
      if (isVarveError(error, 'unavailable') && attempt < brokenTriesMax && !signal.aborted) return 'dropped';
      if (!isVarveError(error, 'not-found')) throw error;
      throw new VarveError('unavailable', `query: ${errorMessage(error)}`, { retryAfterSeconds: 1 });
    }
  }

  async #run(
    { plan, prepared, request, nowMicros, signal }: PlannedQuery,
    hotScans: ReadonlyMap<object, HotScanBytes>,
    files: PinnedFiles,
  ): Promise<EngineAnswer> {
    const { engine, limits } = this.#options;
    let ids = 0;
    const locations = {
      pathOf: files.pathOf,
      scanOf: (source: object) => {
        const scan = hotScans.get(source);
        return { id: scan?.id ?? '', columns: new Set(scan?.columns.map((column) => column.name)) };
      },
      nextScanId: () => `settled-${ids++}`,
    };
    const views = plan.tables.map((table) => viewSql(table.name, table.plan, locations));
    const rewritten = rewriteRequest(plan, prepared, request.parameters);
    for (const [view, name] of rewritten.informationViews) {
      views.push([informationViewSql(view, name, plan.information ?? [])]);
    }
    if (plan.conflicts !== null) {
      views.push([conflictsViewSql(rewritten.conflictsView, plan.conflicts.conflicts)]);
    }
    const sql =
      rewritten.tree === null ? prepared.command.sql : await engine.print(printAst(rewritten.tree), signal);
    return engine.execute(
      {
        sql,
        explain: prepared.command.explain,
        parameters: rewritten.parameters,
        views,
        nowMicros: prepared.facts.isDeterministic ? null : nowMicros,
        hotScans: [...hotScans.values()],
        format: request.format,
        isGathered: mustGather(
          prepared.root,
          plan.tables.map((table) => table.plan),
        ),
        heldBytesMax: limits.heldBytesMax,
      },
      signal,
    );
  }
}

function checkParameters(prepared: PreparedSql, parameters: SqlParameters): void {
  const wanted = prepared.facts.placeholders;
  const missing = [...wanted].find((name) => !Object.hasOwn(parameters, name));
  if (missing !== undefined) {
    throw new VarveError(
      'invalid',
      `query: the SQL has the placeholder $${missing}; want a value for it in params`,
    );
  }
  const idle = Object.keys(parameters).find((name) => !wanted.has(name));
  if (idle !== undefined) {
    throw new VarveError(
      'invalid',
      `query: got a value for $${idle} in params; the SQL has no such placeholder`,
    );
  }
}

function answerFacts(plan: QueryPlan, prepared: PreparedSql, request: QueryRequest): AnswerFacts {
  const { isSettledOnly, database } = plan;
  const isRepeatable = isSettledOnly && prepared.facts.isDeterministic && prepared.command.explain === 'no';
  const tables = Object.fromEntries(plan.tables.map((table) => [table.name, table.snapshot.snapshotId]));
  return {
    settledThroughNs: plan.settledThroughNs,
    snapshot: encodeSnapshotToken({ databaseId: database.id, tables }),
    historyRoot: historyRootOf(plan),
    tiers:
      isSettledOnly || (plan.information !== null && plan.conflicts === null) ? 'settled' : 'settled,hot',
    incomplete: plan.incomplete,
    areConflictsCut: plan.conflicts?.isCut === true,
    etag: isRepeatable ? entityTag(plan, request, isOrderSensitive(prepared.root)) : null,
  };
}
