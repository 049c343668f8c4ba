import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange, sendAndBreakOff } from '../support/http-exchange.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  startTestServer,
  type TestServer,
} from '../support/server-process.js';

/** Nothing closes by itself while the tests look at what was written. */
const quiet = ['--deadline', '2h', '--late-delay', '2h'];
const db = 'writes';

interface Api {
  readonly api: string;
  readonly path: string;
  /** Name of the parameter that names the database. */
  readonly target: string;
  /** Names of precisions with the nanoseconds of their unit. */
  readonly precisions: Readonly<Record<string, bigint>>;
}

const us = 1_000n;
const ms = 1_000_000n;
const s = 1_000_000_000n;
const apis: readonly Api[] = [
  {
    api: 'v1',
    path: '/write',
    target: 'db',
    precisions: { '': 1n, ns: 1n, n: 1n, us, u: us, ms, s, m: 60n * s, h: 3600n * s },
  },
  {
    api: 'v2',
    path: '/api/v2/write',
    target: 'bucket',
    precisions: { '': 1n, ns: 1n, us, ms, s },
  },
  {
    api: 'v3',
    path: '/api/v3/write_lp',
    target: 'db',
    precisions: { nanosecond: 1n, microsecond: us, millisecond: ms, second: s },
  },
];

let dataDir = '';
let server: TestServer;
beforeAll(async () => {
  dataDir = makeDataDir();
  server = await startTestServer({
    dataDir,
    flags: [...quiet, '--request-bytes-max', '1MiB', '--log-level', 'info'],
  });
});
afterAll(async () => {
  await server.kill();
  removeDataDir(dataDir);
});

/** Writes to one of the endpoints. */
function write(
  { path, target }: Api,
  body: string | Uint8Array | ReadableStream<Uint8Array>,
  more: { query?: Record<string, string>; headers?: Record<string, string>; db?: string } = {},
) {
  return exchange(server, path, {
    method: 'POST',
    query: { [target]: more.db ?? db, ...more.query },
    ...(more.headers === undefined ? {} : { headers: more.headers }),
    body,
  });
}

/** All rows of a table, or `no table`. */
async function rowsOf(table: string): Promise<unknown> {
  const answer = await exchange(server, '/api/v3/query_sql', {
    query: { db, q: `SELECT * EXCLUDE (time) FROM "${table}" ORDER BY time` },
  });
  return answer.status === 404 ? 'no table' : answer.body;
}

/** A message in the shape of the endpoint. */
function errorShape({ api }: Api, message: unknown, v2Code = 'invalid'): object {
  return api === 'v2' ? { code: v2Code, message } : { error: message };
}

