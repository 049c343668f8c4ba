import type { Database, GroupList, TableRecord } from '../core/catalog/types.js';
import type { SnapshotFiles } from '../core/iceberg/types.js';
import type { TableSchema } from '../core/model/schema.js';
import type { ConflictList, ConflictReader } from '../core/ports/conflict-reader.js';
import type { HotReader, HotReadOptions } from '../core/ports/hot-reader.js';
import { isVarveError, VarveError } from '../core/std/errors.js';
import type { QueryEngine, SqlParameters } from './engine/query-engine.js';
import { gatherConflicts } from './gather-conflicts.js';
import { extractBounds, resolveBounds, type TableBounds } from './plan/bounds.js';
import { conflictsTable, systemSchema } from './plan/conflicts-view.js';
import { lastFields } from './plan/last-points.js';
import { nearNames } from './plan/near-names.js';
import { plannedHot, planTable, type TablePlan } from './plan/plan-table.js';
import { decodeSnapshotToken, type SnapshotToken } from './plan/snapshot-token.js';
import { type HotGroup, mayHoldGroup } from './plan/sources.js';
import type { MissingPart } from './query-request.js';
import type { QueryCatalog, SettledReader } from './query-sources.js';
import type { PreparedSql } from './sql-preparer.js';

/** What a query reads, pinned. */
export interface QueryPlan {
  readonly database: Database;
  readonly settledThroughNs: bigint;
  readonly tables: readonly PlannedTable[];
  /** Schemas for information_schema; null when the query does not ask for it. */
  readonly information: readonly TableSchema[] | null;
  /** True when nothing in flux, now or later, can change the answer: only a new snapshot can. */
  readonly isSettledOnly: boolean;
  /** Rows of varve.conflicts; null when the query does not ask for them. */
  readonly conflicts: ConflictList | null;
  /** Shards that could not be read and were left out. */
  readonly incomplete: readonly MissingPart[];
}

export interface PlannedTable {
  readonly name: string;
  readonly snapshot: SnapshotFiles;
  readonly plan: TablePlan;
}

export interface PlanRequest {
  readonly database: string;
  readonly prepared: PreparedSql;
  readonly parameters: SqlParameters;
  readonly tier: 'all' | 'settled';
  readonly snapshot: string | null;
  readonly consistency?: 'one' | 'quorum';
  readonly allowPartial?: boolean;
  readonly nowMicros: bigint;
}

export interface QueryPlannerOptions {
  readonly catalog: QueryCatalog;
  readonly settled: SettledReader;
  readonly hot: HotReader;
  readonly engine: QueryEngine;
  /** What varve.conflicts is asked of; not given: it is refused. */
  readonly conflicts?: ConflictReader;
}

/** Tries of one plan: each is given up because a table was sealed while it was made. */
const triesMax = 5;

/**
 * Decides what a query reads, by the snapshot and not by the clock: first the list of groups, then each table's
 * record. A group that the record names is in its snapshot, every other in the list is read hot; so no point is read
 * twice or not at all, however sealing goes on meanwhile (invariants 2 and 3).
 */
export class QueryPlanner {
  readonly #catalog: QueryCatalog;
  readonly #settled: SettledReader;
  readonly #hot: HotReader;
  readonly #engine: QueryEngine;
  readonly #conflicts: ConflictReader | undefined;

  constructor(options: QueryPlannerOptions) {
    this.#catalog = options.catalog;
    this.#settled = options.settled;
    this.#hot = options.hot;
    this.#engine = options.engine;
    this.#conflicts = options.conflicts;
  }

