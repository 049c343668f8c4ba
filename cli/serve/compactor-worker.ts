import { parentPort, workerData } from 'node:worker_threads';
import { Registry } from 'prom-client';
import { serveCompactorChannel } from '../../compactor/channel.js';
import { ChannelHotReader } from '../../core/adapters/channel-hot-reader.js';
import { ChannelPeer, ingestChannel } from '../../core/adapters/channel-peer.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import { parseNodeId } from '../../core/catalog/node-catalog.js';
import { assert } from '../../core/std/assert.js';
import { ChannelClient, serveChannel } from '../../core/std/channel.js';
import { errorMessage } from '../../core/std/errors.js';
import { openCatalogs } from './catalogs.js';
import { openCompactor } from './compactor-room.js';
import { type CompactorNotice, type CompactorSetup, controlChannel } from './compactor-setup.js';
import { armFailpointFromEnvironment } from './failpoints.js';
import { localNodeReader } from './local-node.js';
import { openLogger } from './logging.js';
import { openSettledTables } from './settled-tables.js';
import { storeMetrics } from './store-metrics.js';
import { openMetaStore, openObjectStore } from './stores.js';

/** The compactor's thread: a composition root of its own, which reaches the ingest node of its process over the port. */
async function main(): Promise<void> {
  assert(parentPort !== null, 'the compactor runs in a worker thread');
  const port = parentPort;
  const notify = (notice: CompactorNotice): void => port.postMessage(notice);
  const setup = workerData as CompactorSetup;
  armFailpointFromEnvironment();

  const clock = new SystemClock();
  const random = new SystemRandom();
  const logger = openLogger(setup.logging).child({ room: 'compactor' });
  const registry = new Registry();
  const metrics = storeMetrics(registry, 'compactor_');
  const meta = await openMetaStore(setup.stores, metrics);
  const objects = await openObjectStore(setup.stores, metrics);
  const catalogs = openCatalogs({ store: meta, clock, random });
  const settled = openSettledTables({ objects, catalogs, clock, random, logger });
  const node = parseNodeId(setup.node);
  const client = new ChannelClient(port, ingestChannel);
  const owner = localNodeReader(new ChannelPeer(node, client), new ChannelHotReader(client));

  const holderOf = (epoch: number): string => `${setup.node}/${epoch}`;
  const compactor = openCompactor({
    catalogs,
    settled,
    objects,
    clock,
    logger,
    registry,
    peers: () => owner,
    holder: holderOf(setup.epoch),
    // The data directory is held by one process at a time, so earlier starts of this node have ended.
    isGone: (holder) => {
      const [name, epoch] = holder.split('/');
      return name === setup.node && Number(epoch) < setup.epoch;
    },
    onFatal: (error) => notify({ notice: 'fatal', reason: errorMessage(error) }),
    tuning: setup,
  });

  serveCompactorChannel(port, compactor);
  serveChannel(port, controlChannel, {
    metrics: () => registry.metrics(),
    stop: async () => {
      await compactor.stop();
      await meta.close();
    },
  });
  compactor.start();
  notify({ notice: 'started' });
}

await main();
