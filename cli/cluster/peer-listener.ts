import type { FastifyInstance } from 'fastify';
import { noAuthentication } from '../../core/http/authentication.js';
import type { ClusterSecret } from '../../core/http/cluster-secret.js';
import { createHttpServer } from '../../core/http/server.js';
import type { NodeId } from '../../core/model/batch.js';
import { VarveError } from '../../core/std/errors.js';
import { registerPeerRoutes, type ServedNode } from '../../ingest/http/peer-routes.js';
import type { Ground } from '../serve/ground.js';

/** Where an ingest node's peer API listens, and how others reach it. */
export interface PeerListenFlags {
  readonly peerHost: string;
  readonly peerPort: number;
  readonly advertise?: string;
}

/** The peer API on a listener of its own, apart from the clients' one. */
export interface PeerListener {
  /** Where other processes reach it. */
  readonly address: string;
  /** The node answers from now on. */
  open(node: ServedNode): void;
  stop(): Promise<void>;
}

/** Listens for the other processes of the cluster. Until it is opened, calls are told to come again. */
export async function listenForPeers(
  ground: Ground,
  node: NodeId,
  secret: ClusterSecret,
  flags: PeerListenFlags,
): Promise<PeerListener> {
  checkAdvertised(flags);
  let served: ServedNode | undefined;
  // The routes themselves demand the secret; there is nothing else on this listener.
  const server = createHttpServer({ ...ground, authentication: noAuthentication });
  await registerPeerRoutes(server, {
    node,
    secrets: secret.accepted,
    clock: ground.clock,
    logger: ground.logger,
    served: () => {
      if (served !== undefined) return served;
      throw new VarveError('unavailable', `node ${node} is recovering what was in flux`, {
        retryAfterSeconds: 1,
      });
    },
  });
  const url = await listen(server, flags);
  return {
    address: flags.advertise ?? url,
    open: (opened) => {
      served = opened;
    },
    stop: () => server.close(),
  };
}

async function listen(server: FastifyInstance, { peerHost, peerPort }: PeerListenFlags): Promise<string> {
  return server.listen({ host: peerHost, port: peerPort });
}

/** An address of all interfaces is none that others can call. */
function checkAdvertised({ peerHost, advertise }: PeerListenFlags): void {
  if (advertise === undefined) {
    if (peerHost !== '0.0.0.0' && peerHost !== '::') return;
    throw new VarveError(
      'invalid',
      `got --peer-host ${peerHost} and no --advertise; want the address by which others reach this node, such as http://10.0.0.5:8087`,
    );
  }
  if (/^http:\/\/[^/?#@]+$/.test(advertise) && URL.canParse(advertise)) return;
  throw new VarveError('invalid', `--advertise: got "${advertise}"; want http://HOST:PORT`);
}
