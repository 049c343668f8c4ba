import { Command, Option } from 'commander';
import {
  count,
  datasetOptionsOf,
  list,
  type PointFlags,
  publish,
  wait,
  withJsonFlag,
  withPointFlags,
} from './flags.js';
import { type Dataset, type DatasetOptions, makeDataset, tsbsStartMs } from './generate/dataset.js';
import { describeMachine, type Machine, machineText } from './measure/machine.js';
import { priceList } from './measure/price-list.js';
import { clusterReport } from './report/cluster-report.js';
import { costReport } from './report/cost-report.js';
import { growthReport } from './report/growth-report.js';
import { ingestReport } from './report/ingest-report.js';
import { queryReport } from './report/query-report.js';
import { underLoadReport } from './report/under-load-report.js';
import { runCluster } from './runs/cluster.js';
import { runCost } from './runs/cost.js';
import { growthShapes, runGrowth } from './runs/growth.js';
import { type IngestFigures, runIngest } from './runs/ingest.js';
import { progressToStderr as progress } from './runs/progress.js';
import { type QueryFigures, type QueryState, queryStates, runQuery } from './runs/query.js';
import { runUnderLoad, underLoadShapes } from './runs/under-load.js';
import { duckdbVersion } from './systems/sorted-parquet.js';
import type { Keeping } from './systems/system.js';
import { type Lineup, lineupOf } from './systems/systems.js';

/** The benchmarks: `npm run bench -- <command>`. docs/benchmarks.md tells what the figures mean. */

interface SystemFlags {
  readonly systems: string;
  readonly connections: number;
  readonly rounds: number;
  readonly json?: string;
  /** Minutes. */
  readonly patience: number;
}

function withSystemFlags(command: Command, systems: string): Command {
  return withJsonFlag(command)
    .option('--systems <names>', 'all, or some of varve,influxdb,victoria-metrics,sorted-parquet', systems)
    .option('--patience <minutes>', 'wait so long before each turn for a quiet machine', wait, 1)
    .option('--connections <count>', 'connections of the client', count, 4)
    .option('--rounds <count>', 'repetitions; systems take turns in each', count, 3);
}

type IngestFlags = PointFlags & SystemFlags & { readonly keep: Keeping; readonly mode: 'backfill' | 'live' };

const ingest = withSystemFlags(withPointFlags(new Command('ingest')), 'varve')
  .description('lines a second acknowledged and until settled, CPU, memory, bytes on disk')
  .addOption(
    new Option('--keep <how>', 'in-flux: nothing closes while lines come in (Varve only)')
      .choices(['default', 'in-flux'])
      .default('default')
      .argParser((text) => (text === 'in-flux' ? 'in flux' : 'default')),
  )
  .addOption(
    new Option(
      '--mode <mode>',
      'backfill: points of 2016; live: points of the last minutes, into open windows',
    )
      .choices(['backfill', 'live'])
      .default('backfill'),
  )
  .action(async (flags: IngestFlags) => {
    const start = begin(flags.systems);
    const figures = await ingestFigures(flags, start.lineup);
    publish(
      flags.json,
      { ...start.facts, flags, ingest: figures },
      `${start.text}\n\n${ingestReport(figures)}`,
    );
  });

type QueryFlags = PointFlags &
  SystemFlags & { readonly states: string; readonly shapes: string; readonly questions: number };

function withQueryFlags(command: Command, states: string): Command {
  return command
    .option('--states <states>', 'some of hot,mixed,settled', states)
    .option('--shapes <names>', 'shapes to ask; all by default', '')
    .option('--questions <count>', 'timed questions a shape and round; a third for heavy shapes', count, 30);
}

const query = withQueryFlags(
  withSystemFlags(withPointFlags(new Command('query')), 'varve'),
  queryStates.join(','),
)
  .description('latency of the TSBS shapes while points are hot, settled, or half and half')
  .action(async (flags: QueryFlags) => {
    const start = begin(flags.systems);
    const figures = await queryFigures(flags, start.lineup);
    publish(
      flags.json,
      { ...start.facts, flags, query: figures },
      `${start.text}\n\n${queryReport(figures)}`,
    );
  });

