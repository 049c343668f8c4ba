import type { Clock } from '../ports/clock.js';
import type { Random } from '../ports/random.js';
import { VarveError } from '../std/errors.js';
import { databaseCodec, droppedDatabaseCodec } from './database-codec.js';
import { checkDatabase } from './database-settings.js';
import { newDatabaseId } from './ids.js';
import { catalogPrefixes, checkName, databaseKey, droppedKey, groupsKey, tablesPrefix } from './keys.js';
import { type CatalogPorts, databasesRememberedMax, RecordStore } from './record-store.js';
import type { Database, DatabaseSettings, DroppedDatabase } from './types.js';

export type CreateDatabaseResult =
  | { readonly kind: 'created'; readonly database: Database }
  | { readonly kind: 'exists'; readonly database: Database };

/** How long an id found before stands for a name when nobody has read the database since. */
const idAgeMsMax = 5000;

/** The databases. One instance a process, shared with the table catalog. */
export class DatabaseCatalog {
  readonly #records: RecordStore;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #ids = new Map<string, { readonly id: string; readonly readMs: number }>();

  constructor(ports: CatalogPorts) {
    this.#records = new RecordStore(ports);
    this.#clock = ports.clock;
    this.#random = ports.random;
  }

  /** The database of that name; undefined when there is none. */
  async get(name: string, signal?: AbortSignal): Promise<Database | undefined> {
    checkName('database', name);
    const record = await this.#records.read(databaseKey(name), databaseCodec, signal);
    if (record === undefined) this.#ids.delete(name);
    return record === undefined ? undefined : this.#remember(record.value);
  }

  /** The database with that id; undefined when it has been dropped. Reads all databases. */
  async getById(id: string, signal?: AbortSignal): Promise<Database | undefined> {
    return (await this.list(signal)).find((database) => database.id === id);
  }

  /** All databases, by name in byte order of the escaped name. */
  async list(signal?: AbortSignal): Promise<readonly Database[]> {
    const records = await this.#records.range(catalogPrefixes.database, databaseCodec, signal);
    return records.map((record) => this.#remember(record.value));
  }

  /** Makes a database. Errors: `invalid` when the name or a setting cannot be. */
  async create(
    name: string,
    settings: DatabaseSettings,
    signal?: AbortSignal,
  ): Promise<CreateDatabaseResult> {
    checkDatabase(name, settings);
    const createdMs = this.#clock.nowMs();
    const database: Database = { ...settings, name, id: newDatabaseId(createdMs, this.#random), createdMs };
    const { outcome } = await this.#records.change<Database, CreateDatabaseResult>(
      databaseKey(name),
      databaseCodec,
      (current) =>
        current === undefined || current.value.id === database.id
          ? { next: current === undefined ? database : undefined, outcome: { kind: 'created', database } }
          : { next: undefined, outcome: { kind: 'exists', database: current.value } },
      signal,
    );
    this.#remember(outcome.database);
    return outcome;
  }

  /** The database of that name, made with the given settings if there is none. */
  async ensure(name: string, defaults: DatabaseSettings, signal?: AbortSignal): Promise<Database> {
    return (await this.get(name, signal)) ?? (await this.create(name, defaults, signal)).database;
  }

  /**
   * Drops the database; false when there is none. It is gone at once; its items and objects stay until
   * forgetDropped, so that the compactor can find and remove them.
   */
  async delete(name: string, signal?: AbortSignal): Promise<boolean> {
    checkName('database', name);
    const record = await this.#records.read(databaseKey(name), databaseCodec, signal);
    if (record === undefined) return false;
    // The tombstone first: after a crash in between the database still stands, and the drop is asked for again.
    const dropped: DroppedDatabase = { database: record.value, droppedMs: this.#clock.nowMs() };
    await this.#records.change(
      droppedKey(record.value.id),
      droppedDatabaseCodec,
      (current) => ({ next: current === undefined ? dropped : undefined, outcome: undefined }),
      signal,
    );
    await this.#records.remove(databaseKey(name), record.version, signal);
    this.#ids.delete(name);
    return true;
  }

  /** Dropped databases whose remains have not been cleared away, oldest id first. */
  async listDropped(signal?: AbortSignal): Promise<readonly DroppedDatabase[]> {
    const dropped = await this.#records.range(catalogPrefixes.dropped, droppedDatabaseCodec, signal);
    const live = new Set((await this.list(signal)).map((database) => database.id));
    // A tombstone of a database that still stands is left from a drop that did not come to its end.
    return dropped.map((record) => record.value).filter(({ database }) => !live.has(database.id));
  }

  /** Removes what the catalog still holds of a dropped database; call it once its objects are gone. */
  async forgetDropped(databaseId: string, signal?: AbortSignal): Promise<void> {
    const dropped = await this.#records.read(droppedKey(databaseId), droppedDatabaseCodec, signal);
    if (dropped === undefined) return;
    const standing = await this.get(dropped.value.database.name, signal);
    if (standing?.id === databaseId) {
      throw new VarveError(
        'conflict',
        `forget database ${standing.name}: got one that still stands; want a dropped one`,
      );
    }
    await this.#records.removeAll(tablesPrefix(databaseId), signal);
    await this.#records.removeAll(groupsKey(databaseId), signal);
    await this.#records.remove(droppedKey(databaseId), dropped.version, signal);
  }

  /**
   * The id of the database of that name, remembered from the last time this process read it (at most 5 s).
   * Errors: `not-found`.
   */
  async idOf(name: string, signal?: AbortSignal): Promise<string> {
    const known = this.#ids.get(name);
    if (known !== undefined && this.#clock.monotonicMs() - known.readMs < idAgeMsMax) return known.id;
    const database = await this.get(name, signal);
    if (database === undefined) throw new VarveError('not-found', `database ${name} does not exist`);
    return database.id;
  }

  #remember(database: Database): Database {
    if (this.#ids.size >= databasesRememberedMax) this.#ids.clear();
    this.#ids.set(database.name, { id: database.id, readMs: this.#clock.monotonicMs() });
    return database;
  }
}
