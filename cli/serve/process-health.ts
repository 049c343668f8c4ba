import type { FastifyInstance } from 'fastify';
import { registerHealthRoutes } from '../../core/http/health-routes.js';
import { errorMessage } from '../../core/std/errors.js';
import { productVersion } from '../version.js';
import type { HistoryGround } from './ground.js';
import { registerStateGauges } from './state-gauges.js';

/** What a process adds to its health and metrics. */
export interface HealthParts {
  /** What keeps it from doing its work, besides its stores. */
  readonly problems: () => readonly string[];
  /** Metrics of its threads as Prometheus text. */
  readonly threadMetrics: () => Promise<string>;
}

/** Registers the health routes of a process that shows the state of the catalog and of history in its metrics. */
export function registerHistoryHealth(
  server: FastifyInstance,
  ground: HistoryGround,
  parts: HealthParts,
): void {
  const { registry, catalogs, settled, logger, meta, objects } = ground;
  const refreshStateGauges = registerStateGauges(registry, catalogs, settled);
  registerHealthRoutes(server, {
    version: productVersion(),
    ready: async () => [...parts.problems(), ...(await storeProblems(meta, objects))],
    metrics: async () => {
      // A catalog out of reach must not take the other metrics with it; /ready names it.
      await refreshStateGauges().catch((error: unknown) =>
        logger.warn({ error: errorMessage(error) }, 'could not read the state for metrics'),
      );
      return `${await registry.metrics()}${await parts.threadMetrics()}`;
    },
  });
}

/** What is wrong with the stores, for /ready. */
export async function storeProblems(...stores: readonly { check(): Promise<void> }[]): Promise<string[]> {
  const answers = await Promise.allSettled(stores.map((store) => store.check()));
  return answers.flatMap((answer) => (answer.status === 'rejected' ? [errorMessage(answer.reason)] : []));
}
