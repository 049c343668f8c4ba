import type { MergeReason } from '../merge/plan-merges.js';
import type { CompactorMetrics, CompactorStep } from '../metrics.js';

/** What one turn did, and how it left things. It is JSON. */
export interface TurnCounts {
  readonly sealed: { readonly groups: number; readonly rows: number; readonly bytes: number };
  /** Groups sealed although some nodes could not be asked. */
  readonly sealExceptions: number;
  /** Batches that owners fetched from others before a group was sealed. */
  readonly caughtUpBatches: number;
  /** Shards that got another owner in the place of a lost one. */
  readonly ownersReplaced: number;
  readonly merged: {
    readonly merges: number;
    readonly files: number;
    readonly rows: number;
    readonly bytes: number;
  };
  readonly conflicts: number;
  readonly expiredSnapshots: number;
  readonly deletedObjects: number;
  /** Steps that failed and are tried again in the next turn; the log says why. */
  readonly failed: Readonly<Record<CompactorStep, number>>;
  readonly databases: readonly DatabaseCounts[];
  /** Age of the oldest group, of all databases, that is closing and not sealed; null when none was looked at. */
  readonly sealLagSeconds: number | null;
}

/** How far a database's history goes and what waits to become history. */
export interface DatabaseCounts {
  readonly database: string;
  /** Groups that are closing and not sealed. */
  readonly waitingGroups: number;
  readonly oldestWaitingSeconds: number;
  /** Seconds since the epoch. */
  readonly settledThroughSeconds: number;
}

/** Counts what the compactor tells of its work, turn by turn. */
export class TurnTally implements CompactorMetrics {
  #counts = noCounts();
  readonly #databases = new Map<string, DatabaseCounts>();
  readonly #filling = new Map<string, number>();
  #leaseIsHeld = false;
  #changes = 0;

  /** Whether the lease is held now. */
  get leaseIsHeld(): boolean {
    return this.#leaseIsHeld;
  }

  /** Grows with everything that changed history. */
  get changes(): number {
    return this.#changes;
  }

  /** Shards that are being filled, of all databases, as of the last look at each. */
  get fillingShards(): number {
    return [...this.#filling.values()].reduce((sum, shards) => sum + shards, 0);
  }

  /** What was counted since the last call. */
  take(): TurnCounts {
    const databases = [...this.#databases.values()];
    const lags = databases.map((database) => database.oldestWaitingSeconds);
    const taken = {
      ...this.#counts,
      databases,
      sealLagSeconds: lags.length === 0 ? null : Math.max(...lags),
    };
    this.#counts = noCounts();
    this.#databases.clear();
    return taken;
  }

  sealed(_database: string, rows: number, bytes: number): void {
    const { sealed } = this.#counts;
    this.#counts.sealed = {
      groups: sealed.groups + 1,
      rows: sealed.rows + rows,
      bytes: sealed.bytes + bytes,
    };
    this.#changes++;
  }

  sealedWithException(): void {
    this.#counts.sealExceptions++;
  }

  caughtUp(_database: string, batches: number): void {
    this.#counts.caughtUpBatches += batches;
  }

  ownerReplaced(): void {
    this.#counts.ownersReplaced++;
  }

  filling(database: string, shards: number): void {
    this.#filling.set(database, shards);
  }

  waiting(database: string, groups: number, oldestSeconds: number): void {
    this.#databases.set(database, {
      ...this.#of(database),
      waitingGroups: groups,
      oldestWaitingSeconds: oldestSeconds,
    });
  }

  settledThrough(database: string, seconds: number): void {
    this.#databases.set(database, { ...this.#of(database), settledThroughSeconds: seconds });
  }

  merged(_reason: MergeReason, files: number, rows: number, bytes: number): void {
    const { merged } = this.#counts;
    this.#counts.merged = {
      merges: merged.merges + 1,
      files: merged.files + files,
      rows: merged.rows + rows,
      bytes: merged.bytes + bytes,
    };
    this.#changes++;
  }

  conflicts(count: number): void {
    this.#counts.conflicts += count;
  }

  expired(snapshots: number): void {
    this.#counts.expiredSnapshots += snapshots;
    this.#changes++;
  }

  deletedObjects(count: number): void {
    this.#counts.deletedObjects += count;
  }

  failed(step: CompactorStep): void {
    this.#counts.failed[step]++;
  }

  leaseHeld(held: boolean): void {
    this.#leaseIsHeld = held;
  }

  #of(database: string): DatabaseCounts {
    const none = { database, waitingGroups: 0, oldestWaitingSeconds: 0, settledThroughSeconds: 0 };
    return this.#databases.get(database) ?? none;
  }
}

function noCounts() {
  return {
    sealed: { groups: 0, rows: 0, bytes: 0 },
    sealExceptions: 0,
    caughtUpBatches: 0,
    ownersReplaced: 0,
    merged: { merges: 0, files: 0, rows: 0, bytes: 0 },
    conflicts: 0,
    expiredSnapshots: 0,
    deletedObjects: 0,
    failed: { lease: 0, replace: 0, seal: 0, release: 0, upkeep: 0 },
  };
}