  /** `not-found` for an unknown database, table or expired snapshot; `unavailable` when sealing never let it finish. */
  async plan(request: PlanRequest, signal: AbortSignal): Promise<QueryPlan> {
    const database = await this.#catalog.getDatabase(request.database, signal);
    if (database === undefined) {
      throw new VarveError('not-found', `query: got database "${request.database}"; want one that exists`);
    }
    const token = request.snapshot === null ? null : decodeSnapshotToken(request.snapshot);
    if (token !== null && token.databaseId !== database.id) {
      throw new VarveError(
        'not-found',
        `query: the snapshot is of another database than "${request.database}", or of one that was deleted`,
      );
    }
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const plan = await this.#tryPlan(database, request, token, signal);
      if (plan !== 'moved') return plan;
    }
    throw new VarveError('unavailable', `query: tables were sealed ${triesMax} times while it was planned`, {
      retryAfterSeconds: 1,
    });
  }

  async #tryPlan(
    database: Database,
    request: PlanRequest,
    token: SnapshotToken | null,
    signal: AbortSignal,
  ): Promise<QueryPlan | 'moved'> {
    const { facts, command, root } = request.prepared;
    // The list of groups before any record: what is sealed in between is then read from history, never missed.
    const groups = await this.#catalog.getGroups(database, signal);
    const names = new Set(facts.tables.map((table) => table.name));
    const records = await this.#resolveTables(database, names, command.table, signal);
    const pending = extractBounds(root, facts.tables, request.parameters);
    const values =
      pending.expressions.length === 0
        ? []
        : await this.#engine.evaluate(
            {
              expressions: pending.expressions,
              parameters: request.parameters,
              nowMicros: request.nowMicros,
            },
            signal,
          );
    const tables: PlannedTable[] = [];
    const incomplete: MissingPart[] = [];
    for (const record of new Set(records.values())) {
      const references = facts.tables
        .filter((table) => records.get(table.name) === record)
        .map((table) => table.node);
      const bounds = resolveBounds(pending, references, values);
      const planned = await this.#planRecord(
        database,
        record,
        groups,
        bounds,
        request,
        token,
        incomplete,
        signal,
      );
      if (planned === 'moved') return 'moved';
      tables.push(planned);
    }
    const conflicts = facts.readsConflicts
      ? await this.#gatherConflicts(database, groups, request, incomplete, signal)
      : null;
    if (conflicts === 'moved') return 'moved';
    const isPinned = request.tier === 'settled' || token !== null;
    const information = facts.informationSchema.length === 0 ? null : await this.#schemas(database, signal);
    return {
      database,
      settledThroughNs: groups.settledThroughNs,
      tables,
      information,
      conflicts,
      incomplete,
      isSettledOnly:
        information === null &&
        conflicts === null &&
        incomplete.length === 0 &&
        tables.every(({ plan }) => isPinned || isBehind(plan, groups.settledThroughNs)),
    };
  }

  async #planRecord(
    database: Database,
    record: TableRecord,
    groups: GroupList,
    bounds: TableBounds,
    request: PlanRequest,
    token: SnapshotToken | null,
    incomplete: MissingPart[],
    signal: AbortSignal,
  ): Promise<PlannedTable | 'moved'> {
    const snapshot = await this.#settled.snapshot(record, snapshotIdIn(token, record.table), bounds);
    const name = record.table;
    const { root, facts } = request.prepared;
    const last = lastFields(root, facts, record.schema);
    if (request.tier === 'settled' || token !== null) {
      const sources = { schema: snapshot.schema, files: snapshot.files, hotGroups: [] };
      return { name, snapshot, plan: planTable(sources, bounds, last) };
    }
    const read = hotReadOf(request, record.table, incomplete);
    const hotGroups = await this.#describeHot(database, record, groups, bounds, read, signal);
    if (hotGroups === 'moved') return 'moved';
    const sources = { schema: record.schema, files: snapshot.files, hotGroups };
    return { name, snapshot, plan: planTable(sources, bounds, last) };
  }

  /**
   * The chunks of groups that the record does not name. A group that holds nothing here may never have, or may have
   * been sealed and dropped since the record was read: if the record still stands, it was not.
   */
  async #describeHot(
    database: Database,
    record: TableRecord,
    groups: GroupList,
    bounds: TableBounds,
    read: HotReadOptions,
    signal: AbortSignal,
  ): Promise<readonly HotGroup[] | 'moved'> {
    const sealed = new Set(record.sealedGroups);
    // A group that was sealed before the record was read is in the snapshot, or had no row of this table.
    const candidates = groups.groups.filter(
      (group) =>
        group.state !== 'sealed' && !sealed.has(group.id) && mayHoldGroup(group, bounds, database.windowMs),
    );
    if (candidates.length === 0) return [];
    try {
      const described = await Promise.all(
        candidates.map(async (group) => {
          const address = {
            database: database.id,
            group: group.id,
            table: record.table,
            shards: group.shards,
            read,
          };
          return { group, chunks: await this.#hot.describe(address, signal) };
        }),
      );
      const now = await this.#catalog.getTable(database, record.table, signal);
      return now?.snapshotId === record.snapshotId ? described : 'moved';
    } catch (error) {
      if (isVarveError(error, 'not-found')) return 'moved';
      throw error;
    }
  }

  async #gatherConflicts(
    database: Database,
    { groups }: GroupList,
    request: PlanRequest,
    incomplete: MissingPart[],
    signal: AbortSignal,
  ): Promise<ConflictList | 'moved'> {
    const table = `${systemSchema}.${conflictsTable}`;
    if (request.tier === 'settled' || request.snapshot !== null) {
      throw new VarveError(
        'invalid',
        `query: got tier=settled or snapshot= with ${table}, which tells of what is in flux; want neither`,
      );
    }
    if (this.#conflicts === undefined) {
      throw new VarveError(
        'invalid',
        `query: got ${table}, which this process does not serve; want \`varve query\` or \`varve serve\``,
      );
    }
    const read = hotReadOf(request, table, incomplete);
    return gatherConflicts({ reader: this.#conflicts, database, groups, read, signal });
  }

  /** The record of every name as written: the exact name, or the only one that differs by case alone. */
  async #resolveTables(
    database: Database,
    names: ReadonlySet<string>,
    mentioned: string | null,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, TableRecord>> {
    const records = new Map<string, TableRecord>();
    for (const name of names) records.set(name, await this.#resolveTable(database, name, signal));
    if (mentioned !== null) await this.#resolveTable(database, mentioned, signal);
    const byLower = new Map<string, TableRecord>();
    for (const record of records.values()) {
      const other = byLower.get(record.table.toLowerCase());
      if (other !== undefined && other.table !== record.table) {
        throw new VarveError(
          'invalid',
          `query: got tables "${other.table}" and "${record.table}", which SQL cannot tell apart; want one of them in a statement`,
        );
      }
      byLower.set(record.table.toLowerCase(), record);
    }
    // Two spellings of one name are one table.
    return new Map(
      [...records].map(([name, record]) => [name, byLower.get(record.table.toLowerCase()) ?? record]),
    );
  }

  async #resolveTable(database: Database, name: string, signal: AbortSignal): Promise<TableRecord> {
    const exact = await this.#catalog.getTable(database, name, signal);
    if (exact !== undefined) return exact;
    const all = await this.#catalog.listTables(database, signal);
    const alike = all.filter((record) => record.table.toLowerCase() === name.toLowerCase());
    if (alike.length === 1 && alike[0] !== undefined) return alike[0];
    const near = nearNames(
      name,
      all.map((record) => record.table),
    );
    const hint = near.length === 0 ? '' : `, such as ${near.map((other) => `"${other}"`).join(', ')}`;
    throw new VarveError(
      'not-found',
      `query: got table ${JSON.stringify(name)}; want a table of database "${database.name}"${hint}`,
    );
  }

  async #schemas(database: Database, signal: AbortSignal): Promise<readonly TableSchema[]> {
    return (await this.#catalog.listTables(database, signal)).map((record) => record.schema);
  }
}

/** How the hot tier is to be read; what is left out goes to `incomplete`. */
function hotReadOf(request: PlanRequest, table: string, incomplete: MissingPart[]): HotReadOptions {
  return {
    consistency: request.consistency ?? 'quorum',
    ...(request.allowPartial === true
      ? { onIncomplete: (shard) => void incomplete.push({ table, ...shard }) }
      : {}),
  };
}

function snapshotIdIn(token: SnapshotToken | null, table: string): string | undefined {
  if (token === null) return undefined;
  const id = Object.hasOwn(token.tables, table) ? token.tables[table] : undefined;
  if (id === undefined) {
    throw new VarveError(
      'invalid',
      `query: the snapshot does not name table "${table}"; want one from an answer that read the table`,
    );
  }
  return id;
}

/** True when every row that the plan can find lies in settled windows and history holds it. */
function isBehind(plan: TablePlan, settledThroughNs: bigint): boolean {
  const { endNs } = plan.bounds;
  return endNs !== null && endNs <= settledThroughNs && plannedHot(plan).length === 0;
}
