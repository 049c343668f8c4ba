import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { CompactorMetrics } from '../../compactor/metrics.js';

const secondsBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Registers the compactor's metrics. */
export function compactorMetrics(registry: Registry): CompactorMetrics {
  const registers = [registry];
  const sealedGroups = new Counter({
    name: 'varve_sealed_groups_total',
    help: 'Groups sealed.',
    labelNames: ['database'],
    registers,
  });
  const sealedRows = new Counter({
    name: 'varve_sealed_rows_total',
    help: 'Rows of sealed groups.',
    labelNames: ['database'],
    registers,
  });
  const sealedBytes = new Counter({
    name: 'varve_sealed_bytes_total',
    help: 'Bytes of the files of sealed groups.',
    labelNames: ['database'],
    registers,
  });
  const sealSeconds = new Histogram({
    name: 'varve_seal_seconds',
    help: 'Time to seal a group.',
    buckets: secondsBuckets,
    registers,
  });
  const exceptions = new Counter({
    name: 'varve_seal_exceptions_total',
    help: 'Groups sealed although some nodes could not be asked.',
    labelNames: ['database'],
    registers,
  });
  const caughtUp = new Counter({
    name: 'varve_seal_caught_up_batches_total',
    help: 'Batches that owners fetched from others before a group was sealed.',
    labelNames: ['database'],
    registers,
  });
  const ownersReplaced = new Counter({
    name: 'varve_owners_replaced_total',
    help: 'Shards that got another owner in the place of a lost one.',
    labelNames: ['database'],
    registers,
  });
  const filling = new Gauge({
    name: 'varve_filling_shards',
    help: 'Shards with an owner that does not hold yet what the others hold.',
    labelNames: ['database'],
    registers,
  });
  const waiting = new Gauge({
    name: 'varve_groups_waiting',
    help: 'Groups that are closed and not yet sealed.',
    labelNames: ['database'],
    registers,
  });
  const lag = new Gauge({
    name: 'varve_seal_lag_seconds',
    help: 'Age of the oldest group that is closed and not yet sealed.',
    labelNames: ['database'],
    registers,
  });
  const settled = new Gauge({
    name: 'varve_settled_through_seconds',
    help: 'The watermark, seconds since the epoch.',
    labelNames: ['database'],
    registers,
  });
  const merges = new Counter({
    name: 'varve_merges_total',
    help: 'Merges by reason.',
    labelNames: ['reason'],
    registers,
  });
  const mergedFiles = new Counter({
    name: 'varve_merged_files_total',
    help: 'Files that merges took in.',
    registers,
  });
  const mergedRows = new Counter({
    name: 'varve_merged_rows_total',
    help: 'Rows that merges wrote.',
    registers,
  });
  const mergeSeconds = new Histogram({
    name: 'varve_merge_seconds',
    help: 'Time of a merge.',
    buckets: secondsBuckets,
    registers,
  });
  const conflicts = new Counter({
    name: 'varve_merge_conflicts_total',
    help: 'Values displaced in merges.',
    registers,
  });
  const expired = new Counter({
    name: 'varve_expired_snapshots_total',
    help: 'Snapshots expired.',
    registers,
  });
  const deleted = new Counter({
    name: 'varve_deleted_objects_total',
    help: 'Objects deleted that nothing named.',
    registers,
  });
  const failed = new Counter({
    name: 'varve_compactor_failures_total',
    help: 'Steps that failed and will be tried again.',
    labelNames: ['step', 'database'],
    registers,
  });
  const lease = new Gauge({
    name: 'varve_compactor_lease_held',
    help: '1 while this process holds the lease.',
    registers,
  });
  return {
    sealed: (database, rows, bytes, seconds) => {
      sealedGroups.inc({ database });
      sealedRows.inc({ database }, rows);
      sealedBytes.inc({ database }, bytes);
      sealSeconds.observe(seconds);
    },
    sealedWithException: (database) => exceptions.inc({ database }),
    caughtUp: (database, batches) => caughtUp.inc({ database }, batches),
    ownerReplaced: (database) => ownersReplaced.inc({ database }),
    filling: (database, shards) => filling.set({ database }, shards),
    waiting: (database, groups, oldestSeconds) => {
      waiting.set({ database }, groups);
      lag.set({ database }, oldestSeconds);
    },
    settledThrough: (database, seconds) => settled.set({ database }, seconds),
    merged: (reason, files, rows, _bytes, seconds) => {
      merges.inc({ reason });
      mergedFiles.inc(files);
      mergedRows.inc(rows);
      mergeSeconds.observe(seconds);
    },
    conflicts: (count) => conflicts.inc(count),
    expired: (snapshots) => expired.inc(snapshots),
    deletedObjects: (count) => deleted.inc(count),
    failed: (step, database) => failed.inc({ step, database }),
    leaseHeld: (held) => lease.set(held ? 1 : 0),
  };
}
