import type { AddressInfo } from 'node:net';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { PeerClient, type PeerClientOptions } from '../../core/adapters/peer-client.js';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import type { NodeLocator } from '../../core/catalog/node-directory.js';
import { noAuthentication } from '../../core/http/authentication.js';
import { readClusterSecret } from '../../core/http/cluster-secret.js';
import { createHttpServer } from '../../core/http/server.js';
import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import { silentLogger } from '../../core/std/logger.js';
import { registerPeerRoutes, type ServedNode } from '../../ingest/http/peer-routes.js';

export const clusterSecret = 'a secret of sixteen bytes or more';

/** The peer API of a node on a free loopback port. */
export interface PeerServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Serves the node's peer API; a port of 0 is a free one. */
export async function startPeerServer(
  node: NodeId,
  served: () => ServedNode,
  options: { readonly secret?: string; readonly port?: number; readonly clock?: Clock } = {},
): Promise<PeerServer> {
  const server = createHttpServer({
    authentication: noAuthentication,
    clock: new SystemClock(),
    random: new SeededRandom(1),
    logger: silentLogger,
  });
  await registerPeerRoutes(server, {
    node,
    secrets: readClusterSecret(options.secret ?? clusterSecret).accepted,
    served,
    clock: options.clock ?? new SystemClock(),
    logger: silentLogger,
  });
  await server.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      server.server.closeAllConnections();
      await server.close();
    },
  };
}

/** A client that finds every node at the address that `locate` gives. */
export function peerClient(
  locate: () => Promise<string> | string,
  options: Partial<PeerClientOptions> = {},
): PeerClient {
  const nodes: NodeLocator = { locate: async () => locate(), forget: () => {} };
  return new PeerClient({ nodes, secret: clusterSecret, ...options });
}
