import type { MergeReason } from './merge/plan-merges.js';

/** Where the compactor lets itself be seen; the composition root binds it to what it exports. */
export interface CompactorMetrics {
  /** A group was sealed: rows and bytes of its files, and the time it took. */
  sealed(database: string, rows: number, bytes: number, seconds: number): void;
  /** A group was sealed although some nodes could not be asked. */
  sealedWithException(database: string): void;
  /** Owners fetched so many batches from others before a group was sealed. */
  caughtUp(database: string, batches: number): void;
  /** A shard got another owner in the place of one that was declared lost. */
  ownerReplaced(database: string): void;
  /** Shards whose new owner does not hold yet what the others hold, after every round. */
  filling(database: string, shards: number): void;
  /** Groups that are closing and not sealed, after every round, and the age in seconds of the oldest. */
  waiting(database: string, groups: number, oldestSeconds: number): void;
  /** settledThrough in seconds since the epoch, after every round. */
  settledThrough(database: string, seconds: number): void;
  merged(reason: MergeReason, files: number, rows: number, bytes: number, seconds: number): void;
  /** Values that another value for the same field of the same point displaced in a merge. */
  conflicts(count: number): void;
  expired(snapshots: number): void;
  deletedObjects(count: number): void;
  /** Some step failed and will be tried again. */
  failed(step: CompactorStep, database: string): void;
  leaseHeld(held: boolean): void;
}

export type CompactorStep = 'lease' | 'replace' | 'seal' | 'release' | 'upkeep';

/** Metrics that go nowhere. */
export const noCompactorMetrics: CompactorMetrics = {
  sealed() {},
  sealedWithException() {},
  caughtUp() {},
  ownerReplaced() {},
  filling() {},
  waiting() {},
  settledThrough() {},
  merged() {},
  conflicts() {},
  expired() {},
  deletedObjects() {},
  failed() {},
  leaseHeld() {},
};
