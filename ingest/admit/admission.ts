import { databaseTrustMs } from '../../core/catalog/database-settings.js';
import type { Database } from '../../core/catalog/types.js';
import type { SchemaAddition, TableSchema } from '../../core/model/schema.js';
import { nsPerMs } from '../../core/model/window.js';
import type { Clock } from '../../core/ports/clock.js';
import { isVarveError } from '../../core/std/errors.js';
import type { IngestCatalog } from '../ingest-catalog.js';
import type { DecodedTable, RowRejection } from '../write-contract.js';
import { rejectColumn, rejectExpired } from './reject-rows.js';
import { schemaNeeds } from './schema-needs.js';

/**
 * While the catalog is out of reach, a node goes by what it last read of a database for so long: groups that are open
 * need no catalog to be written to. A database that is dropped in that time is not known to be.
 */
export const catalogAwayTrustMs = 5 * 60_000;
/** How long the first write that finds the catalog silent waits for it; those after it do not. */
const patienceMs = 1000;

interface KnownDatabase {
  readonly database: Database;
  readonly schemas: Map<string, TableSchema>;
  checkedMs: number;
}

/** Rows that passed: every column they have is in the catalog, with their type. */
export interface Admitted {
  readonly tables: readonly DecodedTable[];
  readonly rejected: readonly RowRejection[];
}

/**
 * The second stage of validation: the catalog learns new columns, and rows that cannot be stored are taken out.
 * Schemas only grow, so a remembered one may lack columns but is never wrong about those it has.
 */
export class Admission {
  readonly #catalog: IngestCatalog;
  readonly #clock: Clock;
  readonly #known = new Map<string, KnownDatabase>();
  /** Questions under way to the catalog, one a database. */
  readonly #asking = new Map<string, Promise<KnownDatabase>>();
  /** Since when the catalog has not answered, by the monotonic clock; null while it does. */
  #awaySinceMs: number | null = null;

  constructor(options: { readonly catalog: IngestCatalog; readonly clock: Clock }) {
    this.#catalog = options.catalog;
    this.#clock = options.clock;
  }

  /** What keeps the node from asking the catalog, for /ready; empty while it answers. */
  problems(): readonly string[] {
    if (this.#awaySinceMs === null) return [];
    const seconds = Math.round((this.#clock.monotonicMs() - this.#awaySinceMs) / 1000);
    return [
      `the catalog has not answered for ${seconds} s; writes into open groups go on by what is known for ${catalogAwayTrustMs / 1000} s`,
    ];
  }

  /**
   * The database and what is known of its tables; asks the catalog when that is older than a second. When the catalog
   * does not answer, what is known counts for `catalogAwayTrustMs`; its refusals count at once.
   */
  async database(
    name: string,
  ): Promise<{ readonly database: Database; readonly schemas: ReadonlyMap<string, TableSchema> }> {
    const known = this.#known.get(name);
    const nowMs = this.#clock.monotonicMs();
    if (known !== undefined && nowMs - known.checkedMs < databaseTrustMs) return known;
    const asking = this.#ask(name);
    if (known === undefined || nowMs - known.checkedMs >= catalogAwayTrustMs) return asking;
    return this.#orKnown(asking, known);
  }

  /** The answer, or what is known where none comes. */
  async #orKnown(asking: Promise<KnownDatabase>, known: KnownDatabase): Promise<KnownDatabase> {
    if (this.#awaySinceMs !== null) {
      // It goes on by itself and will tell when the catalog is back.
      asking.catch(() => {});
      return known;
    }
    const answered = new AbortController();
    const patience = this.#clock.sleep(patienceMs, answered.signal).then(
      () => {
        this.#awaySinceMs ??= this.#clock.monotonicMs() - patienceMs;
        asking.catch(() => {});
        return known;
      },
      () => known,
    );
    try {
      return await Promise.race([asking, patience]);
    } catch (error) {
      if (isAway(error)) return known;
      throw error;
    } finally {
      answered.abort();
    }
  }

  /** Asks the catalog, once at a time a database, and notes whether it answers. */
  #ask(name: string): Promise<KnownDatabase> {
    const running = this.#asking.get(name);
    if (running !== undefined) return running;
    const startedMs = this.#clock.monotonicMs();
    const asking = this.#read(name)
      .then(
        (read) => {
          this.#awaySinceMs = null;
          return read;
        },
        (error: unknown) => {
          if (isAway(error)) this.#awaySinceMs ??= startedMs;
          else {
            // It answered, and refuses: what was known counts no more.
            this.#awaySinceMs = null;
            this.#known.delete(name);
          }
          throw error;
        },
      )
      .finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return asking;
  }

