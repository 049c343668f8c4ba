// `npm run localstack:native`: MiniStack (S3 and DynamoDB on this machine) and a cluster of varve on it (three ingest nodes, a
// compactor, a querier), without Docker and without an account. Everything listens on 127.0.0.1 and is gone with Ctrl-C; nothing is kept.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeBucketAndTable } from './make-stores.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const ministackVersion = '1.5.33';
const { values: flags } = parseArgs({
  options: {
    /** Where the processes listen: MiniStack here, the others in the eight ports above it. */
    'first-port': { type: 'string', default: '4566' },
    /** Write, settle, ask and verify, then end: shows that it works. */
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log('npm run localstack:native [-- --first-port 4566] [--check]');
  process.exit(0);
}

const children = [];
let stopping = false;
const work = mkdtempSync(join(tmpdir(), 'varve-native-'));
const first = Number(flags['first-port']);
if (!Number.isInteger(first) || first < 1 || first > 65_000)
  await fail(`--first-port: got "${flags['first-port']}"; want a port up to 65000`);
const isUsual = first === 4566;
const nodes = [1, 2, 3].map((number) => ({
  name: `node-${number}`,
  port: isUsual ? 8086 + 100 * (number - 1) : first + 2 * number - 1,
  peerPort: isUsual ? 8087 + 100 * (number - 1) : first + 2 * number,
}));
const ports = {
  ministack: first,
  ingest: nodes[0].port,
  compactor: isUsual ? 8088 : first + 7,
  query: isUsual ? 8089 : first + 8,
};
const endpoint = `http://127.0.0.1:${ports.ministack}`;
const urlOf = (name) => `http://127.0.0.1:${ports[name]}`;
const bucket = 'varve';
const table = 'varve';
const aws = {
  AWS_ENDPOINT_URL: endpoint,
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
};

process.on('SIGINT', () => stop(0));
process.on('SIGTERM', () => stop(0));

try {
  await startMiniStack();
  await makeBucketAndTable({ endpoint, bucket, table, region: aws.AWS_REGION });
  await startVarve();
  printWhatToTry();
  if (flags.check) await check();
} catch (error) {
  await fail(error instanceof Error ? error.message : String(error));
}

/** Installs MiniStack into a virtual environment of its own, once, and starts it. */
async function startMiniStack() {
  const folder = join(root, '.venv', 'ministack');
  const scripts = join(folder, process.platform === 'win32' ? 'Scripts' : 'bin');
  const program = join(scripts, process.platform === 'win32' ? 'ministack.exe' : 'ministack');
  if (!existsSync(program)) {
    const python = ['python3', 'python'].find((name) => spawnSync(name, ['--version']).status === 0);
    if (python === undefined)
      return fail('MiniStack needs Python 3.10 or newer; got neither python3 nor python');
    console.log(`installing MiniStack ${ministackVersion} into .venv/ministack (once)`);
    mkdirSync(dirname(folder), { recursive: true });
    runOnce(python, ['-m', 'venv', folder]);
    runOnce(join(scripts, 'python'), ['-m', 'pip', 'install', '--quiet', `ministack==${ministackVersion}`]);
  }
  await start('MiniStack', program, [], {
    BIND_HOST: '127.0.0.1',
    GATEWAY_PORT: String(ports.ministack),
    SERVICES: 's3,dynamodb',
    LOG_LEVEL: 'WARNING',
  });
  await untilAnswers('MiniStack', `${endpoint}/_localstack/health`);
}

async function startVarve() {
  const secret = join(work, 'cluster-secret');
  writeFileSync(secret, randomBytes(32).toString('hex'), { mode: 0o600 });
  const shared = [
    '--cluster-secret-file',
    secret,
    '--meta-store',
    `dynamodb://${table}`,
    '--log-level',
    'warn',
  ];
  const history = ['--object-store', `s3://${bucket}/history`];
  // One after the other: a node that starts finds those before it.
  for (const { name, port, peerPort } of nodes)
    await startProcess(name, 'ingest', port, [
      ...shared,
      ...['--node-id', name, '--data-dir', join(work, name), '--replication', String(nodes.length)],
      ...['--peer-port', String(peerPort), '--advertise', `http://127.0.0.1:${peerPort}`],
      // Short spans: what is written settles while you watch.
      ...['--window', '30s', '--deadline', '5s', '--late-delay', '5s'],
    ]);
  await startProcess('compactor', 'compactor', ports.compactor, [...shared, ...history]);
  const cache = ['--cache-dir', join(work, 'cache')];
  await startProcess('query', 'query', ports.query, [...shared, ...history, ...cache]);
}

async function startProcess(name, command, port, own) {
  const main = join(root, 'dist', 'cli', 'main.js');
  await start(`varve ${name}`, process.execPath, [main, command, '--port', String(port), ...own], aws);
  await untilAnswers(`varve ${name}`, `http://127.0.0.1:${port}/ready`);
}

function printWhatToTry() {
  console.log(`
MiniStack   ${endpoint}   S3 and DynamoDB: bucket ${bucket}, table ${table}
${nodes.map(({ name, port }) => `${name}      http://127.0.0.1:${port}   writes, of Telegraf too`).join('\n')}
compactor   ${urlOf('compactor')}   settled, seal, compact, verify
query       ${urlOf('query')}   SQL

Try, in another terminal:
  npm run -s varve -- write --url ${urlOf('ingest')} --db metrics points.lp
  curl '${urlOf('ingest')}/api/v3/write_lp?db=metrics' --data-binary 'weather,city=Oslo temperature=-3.5'
  npm run -s varve -- sql --url ${urlOf('query')} --db metrics "SELECT * FROM weather"
  npm run -s varve -- nodes --url ${urlOf('ingest')}
  npm run -s varve -- settled --url ${urlOf('compactor')} --db metrics
  npm run -s varve -- verify --url ${urlOf('compactor')} --db metrics

Each point has a copy on each of the three nodes. Windows of 30 s settle 5 s after their end. Ctrl-C ends everything; nothing is kept.`);
}

/** The whole way once: write, see it in flux, settle it, see it settled, verify it. */
async function check() {
  const lines = Array.from(
    { length: 1000 },
    (_, index) => `weather,city=c${index % 10} temperature=${index} ${index + 1}`,
  );
  const { nodes: known } = await answer(`${urlOf('ingest')}/api/v1/nodes`);
  expectEqual(
    'nodes',
    known.map(({ node, state }) => `${node} ${state}`).sort(),
    nodes.map(({ name }) => `${name} live`),
  );
  // Acknowledged once every owner has it.
  const write = `${urlOf('ingest')}/api/v3/write_lp?db=metrics&precision=second&consistency=all`;
  await answer(write, lines.join('\n'));
  for (const { name, port } of nodes) expectEqual(`points on ${name}`, await hotRows(port), 1000);
  const sql = 'SELECT count(*) AS points, sum(temperature) AS total FROM weather';
  const ask = (tier) =>
    answer(`${urlOf('query')}/api/v3/query_sql?db=metrics&tier=${tier}&q=${encodeURIComponent(sql)}`);
  expectEqual('points in flux', await ask('all'), [{ points: 1000, total: 499_500 }]);
  const sealed = await answer(`${urlOf('compactor')}/api/v1/seal`, {
    db: 'metrics',
    before: new Date().toISOString(),
  });
  expectEqual('groups that wait', sealed.waiting, []);
  expectEqual('settled points', await ask('settled'), [{ points: 1000, total: 499_500 }]);
  const verified = await answer(`${urlOf('compactor')}/api/v1/verify?db=metrics`);
  expectEqual('what differs', verified.differences, []);
  console.log(
    `\nchecked: 1000 points written to ${nodes.length} nodes, queried in flux, settled into ${verified.files} file(s), queried again and verified`,
  );
  await stop(0);
}

/** How many points a node holds in flux, by its own metrics. */
async function hotRows(port) {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const counts = [...text.matchAll(/^varve_hot_rows(?:\{[^}]*\})? (\S+)$/gm)].map(([, count]) =>
    Number(count),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

async function answer(url, body) {
  const request =
    body === undefined
      ? {}
      : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) };
  if (typeof body === 'object') request.headers = { 'content-type': 'application/json' };
  const response = await fetch(url, request);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: got ${response.status} ${text}; want success`);
  return text === '' ? undefined : JSON.parse(text);
}

function expectEqual(what, got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want))
    throw new Error(`${what}: got ${JSON.stringify(got)}; want ${JSON.stringify(want)}`);
}

