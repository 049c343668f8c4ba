import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Exchange, exchange } from '../support/http-exchange.js';
import {
  makeDataDir,
  removeDataDir,
  sealAll,
  startTestServer,
  type TestServer,
  writeLines,
} from '../support/server-process.js';

/** What an answer says of tiers and history: headers, entity tags, pinned snapshots. */
const db = 'history';
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

function ask(query: Record<string, string>, headers: Record<string, string> = {}): Promise<Exchange> {
  return exchange(server, '/api/v3/query_sql', { query: { db, ...query }, headers });
}

/** A header that the answer must have. */
function headerOf(answer: Exchange, name: string): string {
  const value = answer.headers.get(name);
  if (value === null) throw new Error(`got no header ${name} with status ${answer.status}: ${answer.text}`);
  return value;
}

/** A table of its own for a test, with two settled points in 2020. */
async function settledTable(table: string): Promise<void> {
  await writeLines(
    server.client,
    db,
    `${table},host=a v=1i 1600000000000000000\n${table},host=b v=2i 1600000060000000000`,
  );
  await sealAll(server.client, db);
}

describe('the headers of an answer', () => {
  it('tell tiers, watermark, snapshot and history root', async () => {
    await settledTable('headers');
    const settled = await ask({ q: 'SELECT * FROM headers', tier: 'settled' });
    expect(headerOf(settled, 'varve-tiers')).toBe('settled');
    const through = headerOf(settled, 'varve-settled-through');
    expect(through).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    const status = (await server.client.json('/api/v1/settled', { query: { db } })) as {
      settled_through: string;
      tables: readonly { table: string; history_root: string }[];
    };
    expect(through).toBe(status.settled_through);
    const root = status.tables.find((table) => table.table === 'headers')?.history_root;
    expect(headerOf(settled, 'varve-history-root')).toBe(root);
    expect(root).toMatch(/^[0-9a-f]{64}$/);

    const both = await ask({ q: 'SELECT * FROM headers' });
    expect(headerOf(both, 'varve-tiers')).toBe('settled,hot');
    expect(both.headers.get('etag')).toBeNull();
    const behind = await ask({ q: `SELECT * FROM headers WHERE time < '2021-01-01T00:00:00Z'` });
    expect(headerOf(behind, 'varve-tiers')).toBe('settled');
    expect(headerOf(behind, 'etag')).toMatch(/^"[^"]+"$/);
  });

  it('carry an entity tag that answers 304 until the history it depends on changes', async () => {
    await settledTable('tagged');
    const query = { q: 'SELECT * FROM tagged ORDER BY time', tier: 'settled' };
    const first = await ask(query);
    const tag = headerOf(first, 'etag');
    const again = await ask(query, { 'if-none-match': tag });
    expect([again.status, again.text]).toEqual([304, '']);
    expect(headerOf(again, 'etag')).toBe(tag);
    expect((await ask(query, { 'if-none-match': `"other", W/${tag}` })).status).toBe(304);
    expect((await ask(query, { 'if-none-match': '"other"' })).text).toBe(first.text);

    const others = await Promise.all([
      ask({ ...query, format: 'csv' }),
      ask({ ...query, q: 'SELECT * FROM tagged ORDER BY time DESC' }),
    ]);
    for (const other of others) expect(headerOf(other, 'etag')).not.toBe(tag);
    expect((await ask({ ...query, q: 'SELECT now() AS n FROM tagged' })).headers.get('etag')).toBeNull();

    // In flux, a late point changes nothing of what is settled; sealed, it does.
    await writeLines(server.client, db, 'tagged,host=c v=3i 1600000000000000000');
    expect((await ask(query, { 'if-none-match': tag })).status).toBe(304);
    const bounded = `SELECT * FROM tagged WHERE time < '2021-01-01T00:00:00Z' ORDER BY time`;
    expect((await ask({ q: bounded })).headers.get('etag')).toBeNull();
    await sealAll(server.client, db);
    const after = await ask(query, { 'if-none-match': tag });
    expect(after.status).toBe(200);
    expect(headerOf(after, 'etag')).not.toBe(tag);
    expect(headerOf(after, 'varve-history-root')).not.toBe(headerOf(first, 'varve-history-root'));
  });
});

