import type { GroupId } from '../model/batch.js';
import type { SchemaAddition } from '../model/schema.js';
import type { Random } from '../ports/random.js';
import { assert } from '../std/assert.js';
import { isVarveError } from '../std/errors.js';
import type { DatabaseCatalog } from './database-catalog.js';
import { extendSchema, type SchemaLimits, type SchemaRefusal } from './extend-table.js';
import { newUuid } from './ids.js';
import { nameDefect, tableKey, tablesPrefix } from './keys.js';
import { type CatalogPorts, type Decision, databasesRememberedMax, RecordStore } from './record-store.js';
import { tableCodec } from './table-codec.js';
import type { Database, SnapshotOutline, TableRecord, Versioned } from './types.js';

export type ExtendResult =
  | { readonly kind: 'extended' | 'unchanged'; readonly record: TableRecord; readonly version: number }
  | SchemaRefusal;

/** The parts of a record that a commit replaces. */
export interface TableCommit {
  readonly metadataKey: string;
  readonly snapshotId: string;
  readonly historyRoot: string;
  /** The whole new list, those named before included as far as they still count. */
  readonly sealedGroups: readonly GroupId[];
  /** Of the snapshot named here. */
  readonly outline: SnapshotOutline | null;
}

export type CommitResult =
  | { readonly kind: 'committed'; readonly record: Versioned<TableRecord> }
  /** The record has another version, or is gone: read again, check again. */
  | { readonly kind: 'conflict' }
  /** `by`: the higher epoch that has committed. */
  | { readonly kind: 'fenced'; readonly by: number };

/** A database by its name, which is looked up, or itself. */
export type DatabaseReference = string | DatabaseIdentity;
type DatabaseIdentity = Pick<Database, 'id' | 'name'>;

/** Bytes of a record that its columns may fill; the rest of an item's 350 KiB is for sealed groups. */
const recordBytesMax = 300 * 1024;
/** Records changed at the same time by one extend(). */
const extendConcurrency = 32;

/** The tables of each database. Errors: `not-found` when a database given by name does not exist. */
export class TableCatalog {
  readonly #records: RecordStore;
  readonly #databases: DatabaseCatalog;
  readonly #random: Random;
  /** Names of the tables known to exist, by database id. Tables never go while their database stands. */
  readonly #known = new Map<string, Set<string>>();

  constructor(ports: CatalogPorts, databases: DatabaseCatalog) {
    this.#records = new RecordStore(ports);
    this.#databases = databases;
    this.#random = ports.random;
  }

