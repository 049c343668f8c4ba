import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { ChannelPeer, ingestChannel, serveIngestChannel } from '../../../core/adapters/channel-peer.js';
import type { NodeId } from '../../../core/model/batch.js';
import type { HotReader } from '../../../core/ports/hot-reader.js';
import type { Peer } from '../../../core/ports/peer.js';
import { ChannelClient } from '../../../core/std/channel.js';
import { VarveError } from '../../../core/std/errors.js';
import { silentLogger } from '../../../core/std/logger.js';
import { HotTier } from '../../../ingest/hot/hot-tier.js';
import { batchOf, database, group, hashOf } from '../../support/naive-hot-tier.js';

const ports: MessagePort[] = [];
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

const node = 'n1' as NodeId;
const stored = [Uint8Array.of(1, 2), Uint8Array.of(3)];

/** A peer with a real hot tier that notes what it was asked. */
function nodeWith(tier: HotTier, asked: unknown[]): Peer {
  return {
    node,
    append: async (batch) => {
      asked.push(['append', batch]);
      return { kind: 'applied' };
    },
    closeGroup: async (...of) => {
      tier.closeGroup(of[0], of[1]);
      return tier.report(of[0], of[1]);
    },
    reportGroup: async (...of) => tier.report(of[0], of[1]),
    listBatches: async (address) => tier.leaves(address),
    fetchBatches: async function* (address, ids) {
      asked.push(['fetchBatches', address, ids]);
      yield* stored;
    },
    releaseGroup: async (of, id, sealed) => {
      asked.push(['releaseGroup', of, id, sealed]);
      return { kind: 'kept', notSealed: [{ origin: node, epoch: 1, sequence: 2 }] };
    },
    catchUp: async (address, source, ranges) => {
      asked.push(['catchUp', address, source, ranges]);
      return { fetched: 2 };
    },
  };
}

function connect(peer: Peer): ChannelPeer {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  serveIngestChannel(port1, { peer, hotReader: {} as HotReader });
  return new ChannelPeer(node, new ChannelClient(port2, ingestChannel));
}

const plain = {
  origin: 'n1',
  epoch: 1,
  sequence: 1,
  stamp: 2n ** 40n,
  shard: 3,
  tables: { cpu: [{ tags: { host: 'a' }, timeNs: -5n, fields: { load: 1 } }] },
};

describe('peer over a channel', () => {
  it('answers as the node itself does', async () => {
    const tier = new HotTier({ bytesMax: 2 ** 20, logger: silentLogger });
    tier.apply(batchOf(plain), hashOf(plain), 100);
    const asked: unknown[] = [];
    const peer = connect(nodeWith(tier, asked));
    const address = { database, group, shard: 3 };
    const ids = [{ origin: node, epoch: 1, sequence: 1 }];
    const sealed = [{ origin: node, epoch: 1, first: 1, last: 1 }];

    expect(await peer.append(Uint8Array.of(7))).toEqual({ kind: 'applied' });
    expect(await peer.reportGroup(database, group)).toEqual(tier.report(database, group));
    expect(await peer.listBatches(address)).toEqual([{ id: ids[0], hash: hashOf(plain) }]);
    expect((await peer.closeGroup(database, group)).closed).toBe(true);
    expect(await peer.releaseGroup(database, group, sealed)).toEqual({
      kind: 'kept',
      notSealed: [{ origin: node, epoch: 1, sequence: 2 }],
    });
    for await (const _ of peer.fetchBatches(address, ids));
    expect(asked).toEqual([
      ['append', Uint8Array.of(7)],
      ['releaseGroup', database, group, sealed],
      ['fetchBatches', address, ids],
    ]);
  });

  it('leaves the node its batches when they are fetched', async () => {
    const peer = connect(nodeWith(new HotTier({ bytesMax: 2 ** 20, logger: silentLogger }), []));
    for (let round = 0; round < 2; round++) {
      const fetched: Uint8Array[] = [];
      for await (const batch of peer.fetchBatches({ database, group, shard: 3 }, [])) fetched.push(batch);
      expect(fetched).toEqual([Uint8Array.of(1, 2), Uint8Array.of(3)]);
    }
  });

  it('passes errors of the node on with their kind', async () => {
    const failing = {
      ...nodeWith(new HotTier({ bytesMax: 1, logger: silentLogger }), []),
      append: async () => {
        throw new VarveError('exhausted', 'the disk is full');
      },
    };
    await expect(connect(failing).append(Uint8Array.of(1))).rejects.toMatchObject({
      kind: 'exhausted',
      message: 'the disk is full',
    });
  });
});
