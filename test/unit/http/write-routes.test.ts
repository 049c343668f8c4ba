import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { GroupId, NodeId } from '../../../core/model/batch.js';
import { VarveError } from '../../../core/std/errors.js';
import { LevelNotMetError } from '../../../ingest/write-contract.js';
import { nowMs, startTestServer, type TestServer } from './test-server.js';

const urls = { v1: '/write?db=d', v2: '/api/v2/write?bucket=d&org=o', v3: '/api/v3/write_lp?db=d' } as const;
const apis = ['v1', 'v2', 'v3'] as const;

async function post(
  { server }: TestServer,
  url: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown; text: string }> {
  const reply = await server.inject({ method: 'POST', url, body, headers });
  return { status: reply.statusCode, body: reply.body === '' ? undefined : reply.json(), text: reply.body };
}

describe('writing over HTTP', () => {
  it.each(apis)('%s: 204 and the rows of all lines', async (api) => {
    const test = await startTestServer();
    expect(await post(test, urls[api], 'm,t=a f=1 5\nm,t=b f=2\n')).toMatchObject({ status: 204, text: '' });
    expect(test.sink.requests).toEqual([{ database: 'd' }]);
    expect(test.sink.rowCount).toBe(2);
  });

  it.each([
    'text/plain; charset=utf-8',
    'application/json',
    'application/x-www-form-urlencoded',
    'x/unknown',
  ])('takes the body as line protocol whatever the content type says: %s', async (type) => {
    const test = await startTestServer();
    expect((await post(test, urls.v1, 'm f=1', { 'content-type': type })).status).toBe(204);
    expect(test.sink.rowCount).toBe(1);
  });

  it.each([
    ['/write?db=d&precision=s', 'm f=1 7', 7_000_000_000n],
    ['/write?db=d&precision=h', 'm f=1 7', 25_200_000_000_000n],
    ['/api/v2/write?bucket=d&precision=us', 'm f=1 7', 7_000n],
    ['/api/v3/write_lp?db=d', 'm f=1 7', 7_000_000_000n],
    ['/api/v3/write_lp?db=d&precision=nanosecond', 'm f=1 7', 7n],
    ['/write?db=d', 'm f=1', BigInt(nowMs) * 1_000_000n],
  ])('%s of %j', async (url, body, want) => {
    const test = await startTestServer();
    await post(test, url, body);
    expect(test.sink.commits[0]?.tables[0]?.rows.timesNs[0]).toBe(want);
  });

  it.each([
    ['/write?db=d&rp=', 'd'],
    ['/write?db=d&rp=autogen', 'd'],
    ['/write?db=d&rp=year', 'd/year'],
    ['/api/v2/write?bucket=d', 'd'],
    ['/api/v2/write?bucket=d/autogen', 'd'],
    ['/api/v2/write?bucket=d%2Fyear', 'd/year'],
    ['/api/v3/write_lp?db=d&rp=year', 'd'],
  ])('%s goes to database %s', async (url, database) => {
    const test = await startTestServer();
    await post(test, url, 'm f=1');
    expect(test.sink.requests).toEqual([{ database }]);
  });

  it.each(apis)('%s: passes the consistency level on', async (api) => {
    const test = await startTestServer();
    await post(test, `${urls[api]}&consistency=all`, 'm f=1');
    expect(test.sink.requests).toEqual([{ database: 'd', level: 'all' }]);
  });

  it.each([
    ['/write', 'got a write without "db"; want it as a query parameter'],
    ['/write?db=', 'got a write without "db"; want it as a query parameter'],
    ['/api/v2/write?db=d', 'got a write without "bucket"; want it as a query parameter'],
    ['/write?db=a&db=b', 'got query parameter "db" twice; want it once'],
    ['/write?db=d&precision=day', 'got precision "day"; want one of ns, n, us, u, µ, ms, s, m, h'],
    ['/write?db=d&consistency=most', 'got consistency "most"; want one of any, one, quorum, all'],
    ['/api/v3/write_lp?db=d&accept_partial=maybe', 'got accept_partial "maybe"; want true or false'],
  ])('%s is refused', async (url, message) => {
    const test = await startTestServer();
    const reply = await post(test, url, 'm f=1');
    expect(reply.status).toBe(400);
    expect(reply.text).toContain(JSON.stringify(message).slice(1, -1));
    expect(test.sink.requests).toEqual([]);
  });

  it.each(apis)('%s: takes a body without points as done', async (api) => {
    const test = await startTestServer();
    for (const body of ['', '\n\n', '# nothing\n'])
      expect((await post(test, urls[api], body)).status).toBe(204);
    expect(test.sink.commits).toEqual([]);
  });
});

