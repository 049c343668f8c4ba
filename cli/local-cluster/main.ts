import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { errorMessage } from '../../core/std/errors.js';
import { DemoReport } from '../demo/report.js';
import { countFlag } from '../flags.js';
import { LocalCluster } from './local-cluster.js';
import { selfCheck } from './self-check.js';

interface LocalClusterFlags {
  readonly dataDir?: string;
  readonly nodes: number;
  readonly port: number;
  readonly window: string;
  readonly deadline: string;
  readonly exit: boolean;
}

async function main(flags: LocalClusterFlags): Promise<number> {
  const report = new DemoReport((text) => process.stdout.write(text));
  const isTemporary = flags.exit && flags.dataDir === undefined;
  const directory = isTemporary
    ? mkdtempSync(join(tmpdir(), 'varve-cluster-'))
    : resolve(flags.dataDir ?? 'data/cluster');
  report.step(`Starting ${flags.nodes} ingest nodes, a compactor and a querier`);
  const stopping = new AbortController();
  const interrupted = (): void => stopping.abort();
  process.on('SIGINT', interrupted);
  process.on('SIGTERM', interrupted);
  const cluster = await LocalCluster.start({
    directory,
    ingestNodes: flags.nodes,
    // Short spans in the check, so that a crash is noticed and things settle while one waits.
    ingestFlags: [
      ...['--window', flags.window, '--deadline', flags.deadline, '--late-delay', '10s'],
      ...['--heartbeat-interval', flags.exit ? '500ms' : '3s', '--replication', '3'],
    ],
    compactorFlags: flags.exit ? ['--release-grace', '1s'] : [],
    basePort: flags.port,
    onLog: (name, text) => process.stderr.write(text.replace(/^(?=.)/gm, `${name}: `)),
    onEnded: (name, status) => {
      const how = status === null ? 'was killed' : `ended with status ${status}`;
      report.line(
        `\n${name} ${how}; the others go on. Ctrl-C stops them; \`npm run cluster\` starts all again.`,
      );
    },
  });
  try {
    report.line(addresses(cluster, directory));
    const interruption = aborted(stopping.signal);
    if (flags.exit) return await Promise.race([check(cluster, report), interruption.then(() => 130)]);
    report.line(commands(cluster));
    await interruption;
    report.line('\nStopping all: requests under way finish, what was acknowledged is synced.');
    return 0;
  } finally {
    await cluster.stop();
    if (isTemporary) rmSync(directory, { recursive: true, force: true });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done());
  });
}

async function check(cluster: LocalCluster, report: DemoReport): Promise<number> {
  const clock = new SystemClock();
  try {
    await selfCheck({ cluster, report, nowMs: () => clock.nowMs(), sleep: (delayMs) => sleep(delayMs) });
  } catch (error) {
    report.check('every step ran to its end', [errorMessage(error)]);
  }
  report.line(`\n${report.checks - report.failures} of ${report.checks} checks held.`);
  return report.failures === 0 ? 0 : 1;
}

function addresses(cluster: LocalCluster, directory: string): string {
  const line = (name: string, does: string): string => {
    const { url, pid } = cluster.process(name);
    return `  ${name.padEnd(10)} ${url}  pid ${String(pid).padEnd(8)} ${does}`;
  };
  return [
    ...cluster.nodeNames.map((node) => line(node, 'takes writes')),
    line('compactor', 'settles; status, seal, nodes, drain'),
    line('query', 'answers SQL'),
    `  data in ${directory}`,
  ].join('\n');
}

function commands(cluster: LocalCluster): string {
  const [first = '', second = ''] = cluster.nodeNames;
  const url = (name: string): string => `--url ${cluster.process(name).url}`;
  return `
In another terminal:

  curl -s '${cluster.process(first).url}/api/v3/write_lp?db=metrics' --data-binary 'weather,city=Oslo temperature=-3.5'
  npm run -s varve -- sql ${url('query')} --db metrics "SELECT * FROM weather"
  npm run -s varve -- nodes ${url('compactor')}
  kill -9 ${cluster.process(second).pid}                              # a node crashes; write and ask again
  npm run -s varve -- settled ${url('compactor')} --db metrics
  npm run -s varve -- truncate-shards ${url('compactor')}
  npm run -s varve -- drain ${cluster.nodeNames.at(-1)} --wait ${url('compactor')}

Ctrl-C here stops all.`;
}

const program = new Command('cluster')
  .description(
    'Runs a cluster on this machine: ingest nodes, a compactor and a querier, each a process of its own.',
  )
  .option('--data-dir <path>', 'folder of everything (default: data/cluster; with --exit a temporary one)')
  .addOption(countFlag('--nodes <count>', 'ingest nodes', '3', 3, 9))
  .addOption(
    countFlag('--port <number>', 'port of the first node; the others 100 further each', '8086', 1, 60_000),
  )
  .option('--window <duration>', 'length of a window', '1m')
  .option('--deadline <duration>', 'grace after the end of a window', '15s')
  .option('--exit', 'check itself and stop; the exit status is 0 only if every check held', false);
program.parse();
try {
  process.exitCode = await main(program.opts<LocalClusterFlags>());
} catch (error) {
  process.stderr.write(`varve: ${errorMessage(error)}\n`);
  process.exitCode = 1;
}
process.exit();