describe('a snapshot', () => {
  it('gives the same answer after late points, overwritten values, new columns, sealing and merging', async () => {
    await settledTable('pinned');
    const query = { q: 'SELECT * FROM pinned ORDER BY time, host', tier: 'settled' };
    const first = await ask(query);
    const snapshot = headerOf(first, 'varve-snapshot');
    const pinned = { q: query.q, snapshot };
    const want =
      '[{"time":"2020-09-13T12:26:40Z","host":"a","v":1},\n{"time":"2020-09-13T12:27:40Z","host":"b","v":2}]';
    expect(first.text).toBe(want);

    await writeLines(server.client, db, 'pinned,host=a v=10i 1600000000000000000');
    expect((await ask(pinned)).text).toBe(want);
    await sealAll(server.client, db);
    expect((await ask(pinned)).text).toBe(want);
    await writeLines(server.client, db, 'pinned,host=c,dc=eu v=3i,w=0.5 1600000000000000001');
    await sealAll(server.client, db);
    expect((await ask(pinned)).text).toBe(want);
    await exchange(server, '/api/v1/compact', { body: { db, table: 'pinned' } });
    const last = await ask(pinned);
    expect(last.text).toBe(want);
    expect(headerOf(last, 'etag')).toBe(headerOf(await ask(pinned), 'etag'));
    expect(headerOf(last, 'varve-snapshot')).toBe(snapshot);

    const now = await ask({ ...query, q: 'SELECT host, dc, v, w FROM pinned ORDER BY host' });
    expect(now.body).toEqual([
      { host: 'a', dc: null, v: 10, w: null },
      { host: 'b', dc: null, v: 2, w: null },
      { host: 'c', dc: 'eu', v: 3, w: 0.5 },
    ]);
  });

  it('is refused where it does not fit', async () => {
    await settledTable('fits');
    const snapshot = headerOf(await ask({ q: 'SELECT * FROM fits', tier: 'settled' }), 'varve-snapshot');
    const garbage = await ask({ q: 'SELECT * FROM fits', snapshot: 'garbage' });
    expect(garbage.status).toBe(400);
    expect(garbage.text).toContain('want the varve-snapshot header of an earlier answer');
    const table = await ask({ q: 'SELECT * FROM headers', snapshot });
    expect(table.status).toBe(400);
    expect(table.text).toContain('does not name table');
    await writeLines(server.client, 'elsewhere', 'fits v=1i 1');
    const database = await ask({ db: 'elsewhere', q: 'SELECT * FROM fits', snapshot });
    expect(database.status).toBe(404);
    const forged = Buffer.from(snapshot, 'base64url')
      .toString('utf8')
      .replace(/"\d{5,}"/, '"12345"');
    const unknown = await ask({
      q: 'SELECT * FROM fits',
      snapshot: Buffer.from(forged).toString('base64url'),
    });
    expect(unknown.status).toBe(404);
  });
});

describe('tier=settled', () => {
  it('leaves out what is in flux, also where it overwrites what is settled', async () => {
    await settledTable('tiers');
    await writeLines(server.client, db, 'tiers,host=a v=100i 1600000000000000000\ntiers,host=d v=4i');
    const q = 'SELECT host, v FROM tiers ORDER BY host';
    expect((await ask({ q, tier: 'settled' })).body).toEqual([
      { host: 'a', v: 1 },
      { host: 'b', v: 2 },
    ]);
    expect((await ask({ q })).body).toEqual([
      { host: 'a', v: 100 },
      { host: 'b', v: 2 },
      { host: 'd', v: 4 },
    ]);
  });
});