  /** The table's record; undefined when there is none. */
  async get(
    database: DatabaseReference,
    table: string,
    signal?: AbortSignal,
  ): Promise<Versioned<TableRecord> | undefined> {
    if (nameDefect(table) !== undefined) return undefined;
    return this.#records.read(
      tableKey((await this.#resolve(database, signal)).id, table),
      tableCodec,
      signal,
    );
  }

  /** All tables of the database, in byte order of their escaped names. */
  async list(database: DatabaseReference, signal?: AbortSignal): Promise<readonly Versioned<TableRecord>[]> {
    const id = (await this.#resolve(database, signal)).id;
    const records = await this.#records.range(tablesPrefix(id), tableCodec, signal);
    this.#know(id, records);
    return records;
  }

  /**
   * Gives tables the columns that a write needs, making tables that do not exist. One answer an addition, in order;
   * a refused addition changes nothing, the others hold all the same. The limit of tables counts those that this
   * process knows of: several nodes that make tables at the same time can pass it by as many as they make.
   */
  async extend(
    database: DatabaseReference,
    additions: readonly SchemaAddition[],
    limits: SchemaLimits,
    signal?: AbortSignal,
  ): Promise<ExtendResult[]> {
    const resolved = await this.#resolve(database, signal);
    const known = await this.#knownTables(resolved.id, signal);
    const results: ExtendResult[] = [];
    for (let at = 0; at < additions.length; at += extendConcurrency) {
      const part = additions.slice(at, at + extendConcurrency);
      results.push(
        ...(await Promise.all(
          part.map((addition) => this.#extendOne(resolved, addition, limits, known, signal)),
        )),
      );
    }
    return results;
  }

  /**
   * The commit point of a table's history: replaces what the record says of it if the record still has
   * `expectedVersion` and no higher fencing epoch has committed. Asked again with the same metadata key after a lost
   * answer, it recognises its own commit.
   */
  async commit(
    database: DatabaseReference,
    table: string,
    expectedVersion: number,
    change: TableCommit,
    fencingEpoch: number,
    signal?: AbortSignal,
  ): Promise<CommitResult> {
    const key = tableKey((await this.#resolve(database, signal)).id, table);
    const decide = (
      current: Versioned<TableRecord> | undefined,
    ): Decision<TableRecord, CommitResult['kind']> =>
      decideCommit(current, expectedVersion, change, fencingEpoch);
    try {
      const { outcome, record } = await this.#records.change(key, tableCodec, decide, signal);
      if (outcome === 'conflict' || record === undefined) return { kind: 'conflict' };
      if (outcome === 'fenced') return { kind: 'fenced', by: record.value.fencingEpoch };
      return { kind: 'committed', record };
    } catch (error) {
      // The put may have applied although its answer was lost: what stands there now decides.
      if (!isVarveError(error, 'unavailable', 'timeout')) throw error;
      const record = await this.#records.read(key, tableCodec, signal);
      if (record?.value.metadataKey !== change.metadataKey) throw error;
      return { kind: 'committed', record };
    }
  }

  /** Takes groups out of the record's sealed groups, once they have left the group list. */
  async forgetGroups(
    database: DatabaseReference,
    table: string,
    groups: readonly GroupId[],
    signal?: AbortSignal,
  ): Promise<void> {
    const key = tableKey((await this.#resolve(database, signal)).id, table);
    await this.#records.change<TableRecord, void>(
      key,
      tableCodec,
      (current) => {
        const kept = current?.value.sealedGroups.filter((group) => !groups.includes(group));
        const same = current === undefined || kept?.length === current.value.sealedGroups.length;
        return {
          next: same ? undefined : { ...current.value, sealedGroups: kept ?? [] },
          outcome: undefined,
        };
      },
      signal,
    );
  }

  async #extendOne(
    database: DatabaseIdentity,
    addition: SchemaAddition,
    limits: SchemaLimits,
    known: Set<string>,
    signal: AbortSignal | undefined,
  ): Promise<ExtendResult> {
    const { table } = addition;
    const defect = nameDefect(table);
    if (defect !== undefined) return refuseTable(table, defect);
    // A new table takes its place among the known ones before it is made, so that those made at once respect the limit.
    const reserved = !known.has(table) && known.size < limits.tablesMax;
    if (reserved) known.add(table);
    const request = {
      database: database.name,
      addition,
      limits,
      tableUuid: newUuid(this.#random),
      mayMake: known.has(table),
    };
    try {
      const { outcome, record } = await this.#records.change(
        tableKey(database.id, table),
        tableCodec,
        (current) => decideExtension(current, request),
        signal,
      );
      if (record === undefined) {
        if (reserved) known.delete(table);
        assert(
          typeof outcome === 'object',
          `extend table ${table}: it is ${String(outcome)} and has no record`,
        );
        return outcome;
      }
      known.add(table);
      if (typeof outcome === 'object') return outcome;
      return { kind: outcome, record: record.value, version: record.version };
    } catch (error) {
      if (reserved) known.delete(table);
      throw error;
    }
  }

  async #resolve(database: DatabaseReference, signal: AbortSignal | undefined): Promise<DatabaseIdentity> {
    if (typeof database !== 'string') return database;
    return { id: await this.#databases.idOf(database, signal), name: database };
  }

  /** The tables that this process knows of; the first time it looks. */
  async #knownTables(databaseId: string, signal: AbortSignal | undefined): Promise<Set<string>> {
    const known = this.#known.get(databaseId);
    if (known !== undefined) return known;
    return this.#know(databaseId, await this.#records.range(tablesPrefix(databaseId), tableCodec, signal));
  }

  #know(databaseId: string, records: readonly Versioned<TableRecord>[]): Set<string> {
    if (this.#known.size >= databasesRememberedMax) this.#known.clear();
    const known = this.#known.get(databaseId) ?? new Set();
    for (const { value } of records) known.add(value.table);
    this.#known.set(databaseId, known);
    return known;
  }
}

interface ExtensionRequest {
  readonly database: string;
  readonly addition: SchemaAddition;
  readonly limits: SchemaLimits;
  readonly tableUuid: string;
  /** False when the database has all the tables it may have. */
  readonly mayMake: boolean;
}

function decideExtension(
  current: Versioned<TableRecord> | undefined,
  request: ExtensionRequest,
): Decision<TableRecord, 'extended' | 'unchanged' | SchemaRefusal> {
  const { addition, limits } = request;
  const { table } = addition;
  if (current === undefined && !request.mayMake) {
    const reason = `the database has ${limits.tablesMax} tables, as many as are allowed`;
    return { next: undefined, outcome: refuseTable(table, reason) };
  }
  const result = extendSchema(current?.value.schema, addition, limits);
  if (result.kind === 'refused') return { next: undefined, outcome: result };
  if (result.kind === 'unchanged') return { next: undefined, outcome: 'unchanged' };
  const base = current?.value ?? newTable(request.database, table, request.tableUuid);
  const next = { ...base, schema: result.schema };
  const bytes = Buffer.byteLength(tableCodec.encode(next));
  if (bytes <= recordBytesMax) return { next, outcome: 'extended' };
  const reason = `its columns would take ${bytes} bytes in the catalog; at most ${recordBytesMax} are allowed`;
  return { next: undefined, outcome: refuseTable(table, reason) };
}

function refuseTable(table: string, reason: string): SchemaRefusal {
  return { kind: 'refused', table, column: null, reason };
}

function decideCommit(
  current: Versioned<TableRecord> | undefined,
  expectedVersion: number,
  change: TableCommit,
  fencingEpoch: number,
): Decision<TableRecord, CommitResult['kind']> {
  if (current === undefined) return { next: undefined, outcome: 'conflict' };
  const record = current.value;
  if (record.metadataKey === change.metadataKey) return { next: undefined, outcome: 'committed' };
  if (fencingEpoch < record.fencingEpoch) return { next: undefined, outcome: 'fenced' };
  if (current.version !== expectedVersion) return { next: undefined, outcome: 'conflict' };
  return {
    next: {
      ...record,
      metadataKey: change.metadataKey,
      snapshotId: change.snapshotId,
      historyRoot: change.historyRoot,
      sealedGroups: [...change.sealedGroups],
      fencingEpoch,
      outline: change.outline,
    },
    outcome: 'committed',
  };
}

function newTable(database: string, table: string, tableUuid: string): TableRecord {
  return {
    database,
    table,
    schema: { table, columns: [], hasTimeNs: false },
    tableUuid,
    metadataKey: null,
    snapshotId: null,
    historyRoot: null,
    sealedGroups: [],
    fencingEpoch: 0,
  };
}
