import { replicationMax } from '../../core/catalog/database-settings.js';
import { parseNodeId } from '../../core/catalog/node-catalog.js';
import { countGroupsThatNeed, countOwnedGroups } from '../../core/catalog/owned-groups.js';
import { registerDatabaseRoutes } from '../../core/http/database-routes.js';
import { registerHealthRoutes } from '../../core/http/health-routes.js';
import { registerNodeRoutes } from '../../core/http/node-routes.js';
import { createHttpServer } from '../../core/http/server.js';
import type { NodeId } from '../../core/model/batch.js';
import { VarveError } from '../../core/std/errors.js';
import type { NodeSighting } from '../../ingest/cluster-view.js';
import { Drain } from '../../ingest/drain.js';
import type { DestinationStatus } from '../../ingest/hints/hints.js';
import { registerHintRoutes } from '../../ingest/http/hint-routes.js';
import type { IngestNode } from '../../ingest/ingest-node.js';
import { leaveForGood } from '../../ingest/leave.js';
import { Membership } from '../../ingest/membership.js';
import { Repairer } from '../../ingest/repair/repairer.js';
import { takeDataDirectory } from '../serve/data-directory.js';
import { openGround } from '../serve/ground.js';
import { openIngest } from '../serve/ingest-setup.js';
import { listenAuthentication } from '../serve/listen-authentication.js';
import { storeProblems } from '../serve/process-health.js';
import { databaseDefaults, type IngestFlags, type ListenFlags } from '../serve/serve-flags.js';
import type { Serving } from '../serve/until-stopped.js';
import { productVersion } from '../version.js';
import { claimDirectory } from './claim-directory.js';
import type { ClusterFlags } from './cluster-flags.js';
import { readSecretFile } from './cluster-nodes.js';
import { openClusterSide, type ReplicationFlags } from './cluster-side.js';
import { ofEcsTask, readEcsTask } from './ecs-task.js';
import type { EphemeralFlags } from './ephemeral-flags.js';
import { FigureLog } from './figure-log.js';
import type { HintFlags } from './hint-flags.js';
import { openHints } from './hints-setup.js';
import { JoinGate, registerJoinRoute } from './join-gate.js';
import { type OpenParts, startWithParts } from './open-parts.js';
import { listenForPeers, type PeerListenFlags } from './peer-listener.js';
import { groupsInFlux, repairMetrics } from './repair-setup.js';

/** The flags of `varve ingest`, parsed. */
export interface IngestProcessFlags
  extends ListenFlags,
    PeerListenFlags,
    ClusterFlags,
    ReplicationFlags,
    HintFlags,
    EphemeralFlags,
    IngestFlags {
  readonly nodeId: string;
  readonly dataDir: string;
  readonly figuresInterval: number;
}

/** An ingest node that runs. */
export interface IngestProcess extends Serving {
  readonly node: NodeId;
  /** Where the other processes of the cluster reach it. */
  readonly peerAddress: string;
  /** Resolves when the node was drained and has left the cluster: the process may end. */
  readonly left: Promise<void>;
}

/** Puts an ingest node together: the composition root of `varve ingest`. Resolves once it takes writes. */
export function startIngest(flags: IngestProcessFlags): Promise<IngestProcess> {
  return startWithParts(async (parts) => start(await withEcsTask(flags), parts));
}

/** Once an ephemeral node owns nothing it waits for so long for hints to be taken. */
const hintPatienceMs = 10_000;

/** Hints for nodes that still take batches as owners. */
function hintsFor(others: readonly NodeSighting[], status: readonly DestinationStatus[]): number {
  const takers = others.filter(({ isHeard, record }) => isHeard && record.handsOver !== true);
  return status
    .filter(({ node }) => takers.some(({ record }) => record.node === node))
    .reduce((sum, { hints }) => sum + hints, 0);
}

/** The flags with the name and the address of the task in the place of those that say so. */
async function withEcsTask(flags: IngestProcessFlags): Promise<IngestProcessFlags> {
  if (flags.nodeId !== ofEcsTask && flags.advertise !== ofEcsTask) return flags;
  if (flags.advertise === ofEcsTask && flags.peerPort === 0)
    throw new VarveError('invalid', `--advertise ${ofEcsTask}: got --peer-port 0; want the port itself`);
  const { id, address } = await readEcsTask(process.env['ECS_CONTAINER_METADATA_URI_V4']);
  return {
    ...flags,
    nodeId: flags.nodeId === ofEcsTask ? id : flags.nodeId,
    ...(flags.advertise === ofEcsTask ? { advertise: `http://${address}:${flags.peerPort}` } : {}),
  };
}

