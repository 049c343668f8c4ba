import type { Database, GroupList, Lease, TableRecord } from '../core/catalog/types.js';
import type { Clock } from '../core/ports/clock.js';
import type { ObjectStore } from '../core/ports/object-store.js';
import { AssertionError } from '../core/std/assert.js';
import { errorMessage, isVarveError, VarveError } from '../core/std/errors.js';
import type { Logger } from '../core/std/logger.js';
import { BackOff } from './back-off.js';
import type { CompactorCatalog } from './compactor-catalog.js';
import type {
  CompactedTable,
  CompactorControl,
  CompactReport,
  SealReport,
  SettledStatus,
  TruncateReport,
  VerifyReport,
} from './compactor-control.js';
import type { CompactorSettings } from './compactor-settings.js';
import { dueDatabases, hasWork } from './due-databases.js';
import { Expirer, type ExpiryHistory } from './expire/expirer.js';
import type { Hold } from './fencing.js';
import { KeyedMutex } from './keyed-mutex.js';
import { LeaseKeeper } from './lease-keeper.js';
import { compactTable } from './merge/compact-table.js';
import { type MergeHistory, Merger } from './merge/merger.js';
import type { CompactorMetrics, CompactorStep } from './metrics.js';
import { FilesInFlight } from './rows/files-in-flight.js';
import { GoneNodes } from './seal/gone-nodes.js';
import type { PeerLookup } from './seal/seal-group.js';
import { Sealer, type SealRound } from './seal/sealer.js';
import { SilentNodes } from './seal/silent-nodes.js';
import { settledStatus } from './status.js';
import { truncateShards } from './truncate-shards.js';
import { UpkeepTurns } from './upkeep-turns.js';
import { type VerifyTools, verifyTables } from './verify.js';

export interface CompactorOptions {
  readonly catalog: CompactorCatalog;
  /** SettledTables. */
  readonly settled: MergeHistory & ExpiryHistory & VerifyTools['settled'];
  readonly objects: ObjectStore;
  readonly peers: PeerLookup;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CompactorMetrics;
  /** Unique to this process and its start. */
  readonly holder: string;
  /** True for a holder of the lease that is known to have ended: an earlier start of this process. */
  readonly isGone?: (holder: string) => boolean;
  /** The program contradicts itself (a failed assertion): the process must end rather than write on. */
  readonly onFatal: (error: unknown) => void;
  readonly settings: CompactorSettings;
}

const idleTicks = 5;

/**
 * Drives every group from open to sealed and keeps the history tidy, as long as this process holds the lease. Two
 * loops: one seals, one merges and expires; a long merge must not delay sealing. One database's failure never stops
 * another's work; it is counted, shown in the status, and tried again with back-off.
 */
export class Compactor implements CompactorControl {
  readonly #options: CompactorOptions;
  readonly #lease: LeaseKeeper;
  readonly #goneNodes: GoneNodes;
  readonly #sealer: Sealer;
  readonly #merger: Merger;
  readonly #expirer: Expirer;
  readonly #turns: UpkeepTurns;
  readonly #mutex = new KeyedMutex();
  readonly #sealBackOff: BackOff;
  readonly #upkeepBackOff: BackOff;
  #stopping: AbortController | null = null;
  /** Which databases are sealed and kept tidy here; others are left to other processes. */
  #isMine: (database: string) => boolean = () => true;
  #loops: Promise<unknown> = Promise.resolve();

  constructor(options: CompactorOptions) {
    const { settings } = options;
    const tools = { ...options, ...settings, inFlight: new FilesInFlight() };
    this.#options = options;
    this.#lease = new LeaseKeeper({ ...options, ttlMs: settings.leaseTtlMs });
    this.#goneNodes = new GoneNodes(tools);
    this.#sealer = new Sealer({ ...tools, peers: new SilentNodes(options).of, files: tools });
    this.#merger = new Merger({ ...tools, settings: settings.merge });
    this.#expirer = new Expirer({ ...tools, settings: settings.expiry });
    this.#turns = new UpkeepTurns(settings.upkeepIdleMs);
    this.#sealBackOff = new BackOff(settings.tickMs, settings.retryMsMax);
    this.#upkeepBackOff = new BackOff(settings.upkeepMs, settings.retryMsMax);
  }