async function start(name, program, args, environment) {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
    // Ctrl-C on a terminal reaches all processes of the group: they are ended in their order instead.
    detached: process.platform !== 'win32',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      output = (output + text).slice(-4000);
    });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.once('error', (error) => fail(`${name} did not start: ${error.message}`));
  child.once('exit', (status) => {
    if (!stopping) fail(`${name} ended with status ${status}:\n${output}`);
  });
  children.push({ name, child, ended });
}

async function untilAnswers(name, url) {
  for (let tries = 0; tries < 240 && !stopping; tries++) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    await sleep(250);
  }
  if (!stopping) throw new Error(`${name} does not answer at ${url} after a minute`);
}

function runOnce(command, args) {
  if (spawnSync(command, args, { stdio: 'inherit' }).status !== 0)
    fail(`"${[command, ...args].join(' ')}" failed; MiniStack needs Python 3.10 or newer with venv and pip`);
}

async function fail(message) {
  if (stopping) return;
  console.error(`localstack:native: ${message}`);
  await stop(1);
}

/** Ends the processes in the reverse order of their start, so that each can still reach its stores. */
async function stop(status) {
  if (stopping) process.exit(130);
  stopping = true;
  for (const { child, ended } of children.reverse()) {
    if (child.exitCode !== null) continue;
    child.kill('SIGTERM');
    const timer = globalThis.setTimeout(() => child.kill('SIGKILL'), 15_000);
    await ended;
    clearTimeout(timer);
  }
  rmSync(work, { recursive: true, force: true });
  process.exit(status);
}