describe.each(apis)('$api $path', (api) => {
  it('keeps times in every precision it names, to the nanosecond', async () => {
    for (const [precision, unitNs] of Object.entries(api.precisions)) {
      const table = `time ${api.api} ${precision}`;
      const time = (1_600_000_000n * s) / unitNs + 1n;
      const line = `${table.replaceAll(' ', '\\ ')} v=1 ${time}`;
      const answer = await write(api, line, { query: precision === '' ? {} : { precision } });
      expect([precision, answer.status, answer.text]).toEqual([precision, 204, '']);
      const [row] = await queryRows(
        server.client,
        db,
        `SELECT epoch_ns(time)::VARCHAR AS ns FROM "${table}"`,
      );
      expect([precision, row?.['ns']]).toEqual([precision, String(time * unitNs)]);
    }
  });

  it('refuses a precision it does not name and writes nothing', async () => {
    const table = `precision_${api.api}`;
    const answer = await write(api, `${table} v=1`, { query: { precision: 'fortnight' } });
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual(
      errorShape(api, expect.stringContaining('got precision "fortnight"; want one of')),
    );
    expect(await rowsOf(table)).toBe('no table');
  });

  it('takes gzip, and refuses another encoding and damaged gzip without a trace', async () => {
    const table = `zipped_${api.api}`;
    const zipped = gzipSync(`${table} v=1i 1\n${table} v=2i 2\n`);
    const truncated = await write(api, zipped.subarray(0, -6), { headers: { 'content-encoding': 'gzip' } });
    expect(truncated.status).toBe(400);
    expect(truncated.body).toEqual(errorShape(api, expect.stringContaining('not whole gzip')));
    const damaged = await write(api, 'no gzip at all', { headers: { 'content-encoding': 'gzip' } });
    expect(damaged.status).toBe(400);
    const unknown = await write(api, zipped, { headers: { 'content-encoding': 'br' } });
    expect(unknown.status).toBe(400);
    expect(unknown.body).toEqual(errorShape(api, 'got Content-Encoding "br"; want gzip, or none'));
    expect(await rowsOf(table)).toBe('no table');
    expect((await write(api, zipped, { headers: { 'content-encoding': 'gzip' } })).status).toBe(204);
    expect(await rowsOf(table)).toEqual([{ v: 1 }, { v: 2 }]);
  });

  it('refuses a body and a gzip bomb beyond the limit, and writes nothing of it', async () => {
    const table = `large_${api.api}`;
    const line = `${table} v=1i 1\n`;
    const large = line.repeat(Math.ceil(2 ** 20 / line.length) + 1);
    const announced = await write(api, large);
    const bomb = await write(api, gzipSync(large), { headers: { 'content-encoding': 'gzip' } });
    const chunked = await write(api, new Blob([large]).stream());
    for (const answer of [announced, bomb, chunked]) {
      expect(answer.status).toBe(413);
      expect(answer.body).toEqual(
        errorShape(api, expect.stringMatching(/^got a .*; want at most 1 MiB/), 'request too large'),
      );
    }
    expect(await rowsOf(table)).toBe('no table');
    expect((await write(api, line)).status).toBe(204);
  });

  it('answers 204 to nothing: an empty body, blank lines, comments', async () => {
    for (const body of ['', '\n \r\n\n', '# a comment\n  # another']) {
      expect([body, (await write(api, body)).status]).toEqual([body, 204]);
    }
  });

  it('refuses a request without a database, and one with a name that cannot be', async () => {
    const missing = await exchange(server, api.path, { body: 'cpu v=1' });
    expect(missing.status).toBe(400);
    expect(missing.body).toEqual(errorShape(api, expect.stringContaining(`without "${api.target}"`)));
    const control = await write(api, 'cpu v=1', { db: 'a\nb' });
    expect(control.status).toBe(400);
    expect(control.body).toEqual(errorShape(api, expect.stringContaining('control character')));
  });

  it('knows the four consistency levels and no other', async () => {
    for (const consistency of ['any', 'one', 'quorum', 'all']) {
      expect((await write(api, 'levels v=1', { query: { consistency } })).status).toBe(204);
    }
    const answer = await write(api, 'levels v=1', { query: { consistency: 'two' } });
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual(errorShape(api, 'got consistency "two"; want one of any, one, quorum, all'));
  });

  it('gives a line without a time the time of the server', async () => {
    const table = `now_${api.api}`;
    const before = Date.now();
    await write(api, `${table} v=1`, { query: { precision: api.api === 'v3' ? 'second' : 's' } });
    const after = Date.now();
    const [row] = await queryRows(server.client, db, `SELECT epoch_ms(time) AS ms FROM ${table}`);
    expect(row?.['ms']).toBeGreaterThanOrEqual(before);
    expect(row?.['ms']).toBeLessThanOrEqual(after);
  });

  it('writes nothing of an upload that is broken off', async () => {
    const table = `broken_off_${api.api}`;
    const goneBefore = timesLogged('client went away');
    const head = `POST ${api.path}?${api.target}=${db} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n`;
    await sendAndBreakOff(server, `${head}${`${table} v=1i\n`.repeat(100)}`);
    await expect.poll(() => timesLogged('client went away'), { timeout: 20_000 }).toBe(goneBefore + 1);
    expect(await rowsOf(table)).toBe('no table');
  });

  it('refuses bytes that are no UTF-8 line by line', async () => {
    const table = `utf8_${api.api}`;
    const body = Buffer.concat([
      Buffer.from(`${table},tag=`),
      Buffer.from([0xff]),
      Buffer.from(` v=1i 1\n${table} s="`),
      Buffer.from([0xc3, 0x28]),
      Buffer.from(`" 2\n${table} v=3i 3\n${table},b`),
      Buffer.from([0xed, 0xa0, 0x80]),
      Buffer.from(`=x v=4i 4\n`),
    ]);
    const answer = await write(api, body);
    expect(answer.status).toBe(400);
    for (const line of api.api === 'v3'
      ? ['"line_number":1,', '"line_number":2,', '"line_number":4,']
      : ['line 1:', 'line 2:', 'line 4:']) {
      expect(answer.text).toContain(line);
    }
    expect(answer.text).toContain('UTF-8');
    expect(await rowsOf(table)).toEqual([{ v: 3 }]);
  });

  it('refuses a line of 10,000 columns by the limit and keeps its neighbours', async () => {
    const table = `wide_${api.api}`;
    const fields = Array.from({ length: 10_000 }, (_, index) => `f${index}=${index}i`).join(',');
    const answer = await write(api, `${table} a=1i 1\n${table} ${fields} 2\n${table} a=3i 3`);
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/want at most (1000|1,000)/);
    expect(await rowsOf(table)).toEqual([{ a: 1 }, { a: 3 }]);
  });
});

