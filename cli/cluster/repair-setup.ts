import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { RepairMetrics } from '../../ingest/repair/repair-metrics.js';
import type { GroupInFlux } from '../../ingest/repair/repairer.js';
import type { Catalogs } from '../serve/catalogs.js';

/** Every group of the catalog that is open or closing: what repair looks at. */
export async function groupsInFlux(catalogs: Catalogs, signal: AbortSignal): Promise<readonly GroupInFlux[]> {
  const inFlux: GroupInFlux[] = [];
  for (const database of await catalogs.databases.list(signal)) {
    const { groups } = (await catalogs.groups.get(database, signal)).value;
    for (const group of groups) {
      if (group.state !== 'sealed') inFlux.push({ database: database.id, group });
    }
  }
  return inFlux;
}

/** Registers the metrics of repair. */
export function repairMetrics(registry: Registry): RepairMetrics {
  const registers = [registry];
  const groups = new Counter({
    name: 'varve_repair_groups_checked_total',
    help: 'Groups in flux compared with their other owners.',
    registers,
  });
  const shards = new Gauge({
    name: 'varve_repair_differing_shards',
    help: 'Shards that differed from those of other owners in the last round: young (not yet replicated), diverged, conflicting.',
    labelNames: ['kind'],
    registers,
  });
  const seconds = new Histogram({
    name: 'varve_repair_round_seconds',
    help: 'Time of a round of repair.',
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120],
    registers,
  });
  const batches = new Counter({
    name: 'varve_repair_fetched_batches_total',
    help: 'Batches fetched from other owners.',
    registers,
  });
  const bytes = new Counter({
    name: 'varve_repair_fetched_bytes_total',
    help: 'Bytes of batches fetched from other owners.',
    registers,
  });
  const replaced = new Counter({
    name: 'varve_repair_replaced_batches_total',
    help: 'Batches damaged on the disk and replaced by those of other owners.',
    registers,
  });
  const failures = new Counter({
    name: 'varve_repair_failures_total',
    help: 'Questions to other owners that failed; the next round asks again.',
    registers,
  });
  return {
    round: (round) => {
      groups.inc(round.groups);
      shards.set({ kind: 'young' }, round.young);
      shards.set({ kind: 'diverged' }, round.diverged);
      shards.set({ kind: 'conflicting' }, round.conflicting);
      seconds.observe(round.seconds);
    },
    fetched: (count, size) => {
      batches.inc(count);
      bytes.inc(size);
    },
    replaced: (count) => replaced.inc(count),
    failed: () => failures.inc(),
  };
}
