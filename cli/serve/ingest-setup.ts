import { setImmediate as giveWay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { FileSystemDisk } from '../../core/adapters/disk-filesystem.js';
import type { NodeId } from '../../core/model/batch.js';
import type { Peer } from '../../core/ports/peer.js';
import type { Hints } from '../../ingest/hints/hints.js';
import { HotConflicts } from '../../ingest/hot/hot-conflicts.js';
import { HotTier } from '../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../ingest/hot/hot-tier-reader.js';
import { registerInfluxqlRoute } from '../../ingest/http/influxql-route.js';
import {
  defaultWriteRouteLimits,
  registerWriteRoutes,
  type WriteRouteLimits,
} from '../../ingest/http/write-routes.js';
import { IngestNode } from '../../ingest/ingest-node.js';
import type { LineProtocolCaches } from '../../ingest/protocols/line-protocol/decoder.js';
import { ScratchPool } from '../../ingest/protocols/line-protocol/row-memory.js';
import { SeriesInternerSlot } from '../../ingest/protocols/line-protocol/series-interner.js';
import type { ReplicationLimits } from '../../ingest/replicate/replicator.js';
import { Wal } from '../../ingest/wal/wal.js';
import type { DataDirectory } from './data-directory.js';
import type { Ground } from './ground.js';
import { ingestCatalog, wasDropped } from './ingest-catalog.js';
import { ingestMetrics, registerIngestGauges } from './ingest-metrics.js';
import { LateSink } from './late-sink.js';
import { loadLineKernel } from './line-kernel.js';
import { replicationMetrics } from './replication-metrics.js';
import { databaseDefaults, type IngestFlags } from './serve-flags.js';

/** Memory for spellings of series that the decoder remembers between requests. */
const seriesCacheBytesMax = 256 * 2 ** 20;
/** Buffers that the decoder keeps between requests. */
const scratchBytesMax = 64 * 2 ** 20;

/** The ingest room of a process: its routes stand from the beginning, writes are taken once it has recovered. */
export interface IngestSetup {
  readonly hotReader: HotTierReader;
  readonly conflicts: HotConflicts;
  registerRoutes(server: FastifyInstance): Promise<void>;
  /** Replays the WAL. Writes are taken from `open` on. */
  recover(): Promise<IngestNode>;
  open(node: IngestNode): void;
}

/** The node that a process is. */
export interface IngestIdentity {
  readonly node: NodeId;
  /** This start of the node. */
  readonly epoch: number;
  readonly directory: DataDirectory;
  readonly peerOf: (node: NodeId) => Peer | undefined;
  /** Left out where there are no other nodes. */
  readonly cluster?: IngestCluster;
}

/** What an ingest node makes of the others. */
export interface IngestCluster {
  /** Nodes that may own new shards, as many as are wanted or all there are. */
  readonly ownerCandidates: (wanted: number) => Promise<readonly NodeId[]>;
  readonly limits: Partial<ReplicationLimits>;
  readonly hints: Hints;
}

/** Puts the ingest room together. */
export function openIngest(ground: Ground, flags: IngestFlags, identity: IngestIdentity): IngestSetup {
  const { clock, random, logger, registry, catalogs } = ground;
  const { node, epoch, directory, peerOf, cluster } = identity;
  const metrics = ingestMetrics(registry);
  const hot = new HotTier({ bytesMax: flags.hotBytesMax, logger, metrics: metrics.hot });
  const wal = new Wal({
    disk: new FileSystemDisk(directory.path),
    directory: 'wal',
    clock,
    random,
    logger: logger.child({ room: 'wal' }),
    metrics: metrics.wal,
    bytesMax: flags.walBytesMax,
    segmentBytes: flags.walSegmentBytes,
    onFatal: (error) => ground.fatal(error.message),
  });
  const limits = { columnsMax: flags.columnsMax, tablesMax: flags.tablesMax };
  const defaults = flags.createDatabases ? databaseDefaults(flags) : null;
  const sink = new LateSink();
  const conflicts = new HotConflicts({ tier: hot, giveWay: () => giveWay(), logger });
  return {
    conflicts,
    hotReader: new HotTierReader({
      tier: hot,
      giveWay: () => giveWay(),
      wasDropped: (database, group) => wasDropped(catalogs, node, database, group),
    }),
    registerRoutes: async (server) => {
      const caches = lineProtocolCaches(loadLineKernel(logger));
      await registerWriteRoutes(server, {
        sink,
        clock,
        caches,
        limits: writeRouteLimits(flags),
        metrics: metrics.routes,
      });
      await registerInfluxqlRoute(server, sink);
    },
    recover: async () => {
      const ingestNode = await IngestNode.start({
        node,
        epoch,
        catalog: ingestCatalog({
          ...{ catalogs, clock, defaults, limits },
          liveNodes: cluster?.ownerCandidates ?? (() => [node]),
          onFewOwners: (database, group) =>
            logger.warn(
              {
                database: database.name,
                group: group.id,
                shards: group.shards,
                replication: database.replication,
              },
              'a shard group has fewer owners than its database wants: fewer nodes are live',
            ),
        }),
        wal,
        hot,
        clock,
        random,
        limits,
        metrics: metrics.write,
        logger,
        peerOf,
        ...(cluster === undefined
          ? {}
          : {
              replication: { limits: cluster.limits, metrics: replicationMetrics(registry) },
              hints: cluster.hints,
            }),
        beforeDrop: (database, group) => conflicts.keep(database, group),
      });
      const { batchesRestored, batchesDropped, bytesRestored } = ingestNode.recovery;
      logger.info(
        { node, epoch, batchesRestored, batchesDropped, bytesRestored },
        'recovered what was in flux',
      );
      registerIngestGauges(registry, wal, hot);
      return ingestNode;
    },
    open: (ingestNode) => sink.open(ingestNode.writes),
  };
}

function lineProtocolCaches(kernel: WebAssembly.Module | undefined): LineProtocolCaches {
  return {
    interners: new SeriesInternerSlot(seriesCacheBytesMax, kernel),
    scratch: new ScratchPool(scratchBytesMax),
  };
}

function writeRouteLimits(flags: IngestFlags): WriteRouteLimits {
  const { compressedBytesMax } = defaultWriteRouteLimits;
  return {
    bodyBytesMax: flags.requestBytesMax,
    compressedBytesMax: Math.min(flags.requestBytesMax, compressedBytesMax),
  };
}
