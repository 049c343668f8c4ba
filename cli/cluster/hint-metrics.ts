import { Counter, Gauge, type Registry } from 'prom-client';
import type { Clock } from '../../core/ports/clock.js';
import type { HintMetrics } from '../../ingest/hints/hint-metrics.js';
import type { DestinationStatus, Hints } from '../../ingest/hints/hints.js';

/** What hints tell, as Prometheus metrics by destination. */
export function hintMetrics(registry: Registry): HintMetrics {
  const counter = (name: string, help: string, ...more: readonly string[]): Counter =>
    new Counter({ name, help, labelNames: ['node', ...more], registers: [registry] });
  const kept = counter('varve_hints_kept_total', 'Batches kept as hints for a node.');
  const keptBytes = counter('varve_hints_kept_bytes_total', 'Bytes of batches kept as hints for a node.');
  const notKept = counter(
    'varve_hints_not_kept_total',
    'Batches that could not be kept as hints: at the limit, or the disk failed.',
  );
  const ended = counter(
    'varve_hints_ended_total',
    'Hints that are needed no more, by what became of them.',
    'how',
  );
  const endedBytes = counter(
    'varve_hints_ended_bytes_total',
    'Bytes of hints that are needed no more.',
    'how',
  );
  const failed = counter('varve_hint_attempts_failed_total', 'Tries to send a hint that failed.');
  return {
    kept: (node, bytes) => {
      kept.inc({ node });
      keptBytes.inc({ node }, bytes);
    },
    notKept: (node) => notKept.inc({ node }),
    ended: (node, how, bytes) => {
      ended.inc({ node, how });
      endedBytes.inc({ node, how }, bytes);
    },
    attemptFailed: (node) => failed.inc({ node }),
  };
}

const lookMsMin = 200;

/** Registers gauges of how the hints for each node stand when they are read. */
export function registerHintGauges(registry: Registry, hints: Pick<Hints, 'status'>, clock: Clock): void {
  // One look serves all gauges of a reading: it goes through all hints.
  let seen: { readonly atMs: number; readonly status: readonly DestinationStatus[] } | undefined;
  const look = (): readonly DestinationStatus[] => {
    const nowMs = clock.monotonicMs();
    if (seen === undefined || nowMs - seen.atMs > lookMsMin) seen = { atMs: nowMs, status: hints.status() };
    return seen.status;
  };
  const gauge = (name: string, help: string, read: (status: DestinationStatus) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ['node'],
      registers: [registry],
      collect() {
        this.reset();
        for (const status of look()) this.set({ node: status.node }, read(status));
      },
    });
  };
  gauge('varve_hints', 'Batches kept for a node.', ({ hints: count }) => count);
  gauge('varve_hint_bytes', 'Bytes of batches kept for a node.', ({ bytes }) => bytes);
  gauge('varve_hint_file_bytes', 'Bytes of the files of hints for a node.', ({ fileBytes }) => fileBytes);
  gauge('varve_hint_bytes_max', 'Limit of bytes of hints for a node.', ({ bytesMax }) => bytesMax);
  gauge(
    'varve_hint_oldest_age_seconds',
    'Age of the oldest hint for a node; 0 when there is none.',
    ({ oldestMs }) => (oldestMs === null ? 0 : Math.max(0, clock.nowMs() - oldestMs) / 1000),
  );
  gauge(
    'varve_hint_damaged_bytes',
    'Bytes of hints for a node that were found damaged at the start.',
    ({ damagedBytes }) => damagedBytes,
  );
}
