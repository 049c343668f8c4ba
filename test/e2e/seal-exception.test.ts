import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { clusterSecret } from '../support/peer-server.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  startTestProcess,
  type TestProcess,
} from '../support/server-process.js';

const db = 'plant';

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

/** Nothing closes by itself, and a node that is gone stays an owner of new groups. */
const startIngest = (node: string): Promise<TestProcess> =>
  start('ingest', [
    ...['--node-id', node, '--data-dir', join(folder, node), '--peer-port', '0'],
    ...['--window', '1h', '--deadline', '1h', '--late-delay', '1h', '--replication', '3'],
    ...['--node-silence-max', '1h'],
  ]);

/** Points first to last, long past. */
async function write(to: TestProcess, first: number, last: number, consistency: string): Promise<void> {
  const lines: string[] = [];
  for (let point = first; point <= last; point++)
    lines.push(`motor point=${point}i ${1_700_000_000 + point}000000000`);
  const response = await to.client.request('/api/v3/write_lp', {
    method: 'POST',
    query: { db, consistency },
    body: new TextEncoder().encode(lines.join('\n')),
  });
  await response.arrayBuffer();
}

async function points(querier: TestProcess, tier: string): Promise<number[]> {
  const rows = await queryRows(querier.client, db, 'SELECT point FROM motor ORDER BY point', { tier });
  return rows.map(({ point }) => Number(point));
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

/** Settles everything; asks again while groups wait. The test's own time limit ends it. */
async function settle(compactor: TestProcess): Promise<void> {
  const body = { db, before: new Date(Date.now() + 3_600_000).toISOString() };
  for (;;) {
    const answer = (await compactor.client.json('/api/v1/seal', { method: 'POST', body })) as {
      readonly waiting: readonly unknown[];
    };
    if (answer.waiting.length === 0) return;
    await sleep(100);
  }
}

/** `varve.seal-exception` of every snapshot in the tables' newest metadata files, as any reader of Iceberg finds it. */
function exceptionsInHistory(): string[] {
  const files = readdirSync(join(folder, 'objects'), { recursive: true, encoding: 'utf8' });
  const found = new Set<string>();
  for (const file of files.filter((name) => name.endsWith('.metadata.json'))) {
    const metadata = JSON.parse(readFileSync(join(folder, 'objects', file), 'utf8')) as {
      readonly snapshots?: readonly { readonly summary: Readonly<Record<string, string>> }[];
    };
    for (const { summary } of metadata.snapshots ?? []) {
      const exception = summary['varve.seal-exception'];
      if (exception !== undefined) found.add(exception);
    }
  }
  return [...found];
}

it('a group that a quorum sealed alone names in its snapshot who was not asked; that one comes back and makes no point anew', async () => {
  const one = await startIngest('node-1');
  await startIngest('node-2');
  const three = await startIngest('node-3');
  const compactor = await start('compactor', [
    ...['--lease-ttl', '1s', '--release-grace', '100ms', '--compact-interval', '100ms'],
    ...['--seal-patience', '1s'],
  ]);
  const querier = await start('query', ['--cache-dir', join(folder, 'cache')]);
  await write(one, 1, 10, 'all');
  await three.kill('SIGKILL');
  await write(one, 11, 20, 'quorum');
  await settle(compactor);
  expect(await points(querier, 'settled')).toEqual(upTo(20));
  expect(exceptionsInHistory()).toEqual([expect.stringContaining('shard 0 without node-3')]);
  const settled = (await compactor.client.json('/api/v1/settled', { query: { db } })) as {
    readonly exceptions: readonly { readonly exception: string }[];
  };
  expect(settled.exceptions).toMatchObject([{ exception: expect.stringContaining('without node-3') }]);

  // It is back, with copies of what history holds: they make no point anew.
  await startIngest('node-3');
  await settle(compactor);
  expect(await points(querier, 'settled')).toEqual(upTo(20));
  expect(await points(querier, 'all')).toEqual(upTo(20));
});
