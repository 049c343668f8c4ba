import type { Database, DroppedDatabase, TableRecord } from '../../core/catalog/types.js';
import { tableFolder } from '../../core/iceberg/object-paths.js';
import type {
  CommitRequest,
  CommitResult,
  ExpireRequest,
  ExpireResult,
} from '../../core/iceberg/settled-tables.js';
import type { SnapshotFiles } from '../../core/iceberg/types.js';
import { nsPerMs } from '../../core/model/window.js';
import type { Clock } from '../../core/ports/clock.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import type { CompactorCatalog } from '../compactor-catalog.js';
import { fencedError, type Hold } from '../fencing.js';
import type { CompactorMetrics } from '../metrics.js';
import type { FilesInFlight } from '../rows/files-in-flight.js';
import { deleteGarbage, type GarbageTools, listGarbage } from './collect-garbage.js';
import { writeGarbageLists } from './garbage-list.js';

/** What expiry needs of SettledTables. */
export interface ExpiryHistory {
  snapshot(record: TableRecord, snapshotId?: string): Promise<SnapshotFiles>;
  commit(request: CommitRequest, signal?: AbortSignal): Promise<CommitResult>;
  expire(request: ExpireRequest, signal?: AbortSignal): Promise<ExpireResult>;
  referencedKeys(record: TableRecord): Promise<ReadonlySet<string>>;
}

export interface ExpirySettings {
  /** How long an object stays after nothing names it any more; must outlast queries and put-to-commit. */
  readonly graceMs: number;
  /** How often a table's objects are listed to find leavings of crashes. */
  readonly orphanScanMs: number;
}

/** An hour of grace; a look for leavings of crashes every six hours. */
export const defaultExpirySettings: ExpirySettings = { graceMs: 3_600_000, orphanScanMs: 6 * 3_600_000 };

export interface ExpirerOptions {
  readonly catalog: CompactorCatalog;
  readonly settled: ExpiryHistory;
  readonly objects: ObjectStore;
  readonly inFlight: FilesInFlight;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CompactorMetrics;
  readonly settings: ExpirySettings;
}

/** Keys deleted in one call when a whole database goes. */
const deleteMax = 500;

/** Lets go of what is past its time: points beyond retention, old snapshots, objects that nothing names. */
export class Expirer {
  readonly #options: ExpirerOptions;
  readonly #garbage: GarbageTools;
  readonly #scannedMs = new Map<string, number>();

  constructor(options: ExpirerOptions) {
    const { objects, inFlight, clock, settings } = options;
    this.#options = options;
    this.#garbage = {
      objects,
      inFlight,
      clock,
      graceMs: settings.graceMs,
      referencedKeys: (database, record) => this.#referencedKeys(database, record),
    };
  }

  /** One look at a table. Every part may be done again, and a part left undone is done at the next look. */
  async expireTable(database: Database, record: TableRecord, hold: Hold): Promise<void> {
    const { metrics, clock, settings } = this.#options;
    const dropped = await this.#dropBeyondRetention(database, record, hold);
    await this.#expireSnapshots(database, dropped, hold);
    const scannedMs = this.#scannedMs.get(record.tableUuid);
    if (scannedMs === undefined || clock.monotonicMs() - scannedMs >= settings.orphanScanMs) {
      await listGarbage(database, record, this.#garbage, hold.signal);
      this.#scannedMs.set(record.tableUuid, clock.monotonicMs());
    }
    const deleted = await this.#deleteGarbage(database, record, hold);
    if (deleted > 0) metrics.deletedObjects(deleted);
  }

  /** Deletes the objects of a dropped database, once no query that began before can still run. */
  async clearDropped(dropped: DroppedDatabase, hold: Hold): Promise<void> {
    const { catalog, objects, clock, logger, metrics, settings } = this.#options;
    if (clock.nowMs() - dropped.droppedMs < settings.graceMs) return;
    let keys: string[] = [];
    let count = 0;
    const flush = async (): Promise<void> => {
      hold.signal.throwIfAborted();
      await objects.deleteMany(keys, hold.signal);
      count += keys.length;
      keys = [];
    };
    for await (const { key } of objects.list(`${dropped.database.id}/`, hold.signal)) {
      keys.push(key);
      if (keys.length === deleteMax) await flush();
    }
    await flush();
    await catalog.databases.forgetDropped(dropped.database.id, hold.signal);
    metrics.deletedObjects(count);
    logger.info({ database: dropped.database.name, objects: count }, 'cleared a dropped database');
  }

  async #dropBeyondRetention(database: Database, record: TableRecord, hold: Hold): Promise<TableRecord> {
    const { settled, clock, logger } = this.#options;
    if (database.retentionMs === null || record.snapshotId === null) return record;
    const horizonNs = BigInt(Math.floor(clock.nowMs() - database.retentionMs)) * nsPerMs;
    const { files } = await settled.snapshot(record);
    const removed = files.filter((file) => file.maxTimeNs < horizonNs).map((file) => file.key);
    if (removed.length === 0) return record;
    const result = await settled.commit(
      {
        database,
        table: record.table,
        change: { kind: 'remove', removed },
        fencingEpoch: hold.epoch,
      },
      hold.signal,
    );
    if (result.kind === 'fenced')
      throw fencedError(`expiring points of "${record.table}"`, hold.epoch, result.by);
    // A merge replaced some of the files meanwhile: the next look sees its output.
    if (result.kind === 'stale') return record;
    logger.info(
      { database: database.name, table: record.table, files: removed.length },
      'removed files beyond retention',
    );
    return result.record;
  }

  async #expireSnapshots(database: Database, record: TableRecord, hold: Hold): Promise<void> {
    const { settled, clock, logger, metrics, objects } = this.#options;
    const olderThanMs = clock.nowMs() - database.historyMs;
    const request = { database, table: record.table, olderThanMs, fencingEpoch: hold.epoch };
    const result = await settled.expire(request, hold.signal);
    if (result.kind === 'nothing') return;
    if (result.kind === 'fenced') {
      throw fencedError(`expiring snapshots of "${record.table}"`, hold.epoch, result.by);
    }
    metrics.expired(result.snapshots.length);
    const folder = tableFolder(database.id, record.tableUuid);
    await writeGarbageLists(objects, folder, clock.nowMs(), result.unreferenced, hold.signal);
    logger.info(
      {
        database: database.name,
        table: record.table,
        snapshots: result.snapshots.length,
        objects: result.unreferenced.length,
      },
      'expired snapshots',
    );
  }

  /**
   * Deletes only when no earlier holder of the lease can commit a file any more: this one has committed to the table
   * (the earlier one is fenced there), or it has held the lease for longer than any put waits for its commit.
   */
  async #deleteGarbage(database: Database, record: TableRecord, hold: Hold): Promise<number> {
    const { clock, settings } = this.#options;
    const heldMs = clock.monotonicMs() - hold.sinceMs;
    if (record.fencingEpoch !== hold.epoch && heldMs < settings.graceMs) return 0;
    return deleteGarbage(database, record, this.#garbage, hold.signal);
  }

  /** Throws when the table is another one by now: an empty answer would have everything deleted. */
  async #referencedKeys(database: Database, wanted: TableRecord): Promise<ReadonlySet<string>> {
    const record = (await this.#options.catalog.tables.get(database.name, wanted.table))?.value;
    if (record?.tableUuid !== wanted.tableUuid) {
      throw new VarveError('not-found', `table "${wanted.table}" of "${database.name}" is no longer there`);
    }
    return this.#options.settled.referencedKeys(record);
  }
}
