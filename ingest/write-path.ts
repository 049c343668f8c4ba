import type { ConsistencyLevel, Database } from '../core/catalog/types.js';
import type { TableRows } from '../core/model/columns.js';
import { isVarveError, VarveError } from '../core/std/errors.js';
import type { Admission } from './admit/admission.js';
import { type BatchWriter, estimateBytes } from './replicate/batch-writer.js';
import { isLevelMet } from './replicate/levels.js';
import type { ReplicateResult } from './replicate/replicator.js';
import type { Router, ShardRows } from './route/router.js';
import {
  type CommitOptions,
  type CommitReport,
  type DecodedTable,
  LevelNotMetError,
  type ShardOutcome,
  type WriteLimits,
  type WriteRequest,
  type WriteSession,
  type WriteSink,
} from './write-contract.js';

/** How often rows are routed anew because their group had just closed. Groups close once a window, so twice is rare. */
const routingAttemptsMax = 8;

/**
 * When a write whose level was not met may be sent again. Owners that failed may be back any moment; nodes that are
 * missing have to be started first. Each try leaves copies or hints behind, so it shall not come at once.
 */
const retryAfterSeconds = { failedOwners: 2, tooFewOwners: 5 };

/** Told of every write, for metrics. */
export interface WriteMetrics {
  rows(written: number, rejected: number): void;
  levelNotMet(): void;
  refusedForMemory(): void;
}

/** Memory for rows in flux: promised before a write, `unavailable` with a time to retry at the limit. */
export interface HotRoom {
  reserve(bytes: number): { release(): void };
}

/** The way of a write: admit → route → replicate (WAL, hot tier). One a node. */
export class WritePath implements WriteSink {
  readonly #admission: Admission;
  readonly #router: Router;
  readonly #writer: BatchWriter;
  readonly #room: HotRoom;
  readonly #limits: WriteLimits;
  readonly #metrics: WriteMetrics;

  constructor(options: {
    readonly admission: Admission;
    readonly router: Router;
    readonly writer: BatchWriter;
    readonly room: HotRoom;
    readonly limits: WriteLimits;
    readonly metrics: WriteMetrics;
  }) {
    this.#admission = options.admission;
    this.#router = options.router;
    this.#writer = options.writer;
    this.#room = options.room;
    this.#limits = options.limits;
    this.#metrics = options.metrics;
  }

  async begin(request: WriteRequest): Promise<WriteSession> {
    // Refused before a byte is parsed: at the limit, work on what cannot be taken only delays the sealing that helps.
    this.#reserve(0).release();
    const { database, schemas } = await this.#admission.database(request.database);
    return {
      schemaOf: (table) => schemas.get(table),
      limits: this.#limits,
      commit: (tables, options) =>
        this.#commit(database, request.level ?? database.consistency, tables, options),
    };
  }

  async #commit(
    database: Database,
    level: ConsistencyLevel,
    tables: readonly DecodedTable[],
    options: CommitOptions,
  ): Promise<CommitReport> {
    options.signal?.throwIfAborted();
    const admitted = await this.#admission.admit(database, tables);
    if (admitted.rejected.length > 0 && !options.acceptPartial)
      return { written: 0, rejected: admitted.rejected };
    const rows = admitted.tables.map((table) => table.rows);
    if (rows.length > 0) {
      const reserved = this.#reserve(estimateBytes(rows));
      try {
        await this.#write(database, level, rows);
      } finally {
        reserved.release();
      }
    }
    const written = rows.reduce((sum, part) => sum + part.rowCount, 0);
    this.#metrics.rows(written, admitted.rejected.length);
    return { written, rejected: admitted.rejected };
  }

  async #write(database: Database, level: ConsistencyLevel, tables: readonly TableRows[]): Promise<void> {
    let remaining = tables;
    const outcomes: ShardOutcome[] = [];
    let cause: unknown;
    for (let attempt = 0; attempt < routingAttemptsMax && remaining.length > 0; attempt++) {
      const targets = await this.#router.route(database, remaining);
      const results = await Promise.all(
        targets.map(async (target) => ({ target, result: await this.#writer.write(target, level) })),
      );
      remaining = closedRows(results);
      if (remaining.length > 0) this.#router.forget(database);
      for (const { result } of results) {
        if (result.kind === 'closed') continue;
        outcomes.push(result.outcome);
        cause ??= result.cause;
      }
    }
    if (remaining.length > 0) {
      throw new VarveError(
        'unavailable',
        `write to "${database.name}": shard groups closed ${routingAttemptsMax} times while rows were on their way; want an open one`,
        { retryAfterSeconds: 1 },
      );
    }
    const missed = outcomes.filter((outcome) => !isLevelMet(outcome));
    if (missed.length === 0) return;
    this.#metrics.levelNotMet();
    // With this node as the only owner the cause itself (disk full, WAL stopped) says more than a count of copies.
    const isOneCause = missed.every(({ hinted, failed }) => hinted.length === 0 && failed.length === 1);
    if (isOneCause && isVarveError(cause)) throw cause;
    const lack = tooFewOwners(missed, database);
    throw new LevelNotMetError(
      `write to "${database.name}": consistency level ${level} not met for ${missed.length} of ${outcomes.length} shards${lack}`,
      outcomes,
      lack === '' ? retryAfterSeconds.failedOwners : retryAfterSeconds.tooFewOwners,
    );
  }

  #reserve(bytes: number): { release(): void } {
    try {
      return this.#room.reserve(bytes);
    } catch (error) {
      if (isVarveError(error, 'unavailable')) this.#metrics.refusedForMemory();
      throw error;
    }
  }
}

/** Said where even all owners together could not have met the level. */
function tooFewOwners(missed: readonly ShardOutcome[], { replication }: Database): string {
  const fewest = Math.min(
    ...missed.map(({ acknowledged, hinted, failed }) => acknowledged.length + hinted.length + failed.length),
  );
  const required = Math.min(...missed.map((outcome) => outcome.required));
  return fewest >= required
    ? ''
    : `: too few nodes lived when the group was made, so it has ${fewest} of ${replication} owners; want others to join, or a lower level`;
}

function closedRows(
  results: readonly { readonly target: ShardRows; readonly result: ReplicateResult }[],
): TableRows[] {
  return results.flatMap(({ target, result }) => (result.kind === 'closed' ? target.tables : []));
}