async function start(flags: IngestProcessFlags, parts: OpenParts): Promise<IngestProcess> {
  const authentication = listenAuthentication(flags);
  const secret = readSecretFile(flags.clusterSecretFile);
  const node = parseNodeId(flags.nodeId);
  const directory = takeDataDirectory(flags.dataDir);
  parts.add(() => directory.release());
  // What is sealed it never touches, so it opens no object store and stays up without one.
  const ground = await openGround({ ...flags, objectStore: '' });
  const { clock, logger, catalogs, meta, registry } = ground;
  parts.add(() => meta.close());
  const side = openClusterSide(ground, node, secret, flags);
  parts.add(() => side.nodes.close());
  const known = await catalogs.nodes.list();
  // One that left holds nothing: it may come back with another directory. One that is lost is refused when it registers.
  const holdsData: readonly string[] = ['live', 'draining'];
  const isKnown = known.some((record) => record.node === node && holdsData.includes(record.state));
  claimDirectory(directory.path, node, isKnown);

  const hints = await openHints(ground, directory, flags);
  // After the node, whose stop may still make hints.
  parts.add(() => hints.close());
  let ingestNode: IngestNode | undefined;
  parts.add(async () => ingestNode?.stop());
  // Its address goes into the catalog, so it listens before the node is registered.
  const peers = await listenForPeers(ground, node, secret, flags);
  parts.add(() => peers.stop());
  const { epoch } = await catalogs.nodes.register(node, peers.address, undefined, flags.ephemeral);
  const drain = new Drain({
    node,
    clock,
    logger,
    intervalMs: flags.heartbeatInterval,
    settleMs: 3 * flags.heartbeatInterval,
    ownedGroups: async (signal) =>
      flags.ephemeral
        ? countGroupsThatNeed(node, catalogs, signal)
        : ((await countOwnedGroups(catalogs, signal)).get(node) ?? 0),
    ...(flags.ephemeral ? { hintPatienceMs } : {}),
    hints: {
      handOver: (signal) => hints.handOver(signal),
      count: () => hints.count,
      // Those for nodes that are gone wait for their groups to be sealed, which a disk that goes with its node cannot.
      ...(flags.ephemeral ? { takable: () => hintsFor(side.view.others(), hints.status()) } : {}),
    },
    stopWrites: () => server.close(),
    noteLeft: (signal) => catalogs.nodes.leave(node, epoch, signal),
  });
  const membership = new Membership({
    node,
    epoch,
    nodes: catalogs.nodes,
    clock,
    logger,
    intervalMs: flags.heartbeatInterval,
    hints: () => ({ count: hints.count, bytes: hints.bytes }),
    onNoted: ({ state }) => {
      if (state === 'draining') drain.begin();
    },
    onSuperseded: (by) =>
      ground.fatal(
        by === epoch
          ? `node ${node} was declared lost: others have taken its place`
          : `node ${node} was started again elsewhere: this is its start ${epoch}, the catalog has ${by}`,
      ),
  });
  await side.view.start();
  parts.add(() => side.view.stop());
  const ingest = openIngest(ground, flags, {
    ...{ node, epoch, directory, peerOf: side.nodes.of },
    cluster: {
      ownerCandidates: (wanted) => side.view.ownerCandidates(wanted),
      limits: { writeTimeoutMs: flags.writeTimeout },
      hints,
    },
  });

  const server = createHttpServer({ ...ground, authentication });
  parts.add(() => server.close());
  registerHealthRoutes(server, {
    version: productVersion(),
    ready: async () => [
      ...(ingestNode === undefined ? ['recovering what was in flux from the WAL'] : ingestNode.problems()),
      ...membership.problems(),
      ...side.view.problems(),
      ...drain.problems(),
      ...side.clocks.problems(),
      ...(await storeProblems(meta)),
    ],
    metrics: () => registry.metrics(),
  });
  const gate = new JoinGate({
    ...ground,
    nodeSilenceMs: flags.nodeSilenceMax,
    patienceMs: flags.joinPatience,
  });
  registerJoinRoute(server, gate);
  await ingest.registerRoutes(server);
  registerDatabaseRoutes(server, {
    databases: catalogs.databases,
    defaults: databaseDefaults(flags),
    replicationMax,
    clock,
  });
  registerHintRoutes(server, { node, hints, clock });
  registerNodeRoutes(server, { nodes: catalogs.nodes, inFlux: catalogs, clock });
  // Listening comes before recovery, so that /health and /ready answer while a long WAL is replayed.
  const url = await server.listen({ host: flags.host, port: flags.port });
  membership.start();
  parts.add(() => membership.stop());
  parts.add(() => drain.stop());

  ingestNode = await ingest.recover();
  const { replicator } = ingestNode;
  side.open(replicator);
  hints.start({
    peerOf: side.nodes.of,
    catalog: {
      databaseById: (id) => catalogs.databases.getById(id),
      groupList: async (database) => (await catalogs.groups.get(database)).value,
    },
    reroute: ingestNode.reroute,
  });
  parts.add(() => hints.stopSending());
  const figures = new FigureLog({
    ...{ clock, logger, intervalMs: flags.figuresInterval },
    hints: () => hints.status(),
  });
  figures.start();
  parts.add(() => figures.stop());
  side.view.onChange(({ kind, node: other }) => {
    if (kind !== 'returned') return;
    replicator.nodeIsBack(other);
    hints.nodeIsBack(other);
  });
  peers.open({ peer: ingestNode.owner, hotReader: ingest.hotReader, conflicts: ingest.conflicts });
  ingest.open(ingestNode);
  const repairer = new Repairer({
    owner: ingestNode.owner,
    nodeOf: side.nodes.of,
    groups: (signal) => groupsInFlux(catalogs, signal),
    clock,
    random: ground.random,
    logger: logger.child({ room: 'repair' }),
    metrics: repairMetrics(registry),
  });
  repairer.start();
  parts.add(() => repairer.stop());
  gate.recovered();
  const { owner } = ingestNode;
  const leave = () =>
    leaveForGood({
      ...{ node, clock, logger, drain },
      stopWrites: () => server.close(),
      retire: () => owner.retire(),
      noteHandsOver: (signal) => catalogs.nodes.handOver(node, epoch, signal),
      withinMs: flags.leaveWithin,
    });
  const stop = async (): Promise<void> => {
    if (flags.ephemeral) await leave();
    await parts.close();
  };
  return { node, url, peerAddress: peers.address, logger, left: drain.left, stop };
}
