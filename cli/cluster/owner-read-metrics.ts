import { Counter, type Registry } from 'prom-client';
import type { OwnerReadMetrics } from '../../query/hot/owner-read-metrics.js';

/** What reading from the owners of a cluster did, as metrics of the process. */
export function ownerReadMetrics(registry: Registry): OwnerReadMetrics {
  const registers = [registry];
  const raced = new Counter({
    name: 'varve_hot_reads_raced_total',
    help: 'Reads of points in flux for which a second owner was asked because the first was slow.',
    labelNames: ['call'],
    registers,
  });
  const failedOver = new Counter({
    name: 'varve_hot_reads_failed_over_total',
    help: 'Reads of points in flux that another owner answered because one failed.',
    labelNames: ['call'],
    registers,
  });
  const brokeOff = new Counter({
    name: 'varve_hot_scans_broken_total',
    help: 'Scans of points in flux that ended in their midst; their queries were planned again.',
    registers,
  });
  const caughtUp = new Counter({
    name: 'varve_read_repair_batches_total',
    help: 'Batches that owners fetched because a read at quorum found them lacking.',
    registers,
  });
  const incomplete = new Counter({
    name: 'varve_hot_shards_left_out_total',
    help: 'Shards left out of answers to queries that allow it.',
    registers,
  });
  return {
    raced: (call) => raced.inc({ call }),
    failedOver: (call) => failedOver.inc({ call }),
    brokeOff: () => brokeOff.inc(),
    caughtUp: (batches) => caughtUp.inc(batches),
    incomplete: () => incomplete.inc(),
  };
}
