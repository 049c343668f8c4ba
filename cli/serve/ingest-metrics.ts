import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { HotMetrics, HotTier } from '../../ingest/hot/hot-tier.js';
import type { WriteRouteMetrics } from '../../ingest/http/write-routes.js';
import type { Wal } from '../../ingest/wal/wal.js';
import type { WalMetrics } from '../../ingest/wal/wal-metrics.js';
import type { WriteMetrics } from '../../ingest/write-path.js';

const latencyBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** What the ingest room tells, as Prometheus metrics. */
export interface IngestMetrics {
  readonly wal: WalMetrics;
  readonly hot: HotMetrics;
  readonly write: WriteMetrics;
  readonly routes: WriteRouteMetrics;
}

/** Registers the metrics of the ingest room. */
export function ingestMetrics(registry: Registry): IngestMetrics {
  const registers = [registry];
  const lines = new Counter({
    name: 'varve_write_lines_total',
    help: 'Lines of write requests by API and outcome.',
    labelNames: ['api', 'outcome'],
    registers,
  });
  const bodyBytes = new Counter({
    name: 'varve_write_body_bytes_total',
    help: 'Bytes of line protocol after decompression, by API.',
    labelNames: ['api'],
    registers,
  });
  const rows = new Counter({
    name: 'varve_write_rows_total',
    help: 'Rows made durable, and rows that the catalog or retention refused.',
    labelNames: ['outcome'],
    registers,
  });
  const refused = new Counter({
    name: 'varve_write_refused_total',
    help: 'Writes refused as a whole by reason.',
    labelNames: ['reason'],
    registers,
  });
  const batches = new Counter({ name: 'varve_wal_batches_total', help: 'Batches made durable.', registers });
  const bytes = new Counter({ name: 'varve_wal_bytes_total', help: 'Bytes written to the WAL.', registers });
  const write = new Histogram({
    name: 'varve_wal_write_seconds',
    help: 'Time to write a commit to the WAL.',
    buckets: latencyBuckets,
    registers,
  });
  const sync = new Histogram({
    name: 'varve_wal_sync_seconds',
    help: 'Time of fdatasync of a commit.',
    buckets: latencyBuckets,
    registers,
  });
  const rejected = new Counter({
    name: 'varve_wal_rejected_total',
    help: 'Appends refused or failed by kind.',
    labelNames: ['kind'],
    registers,
  });
  const segments = new Counter({
    name: 'varve_wal_segments_retired_total',
    help: 'Segments whose batches are all in history.',
    registers,
  });
  const made = new Histogram({
    name: 'varve_wal_segment_made_seconds',
    help: 'Time to make a segment ready.',
    buckets: latencyBuckets,
    registers,
  });
  const applied = new Counter({
    name: 'varve_hot_rows_applied_total',
    help: 'Rows applied to the hot tier.',
    registers,
  });
  const duplicates = new Counter({
    name: 'varve_hot_duplicate_batches_total',
    help: 'Batches that were held already.',
    registers,
  });
  const scanned = new Counter({
    name: 'varve_hot_scanned_rows_total',
    help: 'Rows read by scans of the hot tier.',
    registers,
  });
  const conflicts = new Counter({
    name: 'varve_conflicts_total',
    help: 'Values displaced by another value of the same field of the same point, seen by scans.',
    registers,
  });
  const kept = new Counter({
    name: 'varve_settled_conflicts_total',
    help: 'Fields of points that had several values in a group when this node let it go to history.',
    registers,
  });
  return {
    write: {
      rows: (written, rejectedRows) => {
        rows.inc({ outcome: 'accepted' }, written);
        rows.inc({ outcome: 'rejected' }, rejectedRows);
      },
      levelNotMet: () => refused.inc({ reason: 'level-not-met' }),
      refusedForMemory: () => refused.inc({ reason: 'hot-bytes-max' }),
    },
    routes: {
      lines: (api, written, rejectedLines) => {
        lines.inc({ api, outcome: 'accepted' }, written);
        lines.inc({ api, outcome: 'rejected' }, rejectedLines);
      },
      bodyBytes: (api, count) => bodyBytes.inc({ api }, count),
    },
    wal: {
      committed: (commit) => {
        batches.inc(commit.batches);
        bytes.inc(commit.bytes);
        write.observe(commit.writeSeconds);
        sync.observe(commit.syncSeconds);
      },
      rejected: (kind) => rejected.inc({ kind }),
      segmentMade: (seconds) => made.observe(seconds),
      segmentsRetired: (count) => segments.inc(count),
    },
    hot: {
      applied: (count) => applied.inc(count),
      duplicate: () => duplicates.inc(),
      keptConflicts: (count) => kept.inc(count),
      scanned: (scan) => {
        scanned.inc(scan.rows);
        conflicts.inc(scan.conflicts);
      },
    },
  };
}

/** Registers gauges that ask the WAL and the hot tier how full they are when they are read. */
export function registerIngestGauges(registry: Registry, wal: Wal, hot: HotTier): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  gauge('varve_hot_bytes', 'Bytes that the hot tier holds.', () => hot.usage().bytes);
  gauge('varve_hot_bytes_max', 'Limit of bytes of the hot tier.', () => hot.usage().bytesMax);
  gauge('varve_hot_rows', 'Rows that the hot tier holds.', () => hot.usage().rows);
  gauge('varve_hot_groups', 'Shard groups that the hot tier holds.', () => hot.usage().groups);
  gauge('varve_wal_file_bytes', 'Bytes of all files of the WAL.', () => wal.usage().bytes);
  gauge('varve_wal_bytes_max', 'Limit of bytes of the WAL.', () => wal.usage().bytesMax);
  gauge('varve_wal_batches', 'Batches in the WAL that are not released.', () => wal.usage().batches);
  gauge('varve_wal_queued_bytes', 'Bytes of appends that wait for the disk.', () => wal.usage().queuedBytes);
}
