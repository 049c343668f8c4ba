import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiError } from '../../cli/client/api-client.js';
import { runCommand } from '../support/command.js';
import { clusterSecret } from '../support/peer-server.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  startTestProcess,
  type TestProcess,
  writeLines,
} from '../support/server-process.js';

const db = 'plant';
/** Late groups close by themselves, windows when the tests say so. Both nodes own every shard. */
const spans = ['--window', '1h', '--deadline', '1h', '--late-delay', '200ms', '--replication', '2'];

let folder = '';
let running: TestProcess[] = [];

beforeEach(() => {
  folder = makeDataDir();
  running = [];
  writeFileSync(join(folder, 'secret'), `${clusterSecret}\n`);
});
afterEach(async () => {
  for (const each of running) await each.kill('SIGKILL');
  removeDataDir(folder);
});

async function start(
  command: 'ingest' | 'compactor' | 'query',
  more: readonly string[],
): Promise<TestProcess> {
  const shared = [
    ...['--meta-store', `lmdb:${join(folder, 'meta')}`, '--cluster-secret-file', join(folder, 'secret')],
    ...(command === 'ingest' ? [] : ['--object-store', `file:${join(folder, 'objects')}`]),
    ...['--log-level', 'error'],
  ];
  const started = await startTestProcess({ command, flags: [...shared, ...more] });
  running.push(started);
  return started;
}

const startIngest = (node: string): Promise<TestProcess> =>
  start('ingest', [
    ...['--node-id', node, '--data-dir', join(folder, node), '--peer-port', '0'],
    ...['--heartbeat-interval', '200ms', ...spans],
  ]);
const startCompactor = (): Promise<TestProcess> =>
  start('compactor', ['--lease-ttl', '1s', '--release-grace', '100ms', '--compact-interval', '100ms']);

/** Runs a command against a process; its output, or what it complained of. */
async function varve(at: TestProcess, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runCommand([...args, '--url', at.url]);
  return status === 0 ? stdout.trim() : stderr.trim();
}

async function stateOf(at: TestProcess, node: string): Promise<string | undefined> {
  const { nodes } = JSON.parse(await varve(at, 'nodes', '--json')) as {
    nodes: { node: string; state: string }[];
  };
  return nodes.find((row) => row.node === node)?.state;
}

/** Asks until the answer is the one wanted; the test's own time limit ends it. */
async function until<Answer>(
  ask: () => Promise<Answer>,
  wanted: (answer: Answer) => boolean,
): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('the operator of a cluster', () => {
  it('drains a node: it says that it is not ready, and ends by itself when what it held is settled', async () => {
    const [first, second, compactor] = await Promise.all([
      startIngest('node-1'),
      startIngest('node-2'),
      startCompactor(),
    ]);
    const querier = await start('query', ['--cache-dir', join(folder, 'cache')]);
    const timeNs = BigInt(Date.now()) * 1_000_000n;
    await writeLines(first.client, db, `motor,m=a v=1 ${timeNs}\nmotor,m=a v=2 1700000000000000000`);
    expect(await varve(compactor, 'nodes')).toMatch(
      /^node +state +epoch.*\nnode-1 +live +1 .*\nnode-2 +live +1 /,
    );

    expect(await varve(compactor, 'drain', 'node-1')).toMatch(/^node node-1 is draining; it owns \d+ groups/);
    const notReady = await until(
      () => first.client.json('/ready').catch((error: unknown) => error),
      (answer) => answer instanceof ApiError,
    );
    expect(notReady).toMatchObject({ status: 503, message: expect.stringContaining('node-1 is drained') });
    expect(await varve(second, 'drain', 'node-2')).toContain('no other node is live');

    // The window would hold it for two hours more.
    const cut = JSON.parse(await varve(compactor, 'truncate-shards', '--db', db)) as {
      databases: { groups: { owners: string[]; untold: string[] }[] }[];
    };
    expect(cut.databases).toMatchObject([{ database: db }]);
    expect(await varve(compactor, 'drain', 'node-1', '--wait')).toContain('node node-1 has left');
    expect(await first.ended).toEqual({ status: 0, signal: null });
    expect(await stateOf(compactor, 'node-1')).toBe('left');
    expect(
      await queryRows(querier.client, db, 'SELECT v FROM motor ORDER BY v', { tier: 'settled' }),
    ).toEqual([{ v: 1 }, { v: 2 }]);
    // One node is no quorum of the two owners that the database wants.
    await second.client.request('/api/v3/write_lp', {
      method: 'POST',
      query: { db, consistency: 'one' },
      body: new TextEncoder().encode(`motor,m=b v=3 ${timeNs + 1n}`),
    });
    const counted = await queryRows(querier.client, db, 'SELECT count(*) AS n FROM motor', {
      consistency: 'one',
    });
    expect(counted).toEqual([{ n: 3 }]);
  });

  it('declares a node lost only when told to be sure, and when it has been silent', async () => {
    const [first, second] = await Promise.all([startIngest('node-1'), startIngest('node-2')]);
    await writeLines(first.client, db, 'motor,m=a v=1 1700000000000000000');
    expect(await varve(second, 'nodes', 'forget', 'node-1')).toMatch(
      /forget node-1: it owns \d groups in flux.*want --yes/i,
    );
    expect(await varve(second, 'nodes', 'forget', 'node-1', '--yes')).toContain('it was heard of');
    expect(await varve(second, 'nodes', 'forget', 'node-9')).toContain('want one of node-1, node-2');
    expect(await stateOf(second, 'node-1')).toBe('live');
  });
});
