import { registerHealthRoutes } from '../../core/http/health-routes.js';
import { createHttpServer } from '../../core/http/server.js';
import { OwnerConflictReader } from '../../query/owner-conflict-reader.js';
import { OwnerHotReader } from '../../query/owner-hot-reader.js';
import { takeDataDirectory } from '../serve/data-directory.js';
import { openHistoryGround } from '../serve/ground.js';
import { listenAuthentication } from '../serve/listen-authentication.js';
import { storeProblems } from '../serve/process-health.js';
import { openQuerier } from '../serve/querier.js';
import type { ListenFlags, QueryFlags } from '../serve/serve-flags.js';
import type { Serving } from '../serve/until-stopped.js';
import { productVersion } from '../version.js';
import type { ClusterFlags, HistoryFlags } from './cluster-flags.js';
import { openClusterNodes, readSecretFile } from './cluster-nodes.js';
import { type OpenParts, startWithParts } from './open-parts.js';
import { ownerReadMetrics } from './owner-read-metrics.js';

/** The flags of `varve query`, parsed. */
export interface QueryProcessFlags extends ListenFlags, ClusterFlags, HistoryFlags, QueryFlags {
  readonly cacheDir: string;
  readonly queryHotBytes: number;
}

/** Puts a querier together: the composition root of `varve query`. It keeps nothing but a cache. */
export function startQuery(flags: QueryProcessFlags): Promise<Serving> {
  return startWithParts((parts) => start(flags, parts));
}

async function start(flags: QueryProcessFlags, parts: OpenParts): Promise<Serving> {
  const authentication = listenAuthentication(flags);
  const secret = readSecretFile(flags.clusterSecretFile);
  const directory = takeDataDirectory(flags.cacheDir, '--cache-dir');
  parts.add(() => directory.release());
  const ground = await openHistoryGround({ ...flags, dataDir: flags.cacheDir });
  const { logger, meta, objects, registry } = ground;
  parts.add(() => meta.close());
  const nodes = openClusterNodes(ground, secret);
  parts.add(() => nodes.close());
  const hotReader = new OwnerHotReader({
    nodeOf: nodes.of,
    clock: ground.clock,
    metrics: ownerReadMetrics(registry),
  });
  const querier = openQuerier(ground, {
    flags,
    hotReader,
    conflicts: new OwnerConflictReader({
      reads: hotReader.reads,
      conflictsOf: nodes.conflictsOf,
      listNodes: (signal) => ground.catalogs.nodes.list(signal),
    }),
    cacheDirectory: directory.path,
    hotBytesMax: flags.queryHotBytes,
  });
  parts.add(() => querier.stop());
  await querier.start();

  const server = createHttpServer({ ...ground, authentication });
  parts.add(() => server.close());
  registerHealthRoutes(server, {
    version: productVersion(),
    ready: () => storeProblems(meta, objects),
    metrics: () => registry.metrics(),
  });
  querier.registerRoutes(server);
  querier.open();
  const url = await server.listen({ host: flags.host, port: flags.port });
  return { url, logger, stop: () => parts.close() };
}
