import { setTimeout as sleep } from 'node:timers/promises';
import type { BodyPlace, Dataset } from '../generate/dataset.js';
import { load } from '../measure/load.js';
import { untilQuiet, watchOtherWork } from '../measure/other-work.js';
import { VarveCluster } from '../systems/varve-cluster.js';
import type { Progress } from './progress.js';

export interface ClusterRunOptions {
  readonly dataset: Dataset;
  readonly replications: readonly number[];
  readonly rounds: number;
  /** Connections to each node. */
  readonly connections: number;
  readonly patienceMs: number;
  readonly progress: Progress;
}

/** Writing to three nodes with so many owners a shard, at quorum. */
export interface ReplicationFigures {
  readonly replication: number;
  readonly round: number;
  readonly lines: number;
  readonly linesPerSecond: number;
  /** Of the three nodes together, until every owner has every line. */
  readonly cpuSecondsPerMillionLines: number;
  readonly acknowledgeMsMedian: number;
  readonly otherCores: number;
}

/** Sending what waited for a node that was away. */
export interface HandoffFigures {
  readonly round: number;
  readonly hints: number;
  readonly mebibytes: number;
  readonly mebibytesPerSecond: number;
  readonly cpuSecondsPerGibibyte: number;
  readonly otherCores: number;
}

export interface ClusterFigures {
  readonly replications: readonly ReplicationFigures[];
  readonly handoffs: readonly HandoffFigures[];
}

/** Takes turns among the replications in every round; ends each round with a hand-off. */
export async function runCluster(options: ClusterRunOptions): Promise<ClusterFigures> {
  const replications: ReplicationFigures[] = [];
  const handoffs: HandoffFigures[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const replication of options.replications) {
      await untilQuiet(options.patienceMs);
      options.progress(`round ${round + 1} of ${options.rounds}: replication ${replication}`);
      replications.push(await measureReplication(options, replication, round));
    }
    await untilQuiet(options.patienceMs);
    options.progress(`round ${round + 1} of ${options.rounds}: hand-off`);
    handoffs.push(await measureHandoff(options, round));
  }
  return { replications, handoffs };
}

async function measureReplication(
  { dataset, connections }: ClusterRunOptions,
  replication: number,
  round: number,
): Promise<ReplicationFigures> {
  const cluster = await VarveCluster.start(replication);
  try {
    const cpuBefore = cluster.cpuSeconds();
    const others = watchOtherWork(() => cluster.cpuSeconds());
    const startMs = performance.now();
    const acknowledgeMs = await writeAll(cluster, dataset, cluster.nodes, connections);
    const seconds = (performance.now() - startMs) / 1000;
    await untilIdle(cluster);
    const cpuSeconds = cluster.cpuSeconds() - cpuBefore;
    const otherCores = others.cores();
    await checkRows(cluster, dataset);
    return {
      replication,
      round,
      lines: dataset.lines,
      linesPerSecond: dataset.lines / seconds,
      cpuSecondsPerMillionLines: (cpuSeconds / dataset.lines) * 1e6,
      acknowledgeMsMedian: acknowledgeMs,
      otherCores,
    };
  } finally {
    await cluster.stop();
  }
}

async function measureHandoff(
  { dataset, connections }: ClusterRunOptions,
  round: number,
): Promise<HandoffFigures> {
  const cluster = await VarveCluster.start(3);
  try {
    await cluster.stopNode('node-3');
    await writeAll(cluster, dataset, ['node-1', 'node-2'], connections);
    await untilIdle(cluster);
    const { count: hints, bytes } = await cluster.hints();
    const cpuBefore = cluster.cpuSeconds();
    const others = watchOtherWork(() => cluster.cpuSeconds());
    await cluster.startNode('node-3');
    const startMs = performance.now();
    while ((await cluster.hints()).count > 0) await sleep(20);
    const seconds = (performance.now() - startMs) / 1000;
    const mebibytes = bytes / 2 ** 20;
    const figures = {
      round,
      hints,
      mebibytes,
      mebibytesPerSecond: mebibytes / seconds,
      cpuSecondsPerGibibyte: ((cluster.cpuSeconds() - cpuBefore) / mebibytes) * 1024,
      otherCores: others.cores(),
    };
    await checkRows(cluster, dataset);
    return figures;
  } finally {
    await cluster.stop();
  }
}

/** Sends all bodies, dealt out among the nodes; answers the median time until a request was acknowledged. */
async function writeAll(
  cluster: VarveCluster,
  dataset: Dataset,
  nodes: readonly string[],
  connections: number,
): Promise<number> {
  const bodies = dataset.passes.flatMap((pass) => pass.bodies);
  const results = await Promise.all(
    nodes.map((node, index) => {
      const share: BodyPlace[] = bodies.filter((_, body) => body % nodes.length === index);
      return load(cluster.write(node), dataset, share, { connections });
    }),
  );
  return Math.max(...results.map(({ acknowledgeMs }) => acknowledgeMs.median));
}

const idleLooks = 5;
const idleLookMs = 200;

/** What goes on after the answers (the third owner's copy, hints) has ended when the nodes use no CPU to speak of. */
async function untilIdle(cluster: VarveCluster): Promise<void> {
  let idle = 0;
  while (idle < idleLooks) {
    const before = cluster.cpuSeconds();
    await sleep(idleLookMs);
    idle = cluster.cpuSeconds() - before <= 0.05 ? idle + 1 : 0;
  }
}

async function checkRows(cluster: VarveCluster, dataset: Dataset): Promise<void> {
  let rows = 0;
  for (const { name } of dataset.tables) rows += await cluster.rows(name);
  if (rows !== dataset.lines) throw new Error(`the cluster holds ${rows} rows; want ${dataset.lines}`);
}