describe('partial writes', () => {
  const body = 'm f=1 1\nm f= 2\nm f=3 3\nm f=x 4\n';
  const two = 'got a field without a value; want field=value';
  const four =
    'got value x; want a finite number, an integer with i or u, true or false, or a string in double quotes';

  it('v1 writes the good lines and names the bad ones', async () => {
    const test = await startTestServer();
    const reply = await post(test, urls.v1, body);
    expect(reply).toMatchObject({
      status: 400,
      body: { error: `partial write: line 2: ${two}; line 4: ${four} dropped=2` },
    });
    expect(test.sink.rowCount).toBe(2);
  });

  it('v2 gives code, message and the first line', async () => {
    const reply = await post(await startTestServer(), urls.v2, body);
    expect(reply.body).toEqual({
      code: 'invalid',
      message: `partial write: line 2: ${two}; line 4: ${four}`,
      line: 2,
    });
  });

  it('v3 lists the lines', async () => {
    const test = await startTestServer();
    const reply = await post(test, urls.v3, body);
    expect(reply.status).toBe(400);
    expect(reply.body).toEqual({
      error: 'partial write of line protocol occurred',
      data: [
        { line_number: 2, original_line: 'm f= 2', error_message: two },
        { line_number: 4, original_line: 'm f=x 4', error_message: four },
      ],
    });
    expect(test.sink.rowCount).toBe(2);
  });

  it('v3 with accept_partial=false writes nothing', async () => {
    const test = await startTestServer();
    const reply = await post(test, `${urls.v3}&accept_partial=false`, body);
    expect(reply.body).toMatchObject({ error: 'write of line protocol refused, nothing was written' });
    expect(test.sink.commits).toEqual([]);
    await post(test, `${urls.v3}&accept_partial=false`, 'm f=1 1');
    expect(test.sink.commits[0]?.options.acceptPartial).toBe(false);
  });

  it.each([
    ['v1', { error: `unable to parse: line 1: ${two} dropped=1` }],
    ['v2', { code: 'invalid', message: `unable to parse: line 1: ${two}`, line: 1 }],
    [
      'v3',
      {
        error: 'parsing failed for write_lp endpoint, nothing was written',
        data: [{ line_number: 1, original_line: 'm f=', error_message: two }],
      },
    ],
  ] as const)('%s: 400 when no line parsed', async (api, want) => {
    const test = await startTestServer();
    expect(await post(test, urls[api], 'm f=\n')).toMatchObject({ status: 400, body: want });
    expect(test.sink.commits).toEqual([]);
  });

  it('lists so many lines and counts the others', async () => {
    const test = await startTestServer();
    const many = `m f=1 1\n${'bad\n'.repeat(250)}`;
    const v1 = await post(test, urls.v1, many);
    expect(v1.text).toMatch(
      /line 11: [^;]*; want at least one field=value[^;]*; and 240 more lines dropped=250"}$/,
    );
    const v3 = (await post(test, urls.v3, many)).body as { error: string; data: unknown[] };
    expect(v3.error).toBe(
      'partial write of line protocol occurred (250 lines rejected, the first 100 listed)',
    );
    expect(v3.data).toHaveLength(100);
  });

  it('tells of rows that the write path refused, with their lines written out again', async () => {
    const test = await startTestServer();
    test.sink.answer = () => ({
      written: 1,
      rejected: [{ lineNumber: 3, message: 'older than the retention' }],
    });
    const reply = await post(
      test,
      urls.v3,
      'm f=1 1\nbad\nm\\ x,t=a\\,b f=3i,s="q\\"",u=1u,b=t,d=-0 3000000000\n',
    );
    expect(reply.body).toMatchObject({
      error: 'partial write of line protocol occurred',
      data: [
        { line_number: 2, original_line: 'bad' },
        {
          line_number: 3,
          original_line: 'm\\ x,t=a\\,b f=3i,s="q\\"",u=1u,b=true,d=-0 3000000000000000000',
          error_message: 'older than the retention',
        },
      ],
    });
  });

  it('counts lines and bytes', async () => {
    const counted: unknown[] = [];
    const metrics = {
      lines: (...args: unknown[]) => counted.push(args),
      bodyBytes: (...args: unknown[]) => counted.push(args),
    };
    const test = await startTestServer({ metrics });
    await post(test, urls.v2, gzipSync(body), { 'content-encoding': 'gzip' });
    expect(counted).toEqual([
      ['v2', body.length],
      ['v2', 2, 2],
    ]);
  });
});

