import { MessageChannel } from 'node:worker_threads';
import { ChannelPeer, ingestChannel, serveIngestChannel } from '../../core/adapters/channel-peer.js';
import { HttpPeer } from '../../core/adapters/http-peer.js';
import { encodeBatch } from '../../core/codec/batch-codec.js';
import {
  type BatchId,
  batchIdText,
  type EncodedBatch,
  type NodeId,
  type ShardAddress,
} from '../../core/model/batch.js';
import type { ConflictReader } from '../../core/ports/conflict-reader.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import { assert } from '../../core/std/assert.js';
import { ChannelClient } from '../../core/std/channel.js';
import { makeWorld, startNode } from '../support/memory-node.js';
import { peerClient, startPeerServer } from '../support/peer-server.js';
import { rowsOf } from '../support/rows.js';
import { type PeerFixture, peerConformance } from './peer.js';

/** Days whose first moment, and one nanosecond less or more, the batches hold in turn. */
const timesNs = [-86_400_000_000_001n, 0n, 2n ** 60n + 1n];

function batchFor(address: ShardAddress, sequence: number, rows: number): EncodedBatch {
  const points = Array.from({ length: rows }, (_, row) => ({
    tags: { host: `h${row % 3}` },
    timeNs: timesNs[row % 3] ?? 0n,
    fields: { load: sequence * 1000 + row, note: `row ${row}` },
  }));
  const id = { origin: 'elsewhere' as NodeId, epoch: 7, sequence };
  return encodeBatch({ ...address, id, stamp: BigInt(sequence), tables: [rowsOf('cpu', points)] });
}

/** A node of which only the batches can be fetched. */
function sourceOf(node: NodeId, batches: readonly EncodedBatch[]): Peer {
  const fetch = async function* (_address: ShardAddress, ids: readonly BatchId[]) {
    const wanted = new Set(ids.map(batchIdText));
    for (const { id, bytes } of batches) if (wanted.has(batchIdText(id))) yield bytes.slice();
  };
  return { node, fetchBatches: fetch } as Partial<Peer> as Peer;
}

async function direct(): Promise<PeerFixture> {
  const world = makeWorld();
  const database = await world.catalogs.databases.ensure('db', world.settings);
  const source = 'n2' as NodeId;
  const fetchable: EncodedBatch[] = [];
  const started = await startNode(world, {
    peerOf: (node) => (node === source ? sourceOf(source, fetchable) : undefined),
  });
  const openLate = async () => {
    const { outcome } = await world.catalogs.groups.openSpillGroup(database, 'late', {
      nowMs: world.clock.nowMs(),
      assign: () => [{ owners: [started.node.owner.node] }],
    });
    return outcome;
  };
  const group = await openLate();
  assert(group.state === 'open', 'the group has just been opened');
  const address = { database: database.id, group: group.id, shard: 0 };
  return {
    peer: started.node.owner,
    address,
    source,
    fetchable,
    openNextGroup: async () => {
      await world.catalogs.groups.close(database, [group.id], { nowMs: world.clock.nowMs(), epoch: 1 });
      return (await openLate()).id;
    },
    batch: (sequence, rows = 3) => batchFor(address, sequence, rows),
    stop: () => started.node.stop(),
  };
}

async function overChannel(): Promise<PeerFixture> {
  const behind = await direct();
  const { port1, port2 } = new MessageChannel();
  const stop = serveIngestChannel(port1, { peer: behind.peer, hotReader: {} as HotReader });
  return {
    ...behind,
    peer: new ChannelPeer(behind.peer.node, new ChannelClient(port2, ingestChannel)),
    stop: async () => {
      stop();
      port1.close();
      await behind.stop();
    },
  };
}

async function overHttp(): Promise<PeerFixture> {
  const behind = await direct();
  const { node } = behind.peer;
  const server = await startPeerServer(node, () => ({
    peer: behind.peer,
    hotReader: {} as HotReader,
    conflicts: {} as ConflictReader,
  }));
  const client = peerClient(() => server.url);
  return {
    ...behind,
    peer: new HttpPeer(node, client),
    stop: async () => {
      client.close();
      await server.stop();
      await behind.stop();
    },
  };
}

peerConformance('the node itself', direct);
peerConformance('a node over a channel', overChannel);
peerConformance('a node over HTTP', overHttp);
