import type { ErrorKind } from '../../core/std/errors.js';

/** What the WAL tells of itself while it runs; see Wal.usage for what it holds. */
export interface WalMetrics {
  /** A commit became durable: how much was in it, and how long writing and syncing took. */
  committed(commit: {
    readonly batches: number;
    readonly bytes: number;
    readonly writeSeconds: number;
    readonly syncSeconds: number;
  }): void;
  /** An append was refused or failed. */
  rejected(kind: ErrorKind): void;
  /** A segment was made: from a spare file or by filling a new one. */
  segmentMade(seconds: number): void;
  segmentsRetired(count: number): void;
}

/** Metrics that go nowhere. */
export const silentWalMetrics: WalMetrics = {
  committed() {},
  rejected() {},
  segmentMade() {},
  segmentsRetired() {},
};
