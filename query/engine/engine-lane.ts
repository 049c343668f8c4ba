import { mkdirSync } from 'node:fs';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { engineError } from './engine-errors.js';
import { closeSandbox, type LaneOptions, macroStatements } from './engine-settings.js';
import type { EngineScan } from './scan.js';
import { scanTableFunction, scanTableNames } from './scan-table.js';

/** Scans by the id that a view names them by. */
export type ScansById = ReadonlyMap<string, EngineScan>;

const noScans: ScansById = new Map();

/**
 * One instance of DuckDB, sandboxed, with functions of our own. Its connections share memory, threads and settings; a
 * scan is seen by the connection that it was lent to and by no other.
 */
export class EngineLane {
  readonly #instance: DuckDBInstance;
  /** Lives as long as the lane: for what needs no view. Never used by two calls at once. */
  readonly first: DuckDBConnection;
  readonly #scans: Map<number, ScansById>;

  private constructor(instance: DuckDBInstance, first: DuckDBConnection, scans: Map<number, ScansById>) {
    this.#instance = instance;
    this.first = first;
    this.#scans = scans;
  }

  static async open(options: LaneOptions): Promise<EngineLane> {
    if (options.spill !== null) mkdirSync(options.spill.directory, { recursive: true });
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(options.threads),
      memory_limit: `${options.memoryBytesMax} bytes`,
    });
    const first = await instance.connect();
    const scans = new Map<number, ScansById>();
    for (const name of scanTableNames) {
      first.registerTableFunction(
        scanTableFunction(name, (connection, id) => scans.get(connection)?.get(id)),
      );
    }
    for (const statement of macroStatements) await first.run(statement);
    await closeSandbox(first, options);
    return new EngineLane(instance, first, scans);
  }

  async connect(): Promise<LaneConnection> {
    const connection = await this.#instance.connect().catch((error: unknown) => {
      throw engineError(error);
    });
    return new LaneConnection(connection, this.#scans);
  }

  close(): void {
    this.first.closeSync();
    this.#instance.closeSync();
  }
}

/** A connection with what it was lent. */
export class LaneConnection {
  readonly connection: DuckDBConnection;
  readonly #id: number;
  readonly #scans: Map<number, ScansById>;

  constructor(connection: DuckDBConnection, scans: Map<number, ScansById>) {
    this.connection = connection;
    this.#id = connection.clientContext.connectionId;
    this.#scans = scans;
  }

  /** The scans that statements can name from now on; those lent before are taken back. */
  lend(scans: ScansById = noScans): void {
    if (scans.size === 0) this.#scans.delete(this.#id);
    else this.#scans.set(this.#id, scans);
  }

  close(): void {
    this.lend();
    this.connection.closeSync();
  }
}

/** Connections that have made their views, for the next query that wants the very same ones; the oldest goes first. */
export class KeptConnections {
  readonly #kept: { readonly views: string; readonly connection: LaneConnection }[] = [];
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** A connection with these views, which is the caller's from then on. */
  take(views: string): LaneConnection | undefined {
    const index = this.#kept.findLastIndex((kept) => kept.views === views);
    return index < 0 ? undefined : this.#kept.splice(index, 1)[0]?.connection;
  }

  /** Only of a query that ended well: another may have left its connection in any state. */
  keep(views: string, connection: LaneConnection): void {
    connection.lend();
    this.#kept.push({ views, connection });
    if (this.#kept.length > this.#countMax) this.#kept.shift()?.connection.close();
  }

  close(): void {
    for (const { connection } of this.#kept.splice(0)) connection.close();
  }
}
