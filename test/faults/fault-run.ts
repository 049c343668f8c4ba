import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import type { Random } from '../../core/ports/random.js';
import { errorMessage } from '../../core/std/errors.js';
import { checkConvergence, type FinalCheck } from './convergence.js';
import { canMountVolumes, FaultCluster } from './fault-cluster.js';
import { type Fault, faultKinds, shuffled } from './fault-kinds.js';
import { Ledger } from './ledger.js';
import { database, Load } from './load.js';

/** How long and how hard. */
export interface FaultRunOptions {
  readonly seed: number;
  /** Faults are made for so long, each kind at least once. */
  readonly faultMs: number;
  readonly linesPerSecond: number;
  readonly writers: number;
  readonly linesAWrite: number;
  /** How long a fault lasts. */
  readonly lengthMs: readonly [least: number, most: number];
  /** Between two faults, for things to go on as they should. */
  readonly calmMs: number;
  readonly onStep?: (text: string) => void;
}

/** What a run did and found. */
export interface FaultRunReport {
  readonly options: FaultRunOptions;
  readonly seconds: number;
  /** How often each kind of fault was made. */
  readonly faults: Readonly<Record<string, number>>;
  readonly left: readonly string[];
  readonly writes: Record<string, Record<string, number>>;
  /** While the load went on. */
  readonly loadSeconds: number;
  readonly acknowledgedRows: number;
  readonly uncertainRows: number;
  readonly refusals: readonly (readonly [string, number])[];
  readonly reads: { readonly whole: number; readonly unavailable: number };
  /** Processes that ended by themselves, and how. */
  readonly ended: readonly string[];
  readonly final: FinalCheck;
  /** The most memory that a process held in its last life, in bytes; empty where it cannot be told. */
  readonly memoryBytesMax: Readonly<Record<string, number>>;
  /** Empty when everything held. */
  readonly problems: readonly string[];
}

const nodes = ['node-1', 'node-2', 'node-3'];

/** Starts a cluster, loads it, breaks it one way after the other, mends it, and holds what is left against what was said. */
export async function runFaults(options: FaultRunOptions): Promise<FaultRunReport> {
  const startedMs = Date.now();
  const random = new SeededRandom(options.seed);
  const cluster = await FaultCluster.start({
    nodes,
    queriers: ['query-1', 'query-2'],
    ingestFlags: [
      ...['--window', '20s', '--deadline', '2s', '--late-delay', '2s', '--replication', '3'],
      ...['--heartbeat-interval', '500ms', '--node-silence-max', '2s', '--write-timeout', '2s'],
      ...['--wal-segment-bytes', '4MiB', '--wal-bytes-max', '400MiB'],
    ],
    compactorFlags: [
      ...['--compact-interval', '200ms', '--release-grace', '500ms', '--lease-ttl', '1s'],
      ...['--seal-patience', '5s'],
    ],
    volumeBytes: canMountVolumes ? 512 * 2 ** 20 : null,
  });
  const ended: string[] = [];
  cluster.onEnded = (name, status, log) => ended.push(`${name} with status ${status}: ${log.slice(-600)}`);
  const ledger = new Ledger();
  try {
    await createDatabase(cluster);
    const load = new Load({ cluster, ledger, random: new SeededRandom(options.seed + 1), ...options });
    load.start();
    const loadedMs = Date.now();
    const faults = await breakThings(cluster, options, random);
    await sleep(options.calmMs);
    await load.stop();
    const loadSeconds = (Date.now() - loadedMs) / 1000;
    for (const node of cluster.nodes) if (!cluster.isRunning(node)) await cluster.startNode(node);
    options.onStep?.('healed; looking at what is left');
    const final = await checkConvergence(cluster, ledger, 300_000, options.onStep);
    return {
      options,
      seconds: (Date.now() - startedMs) / 1000,
      faults,
      left: faultKinds().left,
      writes: ledger.counts(),
      loadSeconds,
      acknowledgedRows: ledger.rows('acknowledged'),
      uncertainRows: ledger.rows('refused') + ledger.rows('unknown'),
      refusals: [...load.refusals].sort(([, left], [, right]) => right - left),
      reads: load.reads,
      ended,
      final,
      memoryBytesMax: cluster.memoryBytesMax(),
      problems: [...load.problems, ...final.problems],
    };
  } finally {
    await cluster.stop();
  }
}

async function createDatabase(cluster: FaultCluster): Promise<void> {
  await cluster.process('node-1').client.request('/api/v3/configure/database', {
    method: 'POST',
    body: {
      ...{ db: database, window: '20s', deadline: '2s', late_delay: '2s' },
      ...{ replication: 3, shards: 2, consistency: 'quorum' },
    },
  });
}

/** One fault after the other: all kinds in an order of chance, then again, until the time is up. */
async function breakThings(
  cluster: FaultCluster,
  options: FaultRunOptions,
  random: Random,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const startedMs = Date.now();
  let coming: Fault[] = [];
  for (let count = 0; ; count++) {
    const { kinds } = faultKinds();
    if (count >= kinds.length && Date.now() - startedMs >= options.faultMs) return counts;
    if (coming.length === 0) coming = shuffled(random, kinds);
    const fault = coming.shift();
    if (fault === undefined) return counts;
    await sleep(options.calmMs);
    const [least, most] = options.lengthMs;
    const lengthMs = least + random.next() * (most - least);
    options.onStep?.(`${fault.name}, ${Math.round(lengthMs)} ms`);
    const mend = await fault.apply(cluster, random);
    await sleep(lengthMs);
    await mend();
    for (const node of cluster.nodes) await startAgain(cluster, node, options);
    counts[fault.name] = (counts[fault.name] ?? 0) + 1;
  }
}

/** A process that gave up by itself is started again, as a supervisor would. */
async function startAgain(cluster: FaultCluster, node: string, { onStep }: FaultRunOptions): Promise<void> {
  if (cluster.isRunning(node)) return;
  await cluster.startNode(node).catch((error: unknown) => onStep?.(`${node}: ${errorMessage(error)}`));
}