const peers = withQueryFlags(withSystemFlags(withPointFlags(new Command('peers')), 'all'), 'settled')
  .description('ingest and query of Varve and every peer that is installed, side by side')
  .action(async (flags: QueryFlags & IngestFlags) => {
    const start = begin(flags.systems);
    const ingested = await ingestFigures({ ...flags, keep: 'default', mode: 'backfill' }, start.lineup);
    const queried = await queryFigures(flags, start.lineup);
    publish(
      flags.json,
      { ...start.facts, flags, ingest: ingested, query: queried },
      `${start.text}\n\n${ingestReport(ingested)}\n\n${queryReport(queried)}`,
    );
  });

const mixed = withSystemFlags(withPointFlags(new Command('mixed')), 'varve')
  .description('query latency while lines come in at a share of what the system takes')
  .option('--share <percent>', 'percent of the lines a second that it takes', count, 50)
  .option('--probe <lines>', 'lines sent to find out how many it takes', count, 2_000_000)
  .option('--shapes <names>', 'shapes to ask', underLoadShapes.join(','))
  .option('--questions <count>', 'timed questions a shape', count, 100)
  .action(
    async (
      flags: PointFlags & SystemFlags & { share: number; probe: number; shapes: string; questions: number },
    ) => {
      const start = begin(flags.systems);
      const dataset = await makeDataset(datasetOptionsOf(flags));
      try {
        const results = await runUnderLoad({
          dataset,
          systems: start.lineup.servers,
          shapes: list(flags.shapes),
          questionsPerShape: flags.questions,
          connections: flags.connections,
          probeLines: flags.probe,
          share: flags.share / 100,
          settleDownMs: 3000,
          patienceMs: flags.patience * 60_000,
          progress,
        });
        publish(
          flags.json,
          { ...start.facts, flags, mixed: results },
          `${start.text}\n\n${underLoadReport(results)}`,
        );
      } finally {
        await dataset.dispose();
      }
    },
  );

const growth = withJsonFlag(withPointFlags(new Command('growth')))
  .description('the same questions over ever longer history and ever more tables')
  .option('--scales <list>', 'how many times as long', '1,10,100')
  .option('--tables <list>', 'how many tables', '8,64')
  .option('--shapes <names>', 'shapes to ask', growthShapes.join(','))
  .option('--questions <count>', 'timed questions a shape; a third for heavy shapes', count, 60)
  .option('--patience <minutes>', 'wait so long before each size for a quiet machine', wait, 1)
  .action(
    async (
      flags: PointFlags & {
        scales: string;
        tables: string;
        shapes: string;
        questions: number;
        patience: number;
        json?: string;
      },
    ) => {
      const start = begin('varve');
      const { hosts, steps, kind, seed } = flags;
      const figures = await runGrowth({
        base: { hosts, steps, kind, seed, startMs: tsbsStartMs, stepMs: 10_000 },
        scales: list(flags.scales).map(count),
        tableCounts: list(flags.tables).map(count),
        shapes: list(flags.shapes),
        questionsPerShape: flags.questions,
        patienceMs: flags.patience * 60_000,
        progress,
      });
      publish(
        flags.json,
        { ...start.facts, flags, growth: figures },
        `${start.text}\n\n${growthReport(figures)}`,
      );
    },
  );

const cluster = withJsonFlag(withPointFlags(new Command('cluster'), 1000, 1000))
  .description(
    'lines a second on three nodes with 1, 2 and 3 owners a shard, and how fast hints are handed over',
  )
  .option('--replications <list>', 'owners a shard', '1,2,3')
  .option('--rounds <count>', 'repetitions; replications take turns in each', count, 2)
  .option('--connections <count>', 'connections to each node', count, 2)
  .option('--patience <minutes>', 'wait so long before each turn for a quiet machine', wait, 1)
  .action(
    async (
      flags: PointFlags & {
        replications: string;
        rounds: number;
        connections: number;
        patience: number;
        json?: string;
      },
    ) => {
      const start = begin('varve');
      const dataset = await makeDataset(datasetOptionsOf(flags));
      try {
        const figures = await runCluster({
          dataset,
          replications: list(flags.replications).map(count),
          rounds: flags.rounds,
          connections: flags.connections,
          patienceMs: flags.patience * 60_000,
          progress,
        });
        publish(
          flags.json,
          { ...start.facts, flags, cluster: figures },
          `${start.text}\n\n${clusterReport(figures)}`,
        );
      } finally {
        await dataset.dispose();
      }
    },
  );