/** How often the log says it so far. */
function timesLogged(message: string): number {
  return server.log().split(message).length - 1;
}

describe('a request with bad lines', () => {
  const noFields = 'got no fields; want at least one field=value after the measurement and tags';
  const conflict = (table: string): string =>
    `field "v" of table "${table}": got string "x"; want bigint as in the table`;
  const body = (table: string): string => `${table} v=1i 1\nbroken\n${table} v="x" 2\n${table} v=3i 3`;
  const written = [{ v: 1 }, { v: 3 }];
  const [v1, v2, v3] = apis as [Api, Api, Api];

  it('is told of in the shape of v1, its good lines written', async () => {
    const answer = await write(v1, body('partial_v1'));
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({
      error: `partial write: line 2: ${noFields}; line 3: ${conflict('partial_v1')} dropped=2`,
    });
    expect(await rowsOf('partial_v1')).toEqual(written);
  });

  it('is told of in the shape of v2, its good lines written', async () => {
    const answer = await write(v2, body('partial_v2'));
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({
      code: 'invalid',
      message: `partial write: line 2: ${noFields}; line 3: ${conflict('partial_v2')}`,
      line: 2,
    });
    expect(await rowsOf('partial_v2')).toEqual(written);
  });

  const v3Lines = (table: string) => [
    { line_number: 2, original_line: 'broken', error_message: noFields },
    { line_number: 3, original_line: `${table} v="x" 2`, error_message: conflict(table) },
  ];

  it('is told of in the shape of v3, its good lines written', async () => {
    const answer = await write(v3, body('partial_v3'));
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({
      error: 'partial write of line protocol occurred',
      data: v3Lines('partial_v3'),
    });
    expect(await rowsOf('partial_v3')).toEqual(written);
  });

  it('is refused as a whole with accept_partial=false', async () => {
    const answer = await write(v3, body('whole_v3'), { query: { accept_partial: 'false' } });
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({
      error: 'write of line protocol refused, nothing was written',
      data: v3Lines('whole_v3'),
    });
    expect(await rowsOf('whole_v3')).toBe('no table');
  });

  it.each(apis)('that has none that parses is no partial write: $api', async (api) => {
    const answer = await write(api, 'broken');
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/unable to parse|parsing failed for write_lp endpoint/);
    expect(answer.text).not.toContain('partial write');
  });

  it.each(apis)('names a line that conflicts with what the table holds already: $api', async (api) => {
    const table = `typed_${api.api}`;
    expect((await write(api, `${table},host=a d=1.5,i=1i,u=1u,b=true,s="x" 1`)).status).toBe(204);
    const cases: readonly (readonly [line: string, message: RegExp])[] = [
      [`${table} d=1i`, /field .*"d.* of table .*: got bigint .*; want double as in the table/],
      [`${table} i=1`, /got double .*; want bigint as in the table/],
      [`${table} u=1i`, /got bigint .*; want ubigint as in the table/],
      [`${table} b="true"`, /got string .*; want boolean as in the table/],
      [`${table} s=t`, /got boolean .*; want string as in the table/],
      [`${table} host="a"`, /got .*"host.* as a field of table .*; it is a tag there/],
      [`${table},d=x v=1`, /got .*"d.* as a tag of table .*; it is a field there \(double\)/],
      [`${table} D=1`, /got new column .*"D.*which has .*"d.*want names that differ by more than case/],
      [`${table} Time=1`, /time/],
    ];
    for (const [line, message] of cases) {
      const answer = await write(api, line);
      expect([line, answer.status]).toEqual([line, 400]);
      expect(answer.text.replaceAll('\\"', '"')).toMatch(message);
    }
    expect(await rowsOf(table)).toEqual([{ host: 'a', d: 1.5, i: 1, u: 1, b: true, s: 'x' }]);
  });
});

describe('v3 without a precision', () => {
  it('tells the unit of each time by its magnitude', async () => {
    const times = ['1600000000', '1600000001000', '1600000002000000', '1600000003000000000', '-1600000000'];
    const answer = await exchange(server, '/api/v3/write_lp', {
      query: { db },
      body: times.map((time, index) => `auto v=${index}i ${time}`).join('\n'),
    });
    expect(answer.status).toBe(204);
    const rows = await queryRows(server.client, db, 'SELECT epoch(time)::BIGINT AS s FROM auto ORDER BY v');
    expect(rows.map((row) => row['s'])).toEqual([
      1_600_000_000, 1_600_000_001, 1_600_000_002, 1_600_000_003, -1_600_000_000,
    ]);
  });
});

describe('buckets and retention policies', () => {
  it('name databases of their own, but for the default policy', async () => {
    const requests: readonly (readonly [path: string, query: Record<string, string>, database: string])[] = [
      ['/write', { db: 'shop', rp: 'autogen' }, 'shop'],
      ['/write', { db: 'shop', rp: 'week' }, 'shop/week'],
      ['/api/v2/write', { bucket: 'store/autogen', org: 'o' }, 'store'],
      ['/api/v2/write', { bucket: 'store/week', org: 'o' }, 'store/week'],
    ];
    for (const [path, query, database] of requests) {
      expect((await exchange(server, path, { query, body: 'sales v=1i 1' })).status).toBe(204);
      expect(await queryRows(server.client, database, 'SELECT v FROM sales')).toEqual([{ v: 1 }]);
    }
  });
});

describe('a server with --no-create-databases', () => {
  it('answers 404 to writes for a database that nobody made, and takes them once it is made', async () => {
    const folder = makeDataDir();
    const strict = await startTestServer({
      dataDir: folder,
      flags: [...quiet, '--no-create-databases', '--log-level', 'warn'],
    });
    try {
      const attempt = (api: Api) =>
        exchange(strict, api.path, { query: { [api.target]: 'made' }, body: 'cpu v=1i 1600000000000000000' });
      for (const api of apis) {
        const answer = await attempt(api);
        expect(answer.status).toBe(404);
        expect(answer.body).toEqual(
          errorShape(api, expect.stringContaining('there is no database "made"'), 'not found'),
        );
      }
      await exchange(strict, '/api/v3/configure/database', { body: { db: 'made' } });
      for (const api of apis) expect((await attempt(api)).status).toBe(204);
      expect(await queryRows(strict.client, 'made', 'SELECT v FROM cpu')).toEqual([{ v: 1 }]);
    } finally {
      await strict.kill();
      removeDataDir(folder);
    }
  });
});
