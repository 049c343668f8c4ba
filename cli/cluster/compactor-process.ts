import { hostname } from 'node:os';
import { registerCompactorRoutes } from '../../compactor/http/compactor-routes.js';
import { defaultDatabaseSettings, replicationMax } from '../../core/catalog/database-settings.js';
import { registerDatabaseRoutes } from '../../core/http/database-routes.js';
import { registerNodeRoutes } from '../../core/http/node-routes.js';
import { createHttpServer } from '../../core/http/server.js';
import { errorMessage } from '../../core/std/errors.js';
import { openCompactor } from '../serve/compactor-room.js';
import { compactorTuning } from '../serve/compactor-setup.js';
import { openHistoryGround } from '../serve/ground.js';
import { listenAuthentication } from '../serve/listen-authentication.js';
import { registerHistoryHealth } from '../serve/process-health.js';
import type { CompactionFlags, ListenFlags } from '../serve/serve-flags.js';
import { registerUnderReplicatedGauge } from '../serve/under-replicated-gauge.js';
import type { Serving } from '../serve/until-stopped.js';
import type { ClusterFlags, HistoryFlags } from './cluster-flags.js';
import { openClusterNodes, readSecretFile } from './cluster-nodes.js';
import { type OpenParts, startWithParts } from './open-parts.js';

/** The flags of `varve compactor`, parsed. */
export interface CompactorProcessFlags extends ListenFlags, ClusterFlags, HistoryFlags, CompactionFlags {
  readonly leaseTtl: number;
  readonly ephemeralSilence: number;
}

/** Puts a compactor together: the composition root of `varve compactor`. It keeps nothing on this machine. */
export function startCompactor(flags: CompactorProcessFlags): Promise<Serving> {
  return startWithParts((parts) => start(flags, parts));
}

async function start(flags: CompactorProcessFlags, parts: OpenParts): Promise<Serving> {
  const authentication = listenAuthentication(flags);
  const secret = readSecretFile(flags.clusterSecretFile);
  const ground = await openHistoryGround({ ...flags, dataDir: '.' });
  const { catalogs, logger, meta, random } = ground;
  parts.add(() => meta.close());
  const nodes = openClusterNodes(ground, secret);
  parts.add(() => nodes.close());
  const startId = Buffer.from(random.bytes(4)).toString('hex');
  const compactor = openCompactor({
    ...ground,
    peers: nodes.of,
    // Unique to this start: whoever comes after a crash waits until the lease has run out.
    holder: `compactor@${hostname()}/${process.pid}/${startId}`,
    onFatal: (error) => ground.fatal(errorMessage(error)),
    tuning: {
      ...compactorTuning(flags),
      leaseTtlMs: flags.leaseTtl,
      ephemeralSilenceMs: flags.ephemeralSilence,
    },
  });
  parts.add(() => compactor.stop());

  const server = createHttpServer({ ...ground, authentication });
  parts.add(() => server.close());
  registerHistoryHealth(server, ground, { problems: () => [], threadMetrics: async () => '' });
  registerUnderReplicatedGauge(ground.registry, catalogs, logger);
  registerDatabaseRoutes(server, {
    databases: catalogs.databases,
    defaults: defaultDatabaseSettings,
    replicationMax,
    clock: ground.clock,
  });
  registerNodeRoutes(server, { nodes: catalogs.nodes, inFlux: catalogs, clock: ground.clock });
  registerCompactorRoutes(server, compactor);
  const url = await server.listen({ host: flags.host, port: flags.port });
  compactor.start();
  return { url, logger, stop: () => parts.close() };
}
