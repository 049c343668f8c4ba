// Run by stuck-engine.test.ts: gets engines stuck and says what becomes of them.
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';

const [dist, directory] = process.argv.slice(2);
const { SystemClock } = await import(join(dist, 'core/adapters/clock-system.js'));
const { WorkerEngine } = await import(join(dist, 'query/engine/worker-engine.js'));

const writer = await (await DuckDBInstance.create(':memory:')).connect();
async function fileSql(name, rows, startUs, stepUs) {
  const path = join(directory, `${name}.parquet`);
  await writer.run(
    `COPY (SELECT make_timestamptz(${startUs} + range * ${stepUs}) AS time, 'h' || (range % 7) AS host, range AS n,
       'point ' || range AS text FROM range(${rows})) TO '${path}'`,
  );
  return `SELECT make_timestamp(epoch_us("time")) AS time, host, n, text FROM read_parquet(['${path}'])`;
}
const grouped = (rows) =>
  `SELECT time, host, max(n) AS n, max(text) AS text FROM (${rows.join(' UNION ALL ')}) GROUP BY time, host`;
const same = 'ON large.time IS NOT DISTINCT FROM small.time AND large.host IS NOT DISTINCT FROM small.host';
const start = 5_000_000_000_000;
const large = await fileSql('large', 32_405, start, 16_000);
const small = [
  await fileSql('d', 230, start + 500_000_000, 130_000),
  await fileSql('e', 303, start + 510_000_000, 100_000),
  await fileSql('f', 835, start + 514_000_000, 45_000),
];
const first = [
  await fileSql('a', 8698, 0, 400_000_000),
  await fileSql('b', 1295, 100_000_000, 2_500_000_000),
  await fileSql('c', 1389, 10_000_000, 2_500_000_000),
];
const joined = (kind, overlay) =>
  `SELECT large.* FROM (${large}) AS large ${kind} JOIN (${overlay.join(' UNION ALL ')}) AS small ${same}`;
const stuckSql = [grouped(first), joined('ANTI', small), grouped([joined('SEMI', small.toReversed())])].join(
  '\nUNION ALL\n',
);

const stuckAfterMs = 1500;
const say = (text) => process.stdout.write(`${text}\n`);
const logged = new EventEmitter();
const engine = new WorkerEngine(
  {
    threads: 2,
    memoryBytesMax: 256 * 2 ** 20,
    spillDirectory: join(directory, 'spill'),
    spillBytesMax: 2 ** 30,
    settledDirectories: [directory],
    stuckAfterMs,
  },
  new SystemClock(),
  { error: (_facts, message) => logged.emit('error-line', message) },
);
const request = {
  explain: 'no',
  parameters: {},
  views: [],
  nowMicros: null,
  hotScans: [],
  format: 'csv',
  isGathered: false,
  heldBytesMax: 1e6,
};

/** Leaves the statement when it has come to its stop; one that was left on the way there ends as it should. */
async function getStuck(leaveAfterMs) {
  const abort = new AbortController();
  const line = once(logged, 'error-line');
  const answer = engine.execute({ ...request, sql: stuckSql }, abort.signal);
  setTimeout(() => abort.abort(Object.assign(new Error('left'), { kind: 'cancelled' })), leaveAfterMs);
  const kind = await answer.catch((error) => error.kind);
  const logLine = await Promise.race([line, sleep(stuckAfterMs + leaveAfterMs)]);
  if (logLine === undefined) return getStuck(leaveAfterMs * 2);
  say(`left: ${kind}`);
  say(`logged: ${logLine[0]}`);
}

await getStuck(1000);
let text = '';
for await (const piece of (await engine.execute({ ...request, sql: 'SELECT 1 AS a' })).body) {
  text += Buffer.from(piece).toString('utf8');
}
say(`answered: ${JSON.stringify(text).slice(1, -1)}`);
await getStuck(1000);
await engine
  .execute({ ...request, sql: 'SELECT 1 AS a' })
  .catch((error) => say(`refused: ${error.kind} ${error.message}`));
say('end');