const cost = withJsonFlag(new Command('cost'))
  .description('requests, bytes and dollars on S3 and DynamoDB, by the length of windows; on emulators')
  .option('--hosts <count>', 'hosts: one point each every 10 s', count, 1000)
  .option('--hours <count>', 'simulated hours for each length; a day is extrapolated', count, 2)
  .option('--windows <minutes>', 'lengths of windows', '10,1,60')
  .action(async (flags: { hosts: number; hours: number; windows: string; json?: string }) => {
    const start = begin('varve');
    const windowsMs = list(flags.windows).map((minutes) => count(minutes) * 60_000);
    const figures = await runCost({ hosts: flags.hosts, hours: flags.hours, windowsMs, progress });
    publish(
      flags.json,
      { ...start.facts, flags, prices: priceList, cost: figures },
      `${start.text}\n\n${costReport(figures, priceList)}`,
    );
  });

const machine = new Command('machine')
  .description('names this machine and the systems installed on it')
  .action(async () => {
    process.stdout.write(`${begin('all').text}\n${await duckdbVersion()}\n`);
  });

interface Beginning {
  readonly lineup: Lineup;
  readonly facts: { readonly machine: Machine; readonly versions: readonly string[] };
  readonly text: string;
}

function begin(systems: string): Beginning {
  const lineup = lineupOf(systems);
  const facts = {
    machine: describeMachine(),
    versions: lineup.servers.map((system) => system.version() ?? ''),
  };
  const missing = lineup.missing.map((name) => `${name}: not installed, left out`);
  const durable = lineup.servers.map(
    ({ name, acknowledged }) => `${name}: what is acknowledged is ${acknowledged}`,
  );
  const text = [machineText(facts.machine), facts.versions.join(', '), ...durable, ...missing].join('\n');
  return { lineup, facts, text };
}

async function ingestFigures(flags: IngestFlags, lineup: Lineup): Promise<IngestFigures[]> {
  let kept: Dataset | undefined;
  const datasetOf = async (): Promise<Dataset> => {
    if (kept !== undefined && flags.mode === 'backfill') return kept;
    await kept?.dispose();
    progress('writing points');
    kept = await makeDataset(flags.mode === 'live' ? liveOptions(flags) : datasetOptionsOf(flags));
    return kept;
  };
  try {
    return await runIngest({
      datasetOf,
      systems: lineup.servers,
      rounds: flags.rounds,
      connections: flags.connections,
      patienceMs: flags.patience * 60_000,
      keeping: flags.keep,
      progress,
    });
  } finally {
    await kept?.dispose();
  }
}

/** All points within windows that are open by default: of ten minutes, open for five more. */
function liveOptions(flags: PointFlags): DatasetOptions {
  const spanMs = 8 * 60_000;
  const stepMs = Math.max(1, Math.floor(spanMs / flags.steps));
  const startMs = Math.floor((Date.now() - stepMs * flags.steps) / 1000) * 1000;
  return datasetOptionsOf(flags, { startMs, stepMs });
}

async function queryFigures(flags: QueryFlags, lineup: Lineup): Promise<QueryFigures[]> {
  progress('writing points');
  const dataset = await makeDataset(datasetOptionsOf({ ...flags, shape: 'cpu-only' }));
  try {
    return await runQuery({
      dataset,
      lineup,
      states: list(flags.states).map(stateOf),
      shapes: list(flags.shapes),
      rounds: flags.rounds,
      questionsPerRound: flags.questions,
      patienceMs: flags.patience * 60_000,
      connections: flags.connections,
      progress,
    });
  } finally {
    await dataset.dispose();
  }
}

function stateOf(text: string): QueryState {
  const state = queryStates.find((candidate) => candidate === text);
  if (state === undefined) throw new Error(`states: got "${text}"; want some of ${queryStates.join(', ')}`);
  return state;
}

await new Command('bench')
  .description(
    'Measures Varve, and peers beside it, on this machine. Load goes to loopback only and ends by itself.',
  )
  .addCommand(ingest)
  .addCommand(query)
  .addCommand(mixed)
  .addCommand(peers)
  .addCommand(growth)
  .addCommand(cluster)
  .addCommand(cost)
  .addCommand(machine)
  .parseAsync();
