import { Gauge, type Registry } from 'prom-client';
import { isUnderReplicated } from '../../core/catalog/group-list.js';
import { errorMessage } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import type { Catalogs } from './catalogs.js';

/** Registers the gauge of groups that have fewer owners than their database wants. It asks the catalog when it is read. */
export function registerUnderReplicatedGauge(registry: Registry, catalogs: Catalogs, logger: Logger): void {
  new Gauge({
    name: 'varve_under_replicated_groups',
    help: 'Shard groups in flux with fewer owners a shard than their database wants, by database.',
    labelNames: ['database'],
    registers: [registry],
    async collect() {
      this.reset();
      try {
        for (const database of await catalogs.databases.list()) {
          const { groups } = (await catalogs.groups.get(database)).value;
          const short = groups.filter(
            (group) => group.state !== 'sealed' && isUnderReplicated(group, database),
          );
          this.set({ database: database.name }, short.length);
        }
      } catch (error) {
        // A catalog out of reach must not take the other metrics with it; /ready names it.
        logger.warn({ error: errorMessage(error) }, 'could not count the groups with too few owners');
      }
    },
  });
}
