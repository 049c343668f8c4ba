import { readFileSync } from 'node:fs';
import { HttpHotReader } from '../../core/adapters/http-hot-reader.js';
import { HttpPeer } from '../../core/adapters/http-peer.js';
import { PeerClient } from '../../core/adapters/peer-client.js';
import { NodeDirectory } from '../../core/catalog/node-directory.js';
import { readClusterSecret } from '../../core/http/cluster-secret.js';
import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import { VarveError } from '../../core/std/errors.js';
import type { Catalogs } from '../serve/catalogs.js';
import { localNodeReader } from '../serve/local-node.js';
import type { LambdaSettings } from './lambda-settings.js';

/** Finds an ingest node by its name. */
export type IngestNodes = (node: NodeId) => Peer & HotReader;

/**
 * The ingest nodes as a function reaches them: over HTTP, at the addresses that the catalog has. A function that was
 * given no secret reaches none; what needs a node then fails with `unavailable` and says so, all else works.
 */
export function openIngestNodes(settings: LambdaSettings, catalogs: Catalogs, clock: Clock): IngestNodes {
  const secret = readSecret(settings);
  const directory = new NodeDirectory({ nodes: catalogs.nodes, clock });
  const client = new PeerClient({
    nodes: secret === undefined ? { locate: refuseWithoutSecret, forget: () => {} } : directory,
    secret: secret ?? '',
  });
  const known = new Map<NodeId, Peer & HotReader>();
  return (node) => {
    const reader =
      known.get(node) ?? localNodeReader(new HttpPeer(node, client), new HttpHotReader(node, client));
    known.set(node, reader);
    return reader;
  };
}

/** From a file, or from the environment itself: a function has no files but those it was deployed with. */
function readSecret(settings: LambdaSettings): string | undefined {
  const path = settings.text('VARVE_CLUSTER_SECRET_FILE');
  const content = path === undefined ? settings.text('VARVE_CLUSTER_SECRET') : readFileSync(path, 'utf8');
  return content === undefined ? undefined : readClusterSecret(content).presented;
}

async function refuseWithoutSecret(node: NodeId): Promise<never> {
  throw new VarveError(
    'unavailable',
    `node ${node}: this function has no secret to show it; want VARVE_CLUSTER_SECRET in the function's environment`,
    { retryAfterSeconds: 60 },
  );
}
