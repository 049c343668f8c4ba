import { Counter, Gauge, type Registry } from 'prom-client';
import type { ClockOffsets } from '../../ingest/clock-offsets.js';
import type { ClusterView } from '../../ingest/cluster-view.js';
import type { LaneUsage } from '../../ingest/replicate/destination-lane.js';
import type { ReplicationMetrics } from '../../ingest/replicate/replication-metrics.js';

/** What replication tells, as Prometheus metrics by destination. */
export function replicationMetrics(registry: Registry): ReplicationMetrics {
  const counter = (name: string, help: string, ...labelNames: readonly string[]): Counter =>
    new Counter({ name, help, labelNames, registers: [registry] });
  const batches = counter(
    'varve_replication_batches_total',
    'Batches for other nodes by outcome; not all failures end in a hint.',
    'node',
    'outcome',
  );
  const bytes = counter('varve_replication_bytes_total', 'Bytes of batches that other nodes took.', 'node');
  const failures = counter(
    'varve_replication_failures_total',
    'Batches that did not get to a node by reason: not tried, or the kind of error.',
    'node',
    'reason',
  );
  const breaker = counter(
    'varve_replication_breaker_changes_total',
    'Changes of the circuit breaker towards a node by new state.',
    'node',
    'state',
  );
  const answers = counter(
    'varve_replication_answers_total',
    'Batches with owners on other nodes by consistency level and answer.',
    'level',
    'answer',
  );
  const stamps = counter(
    'varve_stamps_too_far_ahead_total',
    'Batches whose write stamp was too far ahead of the clock here, by origin.',
    'node',
  );
  return {
    sent: (node, count) => {
      batches.inc({ node, outcome: 'sent' });
      bytes.inc({ node }, count);
    },
    sendFailed: (node, reason) => failures.inc({ node, reason }),
    hinted: (node) => batches.inc({ node, outcome: 'hinted' }),
    hintFailed: (node) => batches.inc({ node, outcome: 'hint-failed' }),
    breaker: (node, state) => breaker.inc({ node, state }),
    answered: (level, answer) => answers.inc({ level, answer }),
    stampTooFarAhead: (node) => stamps.inc({ node }),
  };
}

const breakerValues = { closed: 0, 'half-open': 1, open: 2 } as const;

/** Registers gauges of how it stands with the other nodes when they are read. */
export function registerClusterGauges(
  registry: Registry,
  parts: {
    readonly lanes: () => readonly LaneUsage[];
    readonly view: ClusterView;
    readonly clocks: ClockOffsets;
  },
): void {
  const gauge = (
    name: string,
    help: string,
    fill: (gauge: Gauge) => void,
    labels: string[] = ['node'],
  ): void => {
    new Gauge({
      name,
      help,
      labelNames: labels,
      registers: [registry],
      collect() {
        this.reset();
        fill(this);
      },
    });
  };
  gauge('varve_replication_in_flight_bytes', 'Bytes of batches on their way to a node.', (each) => {
    for (const { node, inFlightBytes } of parts.lanes()) each.set({ node }, inFlightBytes);
  });
  gauge('varve_replication_in_flight_batches', 'Batches on their way to a node.', (each) => {
    for (const { node, inFlightBatches } of parts.lanes()) each.set({ node }, inFlightBatches);
  });
  gauge(
    'varve_replication_breaker_state',
    'Circuit breaker towards a node: 0 closed, 1 half open, 2 open.',
    (each) => {
      for (const { node, breaker } of parts.lanes()) each.set({ node }, breakerValues[breaker]);
    },
  );
  gauge('varve_node_heard', 'Whether the heartbeats of a node come.', (each) => {
    for (const { record, isHeard } of parts.view.others()) each.set({ node: record.node }, isHeard ? 1 : 0);
  });
  gauge('varve_node_reached', 'Whether a node answers this one.', (each) => {
    for (const { record, isReached } of parts.view.others())
      each.set({ node: record.node }, isReached ? 1 : 0);
  });
  gauge('varve_clock_offset_seconds', 'The wall clock of a node less the one here.', (each) => {
    for (const [node, { offsetMs }] of parts.clocks.others()) each.set({ node }, offsetMs / 1000);
  });
  gauge(
    'varve_clock_skew_seconds',
    'The wall clock that a majority of the nodes agrees on less the one here.',
    (each) => each.set(parts.clocks.majority().offsetMs / 1000),
    [],
  );
}
