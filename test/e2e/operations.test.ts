import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Exchange, exchange } from '../support/http-exchange.js';
import { readPrometheusText, type Samples } from '../support/prometheus-text.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  sealAll,
  startTestServer,
  type TestServer,
  writeLines,
} from '../support/server-process.js';

let dataDir = '';
let server: TestServer;
beforeAll(async () => {
  dataDir = makeDataDir();
  server = await startTestServer({
    dataDir,
    flags: ['--deadline', '2h', '--late-delay', '2h', '--release-grace', '100ms', '--log-level', 'warn'],
  });
});
afterAll(async () => {
  await server.kill();
  removeDataDir(dataDir);
});

const post = (path: string, body: object): Promise<Exchange> => exchange(server, path, { body });
const get = (path: string, query: Record<string, string> = {}): Promise<Exchange> =>
  exchange(server, path, { query });

describe('the state of the server', () => {
  it('is told by /ping, /health and /ready', async () => {
    for (const method of ['GET', 'HEAD']) {
      const ping = await exchange(server, '/ping', { method });
      expect([ping.status, ping.text]).toEqual([204, '']);
      expect(ping.headers.get('x-influxdb-version')).toMatch(/^varve-\d/);
    }
    expect((await get('/ping', { verbose: 'true' })).body).toEqual({
      version: expect.stringMatching(/^varve-\d/),
    });
    expect((await get('/health')).body).toMatchObject({ name: 'varve', status: 'pass' });
    expect((await get('/ready')).body).toEqual({ status: 'ready' });
  });

  it('is 404 in JSON where there is nothing, and for methods that there are not', async () => {
    expect([(await get('/nothing?x=1')).status, (await get('/nothing?x=1')).body]).toEqual([
      404,
      { error: 'there is no GET /nothing' },
    ]);
    expect((await get('/write')).status).toBe(404);
    expect((await exchange(server, '/api/v3/query_sql', { method: 'DELETE' })).status).toBe(404);
  });

  it('is counted by /metrics in text that a scraper takes', async () => {
    const scrape = async (): Promise<Samples> => {
      const page = await get('/metrics');
      expect(page.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
      return readPrometheusText(page.text);
    };
    const before = await scrape();
    await writeLines(server.client, 'counted', 'cpu v=1i 1600000000000000000\ncpu v=2i 1600000001000000000');
    await post('/api/v3/write_lp', {}).catch(() => undefined);
    await exchange(server, '/write', {
      query: { db: 'counted' },
      body: 'cpu v=3i 1600000002000000000\nbroken',
    });
    await queryRows(server.client, 'counted', 'SELECT * FROM cpu');
    const hot = await scrape();
    await sealAll(server.client, 'counted');
    await queryRows(server.client, 'counted', 'SELECT * FROM cpu');
    const after = await scrape();

    const change = (from: Samples, to: Samples, key: string): number =>
      (to.get(key) ?? 0) - (from.get(key) ?? 0);
    expect(change(before, hot, 'varve_write_lines_total{api="v3",outcome="accepted"}')).toBe(2);
    expect(change(before, hot, 'varve_write_lines_total{api="v1",outcome="accepted"}')).toBe(1);
    expect(change(before, hot, 'varve_write_lines_total{api="v1",outcome="rejected"}')).toBe(1);
    expect(change(before, hot, 'varve_wal_write_seconds_count')).toBeGreaterThan(0);
    expect(change(before, hot, 'varve_wal_sync_seconds_count')).toBeGreaterThan(0);
    expect(change(before, hot, 'varve_wal_batches_total')).toBe(2);
    expect(change(before, hot, 'varve_hot_rows')).toBe(3);
    expect(change(before, hot, 'varve_hot_bytes')).toBeGreaterThan(0);
    expect(hot.get('varve_groups{database="counted",state="open"}')).toBe(1);
    expect(change(before, hot, 'varve_query_seconds_count{outcome="answered"}')).toBe(1);
    expect(change(before, hot, 'varve_query_stage_seconds_count{stage="execute"}')).toBe(1);
    expect(after.get('varve_groups{database="counted",state="open"}')).toBe(0);
    expect(after.get('varve_settled_files{database="counted"}')).toBe(1);
    expect(after.get('varve_settled_rows{database="counted"}')).toBe(3);
    expect(after.get('varve_sealed_groups_total{database="counted"}')).toBe(1);
    expect(after.get('varve_seal_lag_seconds{database="counted"}')).toBe(0);
    const status = (await get('/api/v1/settled', { db: 'counted' })).body as { settled_through: string };
    expect(after.get('varve_settled_through_seconds{database="counted"}')).toBe(
      Date.parse(status.settled_through) / 1000,
    );
    for (const name of ['varve_file_cache_hits_total', 'varve_file_cache_misses_total']) {
      expect([name, after.has(name)]).toEqual([name, true]);
    }
  });
});

describe('databases', () => {
  const path = '/api/v3/configure/database';

  it('are made with settings, listed and deleted', async () => {
    const settings = {
      window: '1m',
      deadline: '30s',
      retention: '30d',
      late_delay: '10s',
      consistency: 'one',
    };
    expect((await post(path, { db: 'made', ...settings })).status).toBe(200);
    const list = (await get(path, { format: 'json' })).body as Record<string, unknown>[];
    expect(list.find((database) => database['iox::database'] === 'made')).toMatchObject({
      ...settings,
      replication: 1,
    });
    const again = await post(path, { db: 'made' });
    expect([again.status, again.body]).toEqual([409, { error: 'create database "made": it exists already' }]);
    expect((await exchange(server, path, { method: 'DELETE', query: { db: 'made' } })).status).toBe(200);
    expect((await exchange(server, path, { method: 'DELETE', query: { db: 'made' } })).status).toBe(404);
  });

  it.each([
    [{}, 'got no "db"'],
    [{ db: '' }, 'got no "db"'],
    [{ db: 'x\ny' }, 'control character'],
    [{ db: 'x', windows: '1m' }, 'unknown setting "windows"'],
    [{ db: 'x', window: '1 fortnight' }, 'got duration "1 fortnight"'],
    [{ db: 'x', window: '0s' }, 'window'],
    [{ db: 'x', replication: 2 }, 'want at most 1'],
    [{ db: 'x', shards: 0 }, 'shards'],
    [{ db: 'x', shards: 1.5 }, 'want a whole number'],
    [{ db: 'x', consistency: 'most' }, 'got consistency "most"'],
  ])('are not made of %j', async (body, words) => {
    const answer = await post(path, body);
    expect(answer.status).toBe(400);
    expect((answer.body as { error: string }).error).toContain(words);
    const list = (await get(path)).body as Record<string, unknown>[];
    expect(list.some((database) => database['iox::database'] === 'x')).toBe(false);
  });

  it('keep what is written once a deletion is answered', async () => {
    const db = 'swapped';
    for (let round = 0; round < 3; round++) {
      await writeLines(server.client, db, `cpu v=${round}i 1`);
      expect(await queryRows(server.client, db, 'SELECT v FROM cpu')).toEqual([{ v: round }]);
      await exchange(server, path, { method: 'DELETE', query: { db } });
    }
  });

  it('made again after deletion hold nothing of before, hot or settled, also after a restart', async () => {
    const db = 'again';
    const ask = (): Promise<Exchange> => get('/api/v3/query_sql', { db, q: 'SELECT v FROM cpu' });
    const old = Array.from({ length: 50 }, (_, index) => `cpu v=${index}i ${index}`).join('\n');
    await writeLines(server.client, db, old);
    await sealAll(server.client, db);
    const snapshot = (await ask()).headers.get('varve-snapshot') ?? '';
    await writeLines(server.client, db, `${old}\ncpu,host=new v=1i 1`);
    await exchange(server, path, { method: 'DELETE', query: { db } });
    expect((await ask()).status).toBe(404);
    expect((await get('/api/v1/settled', { db })).status).toBe(404);

    await post(path, { db });
    expect((await ask()).status).toBe(404);
    // Another type for the same field: the old schema is gone too.
    await writeLines(server.client, db, 'cpu v="now" 1');
    expect((await ask()).body).toEqual([{ v: 'now' }]);
    const past = await get('/api/v3/query_sql', { db, q: 'SELECT v FROM cpu', snapshot });
    expect(past.status).toBe(404);
    await server.kill('SIGKILL');
    server = await startTestServer({
      dataDir,
      flags: ['--deadline', '2h', '--late-delay', '2h', '--release-grace', '100ms', '--log-level', 'warn'],
    });
    expect((await ask()).body).toEqual([{ v: 'now' }]);
    await sealAll(server.client, db);
    expect((await ask()).body).toEqual([{ v: 'now' }]);
    expect((await get('/api/v1/verify', { db })).body).toMatchObject({ ok: true });
  });
});

describe('sealing, merging and verifying on demand', () => {
  it('seals what ends before a time and leaves the open window be', async () => {
    const db = 'partly';
    const settings = { db, window: '10s', deadline: '1h', late_delay: '1h' };
    expect((await post('/api/v3/configure/database', settings)).status).toBe(200);
    await exchange(server, '/api/v3/write_lp', {
      query: { db },
      body: 'cpu v=1i\ncpu v=2i 1600000000000000000',
    });
    const before = new Date(Date.now() - 3_600_000).toISOString();
    const early = await post('/api/v1/seal', { db, before });
    expect(early.body).toMatchObject({ database: db, waiting: [], sealed: [{ kind: 'late', rows: 1 }] });
    const status = (await get('/api/v1/settled', { db })).body as { groups: object[] };
    expect(status.groups).toMatchObject([{ kind: 'window', state: 'open' }]);
    expect(await queryRows(server.client, db, 'SELECT v FROM cpu ORDER BY time')).toEqual([
      { v: 2 },
      { v: 1 },
    ]);

    const late = await post('/api/v1/seal', { db, before: new Date(Date.now() + 60_000).toISOString() });
    expect(late.body).toMatchObject({ sealed: [{ kind: 'window', rows: 1 }], waiting: [] });
    const rows = await queryRows(server.client, db, 'SELECT v FROM cpu ORDER BY time', { tier: 'settled' });
    expect(rows).toEqual([{ v: 2 }, { v: 1 }]);
    const nothing = await post('/api/v1/seal', { db, before: new Date().toISOString() });
    expect(nothing.body).toMatchObject({ sealed: [], waiting: [] });
  });

  it('refuses what cannot be meant', async () => {
    const attempts: readonly (readonly [path: string, body: object, status: number])[] = [
      ['/api/v1/seal', { db: 'partly' }, 400],
      ['/api/v1/seal', { db: 'partly', before: 'now' }, 400],
      ['/api/v1/seal', { before: '2020-01-01T00:00:00Z' }, 400],
      ['/api/v1/seal', [], 400],
      ['/api/v1/seal', { db: 'nowhere', before: '2020-01-01T00:00:00Z' }, 404],
      ['/api/v1/compact', { db: 'nowhere' }, 404],
      ['/api/v1/compact', { db: 'partly', table: 'nothing' }, 404],
      ['/api/v1/compact', {}, 400],
    ];
    for (const [path, body, status] of attempts) {
      const answer = await post(path, body);
      expect([path, body, answer.status]).toEqual([path, body, status]);
      expect((answer.body as { error: string }).error).not.toBe('');
    }
    expect((await get('/api/v1/verify', { db: 'nowhere' })).status).toBe(404);
    expect((await get('/api/v1/settled')).status).toBe(400);
  });

  it('merges small files into one and changes no answer', async () => {
    const db = 'merged';
    for (let round = 0; round < 5; round++) {
      const lines = Array.from(
        { length: 20 },
        (_, index) =>
          `cpu,host=h${index % 4} v=${round}i,w${round}=${index}i ${1_600_000_000_000_000_000n + BigInt(index)}`,
      );
      await writeLines(server.client, db, lines.join('\n'));
      await sealAll(server.client, db);
    }
    const q = 'SELECT * FROM cpu ORDER BY time, host';
    const before = await get('/api/v3/query_sql', { db, q, tier: 'settled' });
    const compacted = await post('/api/v1/compact', { db });
    expect(compacted.body).toMatchObject({ tables: [{ table: 'cpu', files_before: 5, files_after: 1 }] });
    const after = await get('/api/v3/query_sql', { db, q, tier: 'settled' });
    expect(after.text).toBe(before.text);
    expect((after.body as unknown[]).length).toBe(20);
    expect((await get('/api/v1/settled', { db })).body).toMatchObject({ tables: [{ files: 1, rows: 20 }] });
  });
});

describe('damage to settled files', () => {
  /** A database with two settled files; answers the paths of its data files. */
  async function settledFiles(db: string): Promise<readonly string[]> {
    const known = new Set(dataFiles());
    const lines = (from: number): string =>
      Array.from(
        { length: 200 },
        (_, index) => `cpu,host=h${index % 7} v=${from + index}i ${from + index}`,
      ).join('\n');
    await writeLines(server.client, db, lines(1_600_000_000), 'second');
    await sealAll(server.client, db);
    await writeLines(server.client, db, lines(1_700_000_000), 'second');
    await sealAll(server.client, db);
    expect((await get('/api/v1/verify', { db })).body).toMatchObject({ ok: true, files: 2, differences: [] });
    return dataFiles().filter((path) => !known.has(path));
  }

  const dataFiles = (): string[] =>
    readdirSync(join(dataDir, 'objects'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.parquet'))
      .map((path) => join(dataDir, 'objects', path));

  const ask = (db: string): Promise<Exchange> =>
    get('/api/v3/query_sql', {
      db,
      q: 'SELECT host, sum(v) AS s, count(*) AS n FROM cpu GROUP BY host',
      tier: 'settled',
    });

  it('one byte changed is found by verify, and named with its file', async () => {
    const db = 'damaged';
    const [path = ''] = await settledFiles(db);
    const bytes = readFileSync(path);
    for (const at of [4, Math.floor(bytes.length / 2), bytes.length - 9]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      writeFileSync(path, changed);
      const verified = (await get('/api/v1/verify', { db })).body as {
        ok: boolean;
        differences: { file: string }[];
      };
      expect([at, verified.ok]).toEqual([at, false]);
      expect(verified.differences.some(({ file }) => path.endsWith(file))).toBe(true);
    }
    writeFileSync(path, bytes);
    expect((await get('/api/v1/verify', { db })).body).toMatchObject({ ok: true, differences: [] });
  });

  it('a file that is gone is found by verify; a query over it fails and says so, one beside it answers', async () => {
    const db = 'gone';
    const paths = await settledFiles(db);
    expect((await ask(db)).status).toBe(200);
    for (const path of paths) rmSync(path);
    const verified = (await get('/api/v1/verify', { db })).body as {
      ok: boolean;
      differences: { file: string }[];
    };
    expect(verified.ok).toBe(false);
    for (const path of paths) expect(verified.differences.some(({ file }) => path.endsWith(file))).toBe(true);
    const answer = await ask(db);
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect((answer.body as { error: string }).error).not.toBe('');
    expect(answer.text).toMatch(/[0-9a-f]{16}/);
    expect((await get('/health')).status).toBe(200);
    await writeLines(server.client, 'beside', 'cpu v=1i 1');
    expect(await queryRows(server.client, 'beside', 'SELECT v FROM cpu')).toEqual([{ v: 1 }]);
  });

  it('a file cut short fails a query rather than answering less', async () => {
    const db = 'cut';
    const [path = ''] = await settledFiles(db);
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length - 20));
    const answer = await ask(db);
    expect(answer.status).toBe(500);
    expect((answer.body as { error: string }).error).toMatch(
      /^query: a settled file cannot be read, verify lists the damage\. .*[0-9a-f]{64}\.parquet/,
    );
    expect(answer.text).not.toContain(dataDir);
    expect((await get('/api/v1/verify', { db })).body).toMatchObject({ ok: false });
  });
});
