import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { errorMessage } from '../../core/std/errors.js';
import { ApiClient } from '../client/api-client.js';
import { terminalProgress } from '../client/progress.js';
import { freePort, startVarve } from '../varve-process.js';
import { runFileDemo } from './file-demo.js';
import { runLiveDemo } from './live-demo.js';
import { DemoReport } from './report.js';

/** Windows this short settle while one watches; a real server's are minutes long. */
const windowMs = 5000;
const database = 'demo';

interface DemoFlags {
  readonly exit: boolean;
  readonly file?: string;
  readonly seconds: string;
}

async function main(flags: DemoFlags): Promise<number> {
  const report = new DemoReport((text) => process.stdout.write(text));
  const clock = new SystemClock();
  const nowMs = (): number => clock.nowMs();
  const dataDir = mkdtempSync(join(tmpdir(), 'varve-demo-'));
  report.step('Starting varve serve on embedded stores');
  const port = await freePort(8086);
  const server = await startVarve({
    command: 'serve',
    flags: [
      ...['--data-dir', dataDir, '--port', String(port)],
      ...['--window', `${windowMs}ms`, '--deadline', '2s', '--late-delay', '2s', '--release-grace', '5s'],
    ],
  });
  report.line(`  ${server.url}, data in ${dataDir}`);
  const interrupted = (): void => {
    process.exitCode = 130;
    void server.stop().then(() => process.exit());
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  try {
    const client = new ApiClient({ url: server.url });
    const progress = terminalProgress(process.stdout, () => clock.monotonicMs());
    const shared = { client, database, report, progress, nowMs, sleep: (delayMs: number) => sleep(delayMs) };
    if (flags.file !== undefined) await runFileDemo({ ...shared, path: flags.file });
    else
      await runLiveDemo({ ...shared, collectMs: Number(flags.seconds) * 1000, sampleEveryMs: 500, windowMs });
  } catch (error) {
    report.check('every step ran to its end', [errorMessage(error)]);
  }
  report.line(`\n${report.checks - report.failures} of ${report.checks} checks held.`);
  if (flags.exit || report.failures > 0) {
    await server.stop();
    return report.failures === 0 ? 0 : 1;
  }
  report.line(nextSteps(server.url, flags.file));
  await server.ended;
  return 0;
}

function nextSteps(url: string, file: string | undefined): string {
  const table = file === undefined ? 'cpu' : 'YOUR_TABLE';
  return `
The server goes on running at ${url}. In another terminal:

  npm run -s varve -- sql --url ${url} --db ${database} "SHOW TABLES"
  npm run -s varve -- sql --url ${url} --db ${database} "SELECT * FROM ${table} ORDER BY time DESC LIMIT 5"
  npm run -s varve -- settled --url ${url} --db ${database}
  npm run -s varve -- verify --url ${url} --db ${database}
  curl -s '${url}/api/v3/query_sql?db=${database}&format=csv' --data-urlencode 'q=SELECT count(*) FROM ${table}' -G
  curl -s '${url}/api/v3/write_lp?db=${database}' --data-binary 'weather,city=Oslo temperature=-3.5'

Ctrl-C here stops it.`;
}

const program = new Command('demo')
  .description(
    "Shows Varve's main job on real input: this machine's own metrics, or a file of line protocol.",
  )
  .option('--exit', 'stop when done; the exit status is 0 only if every check held', false)
  .option('--file <path>', 'load this file of line protocol (.lp or .lp.gz) instead of live metrics')
  .option('--seconds <count>', 'how long live metrics are collected', '25');
program.parse();
process.exitCode = await main(program.opts<DemoFlags>());
process.exit();
