import { type Catalogs, openCatalogs } from '../../cli/serve/catalogs.js';
import { ingestCatalog } from '../../cli/serve/ingest-catalog.js';
import { SimulatedClock } from '../../core/adapters/clock-simulated.js';
import { MemoryDisk } from '../../core/adapters/disk-memory.js';
import { MemoryMetaStore } from '../../core/adapters/meta-store-memory.js';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import { defaultDatabaseSettings } from '../../core/catalog/database-settings.js';
import { parseNodeId } from '../../core/catalog/node-catalog.js';
import type { DatabaseSettings } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import type { Peer } from '../../core/ports/peer.js';
import { silentLogger } from '../../core/std/logger.js';
import { HotTier } from '../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../ingest/hot/hot-tier-reader.js';
import { IngestNode } from '../../ingest/ingest-node.js';
import { Wal } from '../../ingest/wal/wal.js';

/** What outlives a node's process: its disk and the shared stores. */
export interface MemoryWorld {
  readonly clock: SimulatedClock;
  readonly random: SeededRandom;
  readonly disk: MemoryDisk;
  readonly catalogs: Catalogs;
  readonly settings: DatabaseSettings;
}

/** One start of an ingest node in a memory world. */
export interface MemoryNode {
  readonly node: IngestNode;
  readonly hot: HotTier;
  readonly hotReader: HotTierReader;
  readonly wal: Wal;
}

/** A world with nothing in it. The clock begins at a fixed moment, so that runs repeat. */
export function makeWorld(
  options: { readonly seed?: number; readonly settings?: Partial<DatabaseSettings> } = {},
): MemoryWorld {
  const clock = new SimulatedClock({ startMs: 1_700_000_000_000 });
  const random = new SeededRandom(options.seed ?? 1);
  return {
    clock,
    random,
    disk: new MemoryDisk(),
    catalogs: openCatalogs({ store: new MemoryMetaStore(), clock, random }),
    settings: { ...defaultDatabaseSettings, ...options.settings },
  };
}

/** Starts the node: recovers from the world's disk. */
export async function startNode(
  world: MemoryWorld,
  options: {
    readonly hotBytesMax?: number;
    readonly peerOf?: (node: NodeId) => Peer | undefined;
  } = {},
): Promise<MemoryNode> {
  const { clock, random, disk, catalogs } = world;
  const id = parseNodeId('n1');
  const { epoch } = await catalogs.nodes.register(id, null);
  const hot = new HotTier({ bytesMax: options.hotBytesMax ?? 2 ** 28, logger: silentLogger });
  const wal = new Wal({
    disk,
    directory: 'wal',
    clock,
    random,
    logger: silentLogger,
    segmentBytes: 2 ** 18,
    reserveBytes: 0,
    onFatal: (error) => {
      throw error;
    },
  });
  const limits = { columnsMax: 100, tablesMax: 100 };
  const node = await IngestNode.start({
    node: id,
    epoch,
    catalog: ingestCatalog({ catalogs, clock, defaults: world.settings, limits, liveNodes: () => [id] }),
    wal,
    hot,
    clock,
    random,
    limits,
    metrics: { rows: () => {}, levelNotMet: () => {}, refusedForMemory: () => {} },
    logger: silentLogger,
    peerOf: options.peerOf ?? (() => undefined),
  });
  return { node, hot, hotReader: new HotTierReader({ tier: hot, giveWay: () => Promise.resolve() }), wal };
}