  /** Begins to work in the background. */
  start(): void {
    if (this.#stopping !== null) return;
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    const { tickMs, upkeepMs, leaseTtlMs } = this.#options.settings;
    this.#loops = Promise.all([
      this.#loop('lease', signal, async () => {
        await this.keepLease();
        return Math.min(tickMs, leaseTtlMs / 6);
      }),
      this.#loop('seal', signal, () => this.sealTick()),
      this.#loop('upkeep', signal, async () => {
        await this.upkeepTick();
        return upkeepMs;
      }),
    ]);
  }

  /** Ends the work at its next safe point and gives the lease back. What was under way is done again by the next holder. */
  async stop(): Promise<void> {
    const reason = new VarveError('cancelled', 'the compactor is stopping');
    this.#stopping?.abort(reason);
    this.#lease.interrupt(reason);
    await this.#loops;
    await this.#lease.release();
    this.#stopping = null;
  }

  /**
   * Ends what goes on at its next safe point. For callers that drive the ticks themselves: they wait for those under
   * way, and then `stop`.
   */
  interrupt(reason: VarveError): void {
    this.#lease.interrupt(reason);
  }

  /** Leaves out the databases for which `isMine` is false, until it is called again. */
  restrictTo(isMine: (database: string) => boolean): void {
    this.#isMine = isMine;
  }

  /** Databases with a group that is closing or due, and the lease under which to seal them; null without the lease. */
  async dueDatabases(): Promise<{ readonly lease: Lease; readonly databases: readonly string[] } | null> {
    const hold = this.#hold();
    if (hold === undefined) return null;
    const databases = await dueDatabases(this.#options, hold);
    const { lease } = this.#lease;
    return lease === undefined ? null : { lease, databases };
  }

  /** Works under a lease that another handed over, to seal only: two that delete under one epoch are not fenced apart. */
  adopt(lease: Lease): void {
    this.#lease.adopt(lease);
  }

  /** In place of `stop`, for callers that drive the ticks: the lease stays with those who work under it too. */
  handOver(): void {
    this.#lease.handOver();
  }

  /** One look at the groups of all databases; answers how long to wait before the next, in ms. */
  async sealTick(): Promise<number> {
    const { catalog, settings, clock } = this.#options;
    const hold = this.#hold();
    if (hold === undefined) return settings.tickMs;
    await this.#goneNodes.round(hold);
    let busy = false;
    for (const database of await catalog.databases.list(hold.signal)) {
      if (!this.#isMine(database.name)) continue;
      if (!this.#sealBackOff.mayTry(database.id, clock.monotonicMs())) continue;
      const list = await this.#sealDatabase(database, hold);
      if (list === null || hasWork(list, clock.nowMs(), settings.tickMs * idleTicks)) busy = true;
    }
    return busy ? settings.tickMs : settings.tickMs * idleTicks;
  }

  /** One look at the tables of all databases for files to merge and history to expire. */
  async upkeepTick(): Promise<void> {
    const { catalog } = this.#options;
    const hold = this.#hold();
    if (hold === undefined) return;
    for (const database of await catalog.databases.list(hold.signal)) {
      if (!this.#isMine(database.name)) continue;
      await this.#guardUpkeep(database, database.id, hold, () => this.#upkeepDatabase(database, hold));
    }
    for (const dropped of await catalog.databases.listDropped(hold.signal)) {
      await this.#guardUpkeep(dropped.database, dropped.database.id, hold, () =>
        this.#expirer.clearDropped(dropped, hold),
      );
    }
  }

  async #upkeepDatabase(database: Database, hold: Hold): Promise<void> {
    for (const { value: record } of await this.#options.catalog.tables.list(database.name, hold.signal)) {
      if (!this.#turns.isDue(record, this.#options.clock.monotonicMs())) continue;
      await this.#guardUpkeep(database, record.tableUuid, hold, () =>
        this.#mutex.run(`upkeep ${record.tableUuid}`, () => this.#upkeepTable(database, record, hold)),
      );
    }
  }

  async #upkeepTable(database: Database, seen: TableRecord, hold: Hold): Promise<void> {
    const { catalog, clock } = this.#options;
    const before = await catalog.tables.get(database.name, seen.table, hold.signal);
    if (before === undefined) return;
    await this.#merger.mergeTable(database, before.value, hold, false);
    const merged = await catalog.tables.get(database.name, seen.table, hold.signal);
    if (merged === undefined) return;
    await this.#expirer.expireTable(database, merged.value, hold);
    this.#turns.done(merged.value, clock.monotonicMs());
  }

  async sealBefore(name: string, beforeNs: bigint, signal?: AbortSignal): Promise<SealReport> {
    const database = await this.#database(name);
    const hold = await this.#demandHold(signal);
    const round = await this.#fencing(() => this.#sealRound(database, hold, beforeNs));
    return {
      database: name,
      settledThroughNs: round.list.settledThroughNs,
      sealed: round.sealed,
      waiting: round.waiting,
    };
  }

  async truncateShards(name: string | null, signal?: AbortSignal): Promise<readonly TruncateReport[]> {
    const hold = await this.#demandHold(signal);
    const databases =
      name === null ? await this.#options.catalog.databases.list(hold.signal) : [await this.#database(name)];
    const reports: TruncateReport[] = [];
    for (const database of databases) {
      reports.push(await this.#fencing(() => truncateShards(database, this.#options, hold)));
    }
    return reports;
  }

  async compact(name: string, table: string | null, signal?: AbortSignal): Promise<CompactReport> {
    const database = await this.#database(name);
    const hold = await this.#demandHold(signal);
    const tables: CompactedTable[] = [];
    for (const record of await this.#tables('compacting', name, table, hold.signal)) {
      tables.push(
        await this.#fencing(() =>
          this.#mutex.run(`upkeep ${record.tableUuid}`, () =>
            compactTable(database, record.table, { ...this.#options, merger: this.#merger, hold }),
          ),
        ),
      );
    }
    return { database: name, tables };
  }

  async verify(name: string, table: string | null, signal?: AbortSignal): Promise<VerifyReport> {
    const database = await this.#database(name);
    const records = await this.#tables('verifying', name, table, signal);
    return verifyTables(database, records, this.#options, signal);
  }

  async status(name: string, signal?: AbortSignal): Promise<SettledStatus> {
    const database = await this.#database(name);
    return settledStatus(database, {
      ...this.#options,
      active: this.#hold() !== undefined,
      reasonOf: (group) => this.#sealer.reasonOf(name, group),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Takes the lease, or renews it in time. */
  keepLease(): Promise<void> {
    return this.#mutex.run('lease', async () => {
      try {
        await this.#lease.keep();
      } catch (error) {
        this.#failed('lease', '', error);
      }
    });
  }

  /** The named table's record, or those of all tables. */
  async #tables(
    doing: string,
    database: string,
    table: string | null,
    signal: AbortSignal | undefined,
  ): Promise<TableRecord[]> {
    const records = (await this.#options.catalog.tables.list(database, signal)).map(({ value }) => value);
    if (table === null) return records;
    const wanted = records.filter((record) => record.table === table);
    if (wanted.length > 0) return wanted;
    throw new VarveError(
      'not-found',
      `${doing} database "${database}": got table "${table}"; want one of its tables`,
    );
  }

  async #loop(step: CompactorStep, signal: AbortSignal, turn: () => Promise<number>): Promise<void> {
    while (!signal.aborted) {
      let waitMs = this.#options.settings.tickMs;
      try {
        waitMs = await turn();
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(step, '', error);
      }
      await this.#options.clock.sleep(waitMs, signal).catch(() => {});
    }
  }

  /** The group list after a round; null when the round failed. */
  async #sealDatabase(database: Database, hold: Hold): Promise<GroupList | null> {
    const { clock } = this.#options;
    try {
      const round = await this.#fencing(() => this.#sealRound(database, hold, null));
      const stuck = round.waiting.length > 0 && round.sealed.length === 0;
      if (stuck) this.#sealBackOff.failed(database.id, clock.monotonicMs());
      else this.#sealBackOff.succeeded(database.id);
      return round.list;
    } catch (error) {
      if (hold.signal.aborted) return null;
      this.#sealBackOff.failed(database.id, clock.monotonicMs());
      this.#failed('seal', database.name, error);
      return null;
    }
  }

  #sealRound(database: Database, hold: Hold, throughNs: bigint | null): Promise<SealRound> {
    return this.#mutex.run(`seal ${database.id}`, () => this.#sealer.round(database, hold, throughNs));
  }

  async #guardUpkeep(database: Database, key: string, hold: Hold, work: () => Promise<void>): Promise<void> {
    const { clock } = this.#options;
    if (!this.#upkeepBackOff.mayTry(key, clock.monotonicMs())) return;
    try {
      await this.#fencing(work);
      this.#upkeepBackOff.succeeded(key);
    } catch (error) {
      if (hold.signal.aborted) throw error;
      this.#upkeepBackOff.failed(key, clock.monotonicMs());
      this.#failed('upkeep', database.name, error);
    }
  }

  /** Runs work. When it finds that another holder has committed, the lease is given up at once; a failed assertion ends the process. */
  async #fencing<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (isVarveError(error, 'fenced')) this.#lease.fenced();
      if (error instanceof AssertionError) this.#options.onFatal(error);
      throw error;
    }
  }

  #hold(signal?: AbortSignal): Hold | undefined {
    const hold = this.#lease.hold();
    if (hold === undefined) return undefined;
    return signal === undefined ? hold : { ...hold, signal: AbortSignal.any([hold.signal, signal]) };
  }

  async #demandHold(signal: AbortSignal | undefined): Promise<Hold> {
    if (this.#lease.hold() === undefined) await this.keepLease();
    const hold = this.#hold(signal);
    if (hold !== undefined) return hold;
    const by = this.#lease.takenBy ?? 'nobody that is known';
    throw new VarveError(
      'unavailable',
      `the lease of the compactor is held by ${by}; ask there, or again later`,
      { retryAfterSeconds: 5 },
    );
  }

  async #database(name: string): Promise<Database> {
    const database = await this.#options.catalog.databases.get(name);
    if (database === undefined) throw new VarveError('not-found', `database "${name}" does not exist`);
    return database;
  }

  #failed(step: CompactorStep, database: string, error: unknown): void {
    const { metrics, logger } = this.#options;
    metrics.failed(step, database);
    logger.error({ step, database, error: errorMessage(error) }, 'the compactor failed; it tries again');
  }
}