describe('level not met', () => {
  const shards = [
    {
      group: 'w000000000001' as GroupId,
      shard: 0,
      level: 'quorum' as const,
      required: 2,
      acknowledged: ['a' as NodeId],
      hinted: [],
      failed: [{ node: 'b' as NodeId, reason: 'timeout' }],
    },
  ];

  it.each(apis)('%s: 503 with the outcome of every shard', async (api) => {
    const test = await startTestServer();
    test.sink.answer = () => {
      throw new LevelNotMetError('1 of 1 shards below quorum', shards, 2);
    };
    const reply = await post(test, urls[api], 'm f=1');
    expect(reply.status).toBe(503);
    const shape =
      api === 'v2'
        ? { code: 'unavailable', message: '1 of 1 shards below quorum' }
        : { error: '1 of 1 shards below quorum' };
    expect(reply.body).toEqual({ ...shape, retry: 'safe', shards });
    const again = await test.server.inject({ method: 'POST', url: urls[api], body: 'm f=1' });
    expect(again.headers['retry-after']).toBe('2');
  });

  it('passes on when to come again', async () => {
    const test = await startTestServer();
    test.sink.answer = () => {
      throw new VarveError('unavailable', 'hot tier is full', { retryAfterSeconds: 3 });
    };
    const reply = await test.server.inject({ method: 'POST', url: urls.v1, body: 'm f=1' });
    expect([reply.statusCode, reply.headers['retry-after']]).toEqual([503, '3']);
  });
});

describe('InfluxQL', () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' };

  it.each([
    ['CREATE DATABASE telegraf', 'telegraf'],
    ['create database "my db";', 'my db'],
    ['CREATE DATABASE "a\\"b" WITH DURATION 3d', 'a"b'],
  ])('%s', async (statement, database) => {
    const test = await startTestServer();
    const inBody = await post(test, '/query', `q=${encodeURIComponent(statement)}`, form);
    const inQuery = await post(test, `/query?q=${encodeURIComponent(statement)}`, '');
    for (const reply of [inBody, inQuery]) {
      expect(reply).toMatchObject({ status: 200, body: { results: [{ statement_id: 0 }] } });
    }
    expect(test.sink.requests).toEqual([{ database }, { database }]);
  });

  it.each([
    'SELECT * FROM cpu',
    'DROP DATABASE x',
    'CREATE DATABASE',
    'CREATE DATABASE a; DROP DATABASE b',
    '',
  ])('refuses %j', async (statement) => {
    const test = await startTestServer();
    const reply = await post(test, '/query', `q=${encodeURIComponent(statement)}`, form);
    expect(reply.status).toBe(400);
    expect(reply.text).toContain('want CREATE DATABASE here');
    expect(test.sink.requests).toEqual([]);
  });
});
