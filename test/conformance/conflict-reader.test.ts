import { HttpConflictReader } from '../../core/adapters/http-conflict-reader.js';
import type { NodeId } from '../../core/model/batch.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import { silentLogger } from '../../core/std/logger.js';
import { HotConflicts } from '../../ingest/hot/hot-conflicts.js';
import { HotTier } from '../../ingest/hot/hot-tier.js';
import { batchOf, database, group, hashOf, type PlainBatch } from '../support/naive-hot-tier.js';
import { peerClient, startPeerServer } from '../support/peer-server.js';
import { type ConflictReaderFixture, conflictReaderConformance } from './conflict-reader.js';

function direct(): ConflictReaderFixture {
  const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
  const giveWay = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const conflicts = new HotConflicts({ tier, giveWay, logger: silentLogger });
  return {
    reader: conflicts,
    apply: (batch: PlainBatch) => tier.apply(batchOf(batch), hashOf(batch), 100),
    settle: async () => {
      await conflicts.keep(database, group);
      tier.drop(database, group);
    },
    stop: () => {},
  };
}

function overHttp(): ConflictReaderFixture {
  const behind = direct();
  const node = 'n1' as NodeId;
  const server = startPeerServer(node, () => ({
    peer: {} as Peer,
    hotReader: {} as HotReader,
    conflicts: behind.reader,
  }));
  const client = peerClient(async () => (await server).url);
  return {
    ...behind,
    reader: new HttpConflictReader(node, client),
    stop: () => {
      client.close();
      void server.then((started) => started.stop());
    },
  };
}

conflictReaderConformance('the hot tier itself', direct);
conflictReaderConformance('the hot tier over HTTP', overHttp);
