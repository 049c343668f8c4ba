import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clusterSecret } from '../support/peer-server.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  startTestProcess,
  type TestProcess,
} from '../support/server-process.js';

const db = 'plant';
const levels = ['any', 'one', 'quorum', 'all'] as const;
type Level = (typeof levels)[number];

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

/** Nothing closes by itself, and a node that is gone stays an owner of new groups: the tests see the levels, not the choice. */
const startIngest = (node: string): Promise<TestProcess> =>
  start('ingest', [
    ...['--node-id', node, '--data-dir', join(folder, node), '--peer-port', '0'],
    ...['--window', '1h', '--deadline', '1h', '--late-delay', '1h', '--replication', '3'],
    ...['--write-timeout', '2s', '--node-silence-max', '1h'],
  ]);

interface WriteAnswer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: unknown;
}

let pointsWritten = 0;

/** Writes one point more, long past. */
async function write(to: TestProcess, level: Level): Promise<WriteAnswer> {
  pointsWritten += 1;
  const response = await fetch(`${to.url}/api/v3/write_lp?db=${db}&consistency=${level}`, {
    method: 'POST',
    body: `motor point=${pointsWritten}i ${1_700_000_000 + pointsWritten}000000000`,
  });
  const text = await response.text();
  const retryAfter = response.headers.get('retry-after');
  return { status: response.status, retryAfter, body: text === '' ? undefined : JSON.parse(text) };
}

async function metric(process: TestProcess, line: string): Promise<number> {
  const response = await fetch(`${process.url}/metrics`);
  const found = (await response.text()).split('\n').find((each) => each.startsWith(`${line} `));
  return Number(found?.split(' ')[1]);
}

/** The answer to a write whose level was not met, to the letter; nodes in order of name. */
function refused(level: Level, required: number, acknowledged: string[], hinted: string[]): WriteAnswer {
  const shard = { group: 'l', shard: 0, level, required, acknowledged, hinted, failed: [] };
  const error = `write to "${db}": consistency level ${level} not met for 1 of 1 shards`;
  return { status: 503, retryAfter: '2', body: { error, retry: 'safe', shards: [shard] } };
}

/** The answer with nodes in order of name, for they come in the order in which they answered, and the group without its number. */
function ordered({ status, retryAfter, body }: WriteAnswer): WriteAnswer {
  const { shards, ...rest } = body as {
    shards: { group: string; acknowledged: string[]; hinted: string[] }[];
  };
  const sorted = shards.map((shard) => ({
    ...shard,
    group: shard.group.slice(0, 1),
    acknowledged: shard.acknowledged.toSorted(),
    hinted: shard.hinted.toSorted(),
  }));
  return { status, retryAfter, body: { ...rest, shards: sorted } };
}

describe('three ingest nodes that own every shard together', () => {
  it('take writes at each level through any of them, and at the levels that are left when nodes die', async () => {
    pointsWritten = 0;
    const [one, two, three] = [
      await startIngest('node-1'),
      await startIngest('node-2'),
      await startIngest('node-3'),
    ];
    const querier = await start('query', ['--cache-dir', join(folder, 'cache')]);
    for (const node of [one, two, three])
      for (const level of levels)
        expect(await write(node, level)).toMatchObject({ status: 204, body: undefined });
    expect(await metric(one, 'varve_under_replicated_groups{database="plant"}')).toBe(0);

    await three.kill('SIGKILL');
    for (const node of [one, two])
      for (const level of ['any', 'one', 'quorum'] as const)
        expect(await write(node, level)).toMatchObject({ status: 204, body: undefined });
    for (const node of [two, one]) {
      const answer = ordered(await write(node, 'all'));
      expect(answer).toEqual(refused('all', 3, ['node-1', 'node-2'], ['node-3']));
    }
    // What was answered 503 has been taken by those whom the answer names.
    const rows = await queryRows(querier.client, db, 'SELECT count(*) AS n FROM motor');
    expect(rows).toEqual([{ n: pointsWritten }]);
    expect(await metric(one, 'varve_replication_answers_total{level="all",answer="not-met"}')).toBe(1);
    expect(await metric(one, 'varve_write_refused_total{reason="level-not-met"}')).toBe(1);

    await two.kill('SIGKILL');
    for (const level of ['any', 'one'] as const)
      expect(await write(one, level)).toMatchObject({ status: 204, body: undefined });
    const answer = ordered(await write(one, 'quorum'));
    expect(answer).toEqual(refused('quorum', 2, ['node-1'], ['node-2', 'node-3']));
  });

  it('answer without a node that is stopped, and go on with it when it is back', async () => {
    pointsWritten = 0;
    const [one, two, three] = [
      await startIngest('node-1'),
      await startIngest('node-2'),
      await startIngest('node-3'),
    ];
    expect(await write(one, 'all')).toMatchObject({ status: 204 });
    process.kill(three.pid, 'SIGSTOP');
    for (let i = 0; i < 10; i++) expect(await write(one, 'quorum')).toMatchObject({ status: 204 });
    const answer = ordered(await write(two, 'all'));
    expect(answer).toEqual(refused('all', 3, ['node-1', 'node-2'], ['node-3']));
    process.kill(three.pid, 'SIGCONT');
    for (let attempt = 0; (await write(two, 'all')).status !== 204; attempt++) {
      expect(attempt).toBeLessThan(100);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });

  it('make databases with as many owners a shard as there can be, and no more', async () => {
    const { url } = await startIngest('node-1');
    const create = (name: string, replication: number): Promise<Response> =>
      fetch(`${url}/api/v3/configure/database`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ db: name, replication, consistency: 'one' }),
      });
    expect((await create('most', 7)).status).toBe(200);
    const refusedAnswer = await create('more', 8);
    expect(refusedAnswer.status).toBe(400);
    expect(await refusedAnswer.json()).toMatchObject({ error: expect.stringContaining('want at most 7') });
    const listed = (await (await fetch(`${url}/api/v3/configure/database`)).json()) as unknown[];
    expect(listed).toEqual([
      expect.objectContaining({ 'iox::database': 'most', replication: 7, consistency: 'one' }),
    ]);
  });

  it('count levels by the owners that a shard should have while too few nodes live', async () => {
    pointsWritten = 0;
    const one = await startIngest('node-1');
    expect(await write(one, 'quorum')).toMatchObject({
      status: 503,
      retryAfter: '5',
      body: {
        error: expect.stringContaining('it has 1 of 3 owners'),
        retry: 'safe',
        shards: [{ required: 2, acknowledged: ['node-1'], hinted: [], failed: [] }],
      },
    });
    expect(await write(one, 'one')).toMatchObject({ status: 204 });
    expect(await metric(one, 'varve_under_replicated_groups{database="plant"}')).toBe(1);
    expect((await fetch(`${one.url}/ready`)).status).toBe(200);
  });
});