  async #read(name: string): Promise<KnownDatabase> {
    const known = this.#known.get(name);
    const nowMs = this.#clock.monotonicMs();
    const database = await this.#catalog.openDatabase(name);
    if (known?.database.id === database.id) {
      const refreshed = { database, schemas: known.schemas, checkedMs: nowMs };
      this.#known.set(name, refreshed);
      return refreshed;
    }
    const tables = await this.#catalog.listTables(database);
    const schemas = new Map(tables.map((record) => [record.table, record.schema]));
    const fresh = { database, schemas, checkedMs: nowMs };
    this.#known.set(name, fresh);
    return fresh;
  }

  /** Takes out what is beyond retention, then extends the catalog by what the rest needs. */
  async admit(database: Database, tables: readonly DecodedTable[]): Promise<Admitted> {
    const rejected: RowRejection[] = [];
    let kept = tables.flatMap((table) => {
      if (database.retentionMs === null) return [table];
      const oldestNs = BigInt(Math.floor(this.#clock.nowMs()) - database.retentionMs) * nsPerMs;
      const screened = rejectExpired(table, oldestNs);
      rejected.push(...screened.rejected);
      return screened.table === null ? [] : [screened.table];
    });
    // A refused column takes its rows out; what is left may need another look, for at most as often as it has columns.
    for (;;) {
      const needs = this.#needs(database, kept);
      if (needs.length === 0) return { tables: kept, rejected };
      const refusals = await this.#extend(database, needs);
      kept = kept.flatMap((table) => {
        let current: DecodedTable | null = table;
        for (const refusal of refusals) {
          if (current === null || refusal.table !== table.rows.table) continue;
          const screened = rejectColumn(current, refusal.column, describeRefusal(refusal));
          rejected.push(...screened.rejected);
          current = screened.table;
        }
        return current === null ? [] : [current];
      });
    }
  }

  #needs(database: Database, tables: readonly DecodedTable[]): SchemaAddition[] {
    const schemas = this.#schemas(database);
    return tables.flatMap((table) => {
      const needs = schemaNeeds(table.rows, schemas?.get(table.rows.table));
      return needs === undefined ? [] : [needs];
    });
  }

  async #extend(
    database: Database,
    additions: readonly SchemaAddition[],
  ): Promise<{ readonly table: string; readonly column: string | null; readonly reason: string }[]> {
    const outcomes = await this.#catalog.extendTables(database, additions);
    const schemas = this.#schemas(database);
    return outcomes.flatMap((outcome) => {
      if (outcome.kind === 'refused') return [outcome];
      schemas?.set(outcome.record.table, outcome.record.schema);
      return [];
    });
  }

  #schemas(database: Database): Map<string, TableSchema> | undefined {
    const known = this.#known.get(database.name);
    return known?.database.id === database.id ? known.schemas : undefined;
  }
}

function isAway(error: unknown): boolean {
  return isVarveError(error, 'unavailable', 'timeout');
}

function describeRefusal(refusal: {
  readonly table: string;
  readonly column: string | null;
  readonly reason: string;
}): string {
  const what = refusal.column === null ? 'table' : `column "${refusal.column}" of table`;
  return `${what} "${refusal.table}": ${refusal.reason}`;
}
