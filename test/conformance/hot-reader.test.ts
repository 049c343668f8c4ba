import { MessageChannel } from 'node:worker_threads';
import { ChannelHotReader } from '../../core/adapters/channel-hot-reader.js';
import { ingestChannel, serveIngestChannel } from '../../core/adapters/channel-peer.js';
import { HttpHotReader } from '../../core/adapters/http-hot-reader.js';
import type { NodeId } from '../../core/model/batch.js';
import type { ConflictReader } from '../../core/ports/conflict-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import { ChannelClient } from '../../core/std/channel.js';
import { silentLogger } from '../../core/std/logger.js';
import { HotTier } from '../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../ingest/hot/hot-tier-reader.js';
import { batchOf, hashOf, type PlainBatch } from '../support/naive-hot-tier.js';
import { peerClient, startPeerServer } from '../support/peer-server.js';
import { type HotReaderFixture, hotReaderConformance } from './hot-reader.js';

function direct(): HotReaderFixture {
  const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
  return {
    reader: new HotTierReader({ tier, giveWay: () => new Promise((resolve) => setImmediate(resolve)) }),
    apply: (batch: PlainBatch) => tier.apply(batchOf(batch), hashOf(batch), 100),
    drop: (database, group) => tier.drop(database, group),
    stop: () => {},
  };
}

function overChannel(): HotReaderFixture {
  const behind = direct();
  const { port1: serverPort, port2: clientPort } = new MessageChannel();
  const stop = serveIngestChannel(serverPort, { peer: {} as Peer, hotReader: behind.reader });
  return {
    ...behind,
    reader: new ChannelHotReader(new ChannelClient(clientPort, ingestChannel)),
    stop: () => {
      stop();
      serverPort.close();
    },
  };
}

function overHttp(): HotReaderFixture {
  const behind = direct();
  const node = 'n1' as NodeId;
  const server = startPeerServer(node, () => ({
    peer: {} as Peer,
    hotReader: behind.reader,
    conflicts: {} as ConflictReader,
  }));
  const client = peerClient(async () => (await server).url);
  return {
    ...behind,
    reader: new HttpHotReader(node, client),
    stop: () => {
      client.close();
      void server.then((started) => started.stop());
    },
  };
}

hotReaderConformance('the hot tier itself', direct);
hotReaderConformance('the hot tier over a channel', overChannel);
hotReaderConformance('the hot tier over HTTP', overHttp);
