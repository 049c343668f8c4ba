import { groupsInFlux } from '../../cli/cluster/repair-setup.js';
import { ingestCatalog } from '../../cli/serve/ingest-catalog.js';
import { localNodeReader } from '../../cli/serve/local-node.js';
import { countOwnedGroups } from '../../core/catalog/owned-groups.js';
import { batchIdText, type NodeId } from '../../core/model/batch.js';
import type { Disk } from '../../core/ports/disk.js';
import { errorMessage } from '../../core/std/errors.js';
import { silentLogger } from '../../core/std/logger.js';
import { ClusterView } from '../../ingest/cluster-view.js';
import { Drain } from '../../ingest/drain.js';
import { Hints } from '../../ingest/hints/hints.js';
import { HotTier } from '../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../ingest/hot/hot-tier-reader.js';
import { IngestNode } from '../../ingest/ingest-node.js';
import { Membership } from '../../ingest/membership.js';
import { Repairer } from '../../ingest/repair/repairer.js';
import type { Ground } from './ground.js';
import type { HintKeeper } from './mutations.js';
import { remoteNode } from './remote-node.js';
import type { SimulatedProcess } from './simulated-process.js';
import { TappedWal } from './tapped-wal.js';

const limits = { columnsMax: 100, tablesMax: 100 };
const hotBytesMax = 2 ** 26;
const segmentBytes = 2 ** 16;
const heartbeatMs = 2000;
const silenceMsMax = 6000;
const writeTimeoutMs = 3000;

/** What a start of a node is made of. */
export interface NodeStart {
  readonly ground: Ground;
  readonly id: NodeId;
  readonly process: SimulatedProcess;
  readonly disk: Disk;
  readonly onFatal: (error: unknown) => void;
  /** No client writes here from now on; resolves when the writes under way have ended. */
  readonly stopWrites: () => Promise<void>;
  /** The node was drained and holds nothing any more. */
  readonly onLeft: () => void;
}

/** Puts an ingest node together as `varve ingest` does, on simulated ports; resolves once it takes writes. */
export async function startNode({ ground, id, process, ...start }: NodeStart): Promise<IngestNode> {
  const { mutations, network } = ground;
  const common = { clock: process, logger: silentLogger };
  const nodeOf = (other: NodeId) => remoteNode(network, process, other);
  const catalogs = ground.catalogsOf(process);
  const disk = mutations.disk?.(start.disk) ?? start.disk;
  const hints = await Hints.open({
    ...common,
    disk,
    directory: 'hints',
    random: ground.random(),
    bytesMax: 2 ** 24,
    ageMsMax: 3_600_000,
    segmentBytes,
    reserveBytes: 0,
  });
  const { epoch } = await catalogs.nodes.register(id, id);
  let node: IngestNode | undefined;
  const view = new ClusterView({
    ...common,
    node: id,
    nodes: catalogs.nodes,
    ping: (other, signal) => network.ping(process, other, signal),
    isSuspected: (other) => node?.replicator.isSuspected(other) ?? false,
    intervalMs: heartbeatMs,
    silenceMsMax,
  });
  await view.start();
  const wal = new TappedWal(
    {
      ...common,
      disk,
      directory: 'wal',
      random: ground.random(),
      segmentBytes,
      reserveBytes: 0,
      onFatal: start.onFatal,
    },
    (batch) => {
      if (ground.ledger.logged(batch) === 're-routed') ground.trace.count('batch re-routed');
    },
  );
  const hot = new HotTier({ bytesMax: hotBytesMax, logger: silentLogger });
  node = await IngestNode.start({
    ...common,
    node: id,
    epoch,
    catalog: ingestCatalog({
      catalogs,
      clock: process,
      defaults: ground.settings,
      limits,
      liveNodes: (wanted) => view.ownerCandidates(wanted),
    }),
    wal,
    hot,
    random: ground.random(),
    limits,
    metrics: { rows() {}, levelNotMet() {}, refusedForMemory() {} },
    peerOf: nodeOf,
    replication: { limits: { writeTimeoutMs } },
    hints: counted(mutations.hints?.(hints) ?? hints, ground),
  });
  hints.start({
    peerOf: nodeOf,
    catalog: {
      databaseById: (database) => catalogs.databases.getById(database),
      groupList: async (database) => (await catalogs.groups.get(database)).value,
    },
    reroute: node.reroute,
  });
  view.onChange((change) => {
    if (change.kind === 'returned') hints.nodeIsBack(change.node);
  });
  const reader = new HotTierReader({ tier: hot, giveWay: () => Promise.resolve() });
  const service = localNodeReader(node.owner, reader);
  network.listen(process, mutations.service?.(service) ?? service);
  const drain = new Drain({
    ...common,
    node: id,
    intervalMs: heartbeatMs,
    settleMs: 3 * heartbeatMs,
    ownedGroups: async (signal) => (await countOwnedGroups(catalogs, signal)).get(id) ?? 0,
    hints: { handOver: (signal) => hints.handOver(signal), count: () => hints.count },
    stopWrites: start.stopWrites,
    noteLeft: (signal) => catalogs.nodes.leave(id, epoch, signal),
  });
  void drain.left.then(start.onLeft);
  const membership = new Membership({
    ...common,
    node: id,
    epoch,
    nodes: catalogs.nodes,
    intervalMs: heartbeatMs,
    hints: () => ({ count: hints.count, bytes: hints.bytes }),
    onNoted: ({ state }) => {
      if (state === 'draining') drain.begin();
    },
    onSuperseded: (by) => start.onFatal(new Error(`superseded by epoch ${by}, or declared lost`)),
  });
  membership.start();
  const repairer = new Repairer({
    ...common,
    owner: node.owner,
    nodeOf,
    groups: (signal) => groupsInFlux(catalogs, signal),
    random: ground.random(),
    limits: { intervalMs: 4000, graceMs: 3000 },
  });
  repairer.start();
  return node;
}

function counted(hints: HintKeeper, { trace }: Ground): HintKeeper {
  return {
    keep: async (owner, batch) => {
      await hints.keep(owner, batch);
      trace.count('hint kept');
      trace.note(`${batchIdText(batch.id)} of ${batch.group} is kept as a hint for ${owner}`);
    },
    holdings: (database, group) => hints.holdings(database, group),
    fetch: (address, ids, signal) => hints.fetch(address, ids, signal),
    release: async (database, group, sealed) => {
      const kept = await hints.release(database, group, sealed);
      trace.count(kept.length === 0 ? 'hints of a sealed group let go' : 'hints of a sealed group kept');
      return kept;
    },
  };
}

/** What was thrown, in a word. */
export function reasonOf(error: unknown): string {
  return errorMessage(error).slice(0, 160);
}
