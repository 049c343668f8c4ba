import { registerCompactorRoutes } from '../../compactor/http/compactor-routes.js';
import { parseNodeId } from '../../core/catalog/node-catalog.js';
import { registerDatabaseRoutes } from '../../core/http/database-routes.js';
import { registerNodeRoutes } from '../../core/http/node-routes.js';
import { createHttpServer } from '../../core/http/server.js';
import { type CompactorSetup, compactorTuning } from './compactor-setup.js';
import { CompactorThread } from './compactor-thread.js';
import { takeDataDirectory } from './data-directory.js';
import { openHistoryGround } from './ground.js';
import { openIngest } from './ingest-setup.js';
import { listenAuthentication } from './listen-authentication.js';
import { registerHistoryHealth } from './process-health.js';
import { openQuerier } from './querier.js';
import { databaseDefaults, type ServeFlags } from './serve-flags.js';
import { cacheRoot, type StoreFlags } from './stores.js';
import type { Serving } from './until-stopped.js';

/** Puts a whole server together: the composition root of `varve serve`. Resolves once it takes writes and queries. */
export async function startServing(flags: ServeFlags): Promise<Serving> {
  const authentication = listenAuthentication(flags);
  const directory = takeDataDirectory(flags.dataDir);
  const ground = await openHistoryGround(flags);
  const { clock, random, logger, catalogs, meta } = ground;
  const nodeId = parseNodeId(flags.nodeId);
  const { epoch } = await catalogs.nodes.register(nodeId, null);
  const ingest = openIngest(ground, flags, { node: nodeId, epoch, directory, peerOf: () => undefined });
  const querier = openQuerier(ground, {
    flags,
    hotReader: ingest.hotReader,
    conflicts: ingest.conflicts,
    cacheDirectory: cacheRoot(ground.stores),
    // A query may read all that is in flux, as it may all that is settled.
    hotBytesMax: flags.hotBytesMax,
  });
  const compactor = new CompactorThread({
    setup: compactorSetup(flags, ground.stores, epoch),
    clock,
    logger,
    onFatal: ground.fatal,
  });

  const server = createHttpServer({ authentication, clock, random, logger });
  let recovered = false;
  registerHistoryHealth(server, ground, {
    problems: () => (recovered ? compactor.problems() : ['recovering what was in flux from the WAL']),
    threadMetrics: () => compactor.metrics(),
  });
  await ingest.registerRoutes(server);
  registerDatabaseRoutes(server, {
    databases: catalogs.databases,
    defaults: databaseDefaults(flags),
    replicationMax: 1,
    clock,
  });
  registerNodeRoutes(server, { nodes: catalogs.nodes, inFlux: catalogs, clock });
  registerCompactorRoutes(server, compactor);
  querier.registerRoutes(server);
  // Listening comes before recovery, so that /health and /ready answer while a long WAL is replayed.
  const url = await server.listen({ host: flags.host, port: flags.port });

  const node = await ingest.recover();
  await Promise.all([compactor.start({ peer: node.owner, hotReader: ingest.hotReader }), querier.start()]);
  ingest.open(node);
  querier.open();
  recovered = true;
  return {
    url,
    logger,
    stop: async () => {
      await server.close();
      await compactor.stop();
      await querier.stop();
      await node.stop();
      await meta.close();
      directory.release();
    },
  };
}

function compactorSetup(flags: ServeFlags, stores: StoreFlags, epoch: number): CompactorSetup {
  return {
    stores,
    logging: { logLevel: flags.logLevel, logFormat: flags.logFormat },
    node: flags.nodeId,
    epoch,
    ...compactorTuning(flags),
  };
}
