import { readFileSync } from 'node:fs';
import { HttpConflictReader } from '../../core/adapters/http-conflict-reader.js';
import { HttpHotReader } from '../../core/adapters/http-hot-reader.js';
import { HttpPeer } from '../../core/adapters/http-peer.js';
import { PeerClient, type PeerClocks } from '../../core/adapters/peer-client.js';
import { NodeDirectory } from '../../core/catalog/node-directory.js';
import { type ClusterSecret, readClusterSecret } from '../../core/http/cluster-secret.js';
import type { NodeId } from '../../core/model/batch.js';
import type { ConflictReader } from '../../core/ports/conflict-reader.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import type { Ground } from '../serve/ground.js';
import { localNodeReader } from '../serve/local-node.js';

/** The ingest nodes of the cluster, reached over HTTP at the addresses that the catalog has. */
export interface ClusterNodes {
  of(node: NodeId): Peer & HotReader;
  /** Asks the node for a sign of life. Errors: `unavailable` when there is none, and while it recovers. */
  ping(node: NodeId, signal?: AbortSignal): Promise<void>;
  conflictsOf(node: NodeId): ConflictReader;
  close(): void;
}

/** Reads the file of the cluster's secret. Errors: `invalid` when it holds none that is long enough. */
export function readSecretFile(path: string): ClusterSecret {
  return readClusterSecret(readFileSync(path, 'utf8'));
}

/**
 * Opens the way to the ingest nodes. Nothing is connected before it is used.
 *
 * @param clocks told how the nodes' clocks stand to the one here
 */
export function openClusterNodes(
  { catalogs, clock }: Ground,
  secret: ClusterSecret,
  clocks?: PeerClocks,
): ClusterNodes {
  const nodes = new NodeDirectory({ nodes: catalogs.nodes, clock });
  const client = new PeerClient({
    nodes,
    secret: secret.presented,
    ...(clocks === undefined ? {} : { clocks }),
  });
  const known = new Map<NodeId, Peer & HotReader>();
  return {
    of: (node) => {
      const reader =
        known.get(node) ?? localNodeReader(new HttpPeer(node, client), new HttpHotReader(node, client));
      known.set(node, reader);
      return reader;
    },
    ping: async (node, signal) => void (await client.call(node, 'ping', {}, signal)),
    conflictsOf: (node) => new HttpConflictReader(node, client),
    close: () => client.close(),
  };
}
