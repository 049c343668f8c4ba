import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from '../support/command.js';
import { clusterSecret } from '../support/peer-server.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  startTestProcess,
  type TestProcess,
} from '../support/server-process.js';

const db = 'plant';
const names = ['node-1', 'node-2', 'node-3'] as const;

let folder = '';
let running: TestProcess[] = [];
let nodes: TestProcess[] = [];
let querier: TestProcess;

beforeEach(async () => {
  folder = makeDataDir();
  running = [];
  writeFileSync(join(folder, 'secret'), `${clusterSecret}\n`);
  nodes = [];
  for (const name of names) nodes.push(await startIngest(name));
  // Shorter than a peer is waited for: a query that waits for an owner that is stopped fails.
  const limits = ['--query-timeout', '15s'];
  querier = await start('query', ['--cache-dir', join(folder, 'cache'), ...limits]);
});
afterEach(async () => {
  for (const each of running) await each.kill('SIGKILL');
  removeDataDir(folder);
});

async function start(command: 'ingest' | 'query', more: readonly string[]): Promise<TestProcess> {
  const shared = [
    ...['--meta-store', `lmdb:${join(folder, 'meta')}`, '--cluster-secret-file', join(folder, 'secret')],
    ...(command === 'ingest' ? [] : ['--object-store', `file:${join(folder, 'objects')}`]),
    ...['--log-level', 'error'],
  ];
  const started = await startTestProcess({ command, flags: [...shared, ...more] });
  running.push(started);
  return started;
}

/** Nothing closes by itself, and a node that is gone stays an owner. */
const startIngest = (node: string): Promise<TestProcess> =>
  start('ingest', [
    ...['--node-id', node, '--data-dir', join(folder, node), '--peer-port', '0'],
    ...['--window', '1h', '--deadline', '1h', '--late-delay', '1h', '--replication', '3'],
    ...['--write-timeout', '2s', '--node-silence-max', '1h'],
  ]);

/** Writes points first to last, long past, through a node. */
async function write(
  through: number,
  first: number,
  last: number,
  consistency: string,
  value = 1,
): Promise<void> {
  const lines = Array.from({ length: last - first + 1 }, (_, index) => {
    const point = first + index;
    return `motor,machine=m${point % 5} point=${point}i,value=${value} ${1_700_000_000 + point}000000000`;
  });
  await nodes[through]?.client
    .request('/api/v3/write_lp', {
      method: 'POST',
      query: { db, consistency },
      body: new TextEncoder().encode(lines.join('\n')),
    })
    .then((response) => response.arrayBuffer());
}

async function points(more: Readonly<Record<string, string>> = {}): Promise<number[]> {
  const rows = await queryRows(querier.client, db, 'SELECT point FROM motor ORDER BY point', more);
  return rows.map(({ point }) => Number(point));
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

describe('a querier over three owners', () => {
  it('answers without waiting for an owner that is stopped, whichever it is, and misses nothing', async () => {
    await write(0, 1, 50, 'all');
    let last = 50;
    for (const [index, node] of nodes.entries()) {
      process.kill(node.pid, 'SIGSTOP');
      // One owner may not have what the others took while it was stopped; what all took it has.
      const atOne = await points({ consistency: 'one' });
      expect(atOne).toEqual(expect.arrayContaining(upTo(50)));
      expect(upTo(last)).toEqual(expect.arrayContaining(atOne));
      for (let round = 0; round < 3; round++) {
        await write((index + 1) % 3, last + 1, last + 10, 'quorum');
        last += 10;
        expect(await points()).toEqual(upTo(last));
      }
      process.kill(node.pid, 'SIGCONT');
      expect(await points()).toEqual(upTo(last));
    }
  });

  it('finds what a quorum acknowledged after another owner than the one that missed it is gone', async () => {
    await write(0, 1, 10, 'all');
    await nodes[2]?.kill('SIGKILL');
    await write(0, 11, 20, 'quorum');
    nodes[2] = await startIngest('node-3');
    await nodes[0]?.kill('SIGKILL');
    expect(await points()).toEqual(upTo(20));
  });

  it('says what it cannot read, or answers without it when it may', async () => {
    await write(0, 1, 10, 'all');
    await nodes[1]?.kill('SIGKILL');
    await nodes[2]?.kill('SIGKILL');
    await expect(points()).rejects.toMatchObject({
      status: 503,
      message: expect.stringMatching(
        /shard 0 of group l\d{12}.*it needs 2 of its owners .*node node-[23] at http.*cannot be reached/,
      ),
    });
    expect(await points({ consistency: 'one' })).toEqual(upTo(10));
    const sql = 'SELECT point FROM motor';
    const partial = await querier.client.request('/api/v3/query_sql', {
      query: { db, q: sql, allow_partial: 'true' },
    });
    expect(partial.headers.get('varve-incomplete')).toMatch(/^l\d{12}\/0$/);
    expect(partial.headers.get('etag')).toBeNull();
    expect(await partial.json()).toEqual([]);

    const flags = ['--db', db, '--url', querier.url, '--format', 'csv'];
    const refused = await runCommand(['sql', ...flags, sql]);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain('it needs 2 of its owners');
    const warned = await runCommand(['sql', ...flags, '--allow-partial', sql]);
    expect(warned).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/^warning: the answer is incomplete, without l\d{12}\/0\n$/),
    });
    const one = await runCommand(['sql', ...flags, '--consistency', 'one', sql]);
    expect(one).toMatchObject({ status: 0, stderr: '' });
    expect(one.stdout.trim().split('\n')).toHaveLength(11);
  });

  it('lists who wrote different values for one field', async () => {
    await write(0, 1, 3, 'all', 1);
    await write(1, 2, 2, 'all', 2);
    await nodes[2]?.kill('SIGKILL');
    const sql = 'SELECT table_name, series, time, field, values, origins, shard FROM varve.conflicts';
    expect(await queryRows(querier.client, db, sql)).toEqual([
      {
        table_name: 'motor',
        series: '{"machine":"m2"}',
        time: '2023-11-14T22:13:22Z',
        field: 'value',
        values: ['2.0', '1.0'],
        origins: ['node-2', 'node-1'],
        shard: 0,
      },
    ]);
  });
});
