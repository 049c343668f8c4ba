import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrowRows, arrowTypes, jsonRows, parquetRows } from '../support/answer-rows.js';
import { type Exchange, type ExchangeRequest, exchange } from '../support/http-exchange.js';
import {
  makeDataDir,
  removeDataDir,
  sealAll,
  startTestServer,
  type TestServer,
  writeLines,
} from '../support/server-process.js';

const db = 'shop';
let dataDir = '';
let server: TestServer;

/** Three points: one settled, one in flux, one of which some values are in either tier. */
const settledLines = `mix,host=a d=1.5,i=9007199254740993i,u=18446744073709551615u,b=true,s="say ""hi""" 1600000000000000001
mix,host=b d=-0.25 1600000000500000000`;
const hotLines = `mix,host=b s="b,c" 1600000000500000000
mix i=-1i,b=false 1600000001000000000`;

beforeAll(async () => {
  dataDir = makeDataDir();
  server = await startTestServer({
    dataDir,
    flags: ['--deadline', '2h', '--late-delay', '2h', '--log-level', 'warn'],
  });
  await writeLines(server.client, db, settledLines.replaceAll('""', '\\"'));
  await sealAll(server.client, db);
  await writeLines(server.client, db, hotLines);
});
afterAll(async () => {
  await server.kill();
  removeDataDir(dataDir);
});

function ask(query: Record<string, string>, more: ExchangeRequest = {}): Promise<Exchange> {
  return exchange(server, '/api/v3/query_sql', { query: { db, ...query }, ...more });
}

const all = 'SELECT time, host, d, i, u, b, s FROM mix ORDER BY time';

describe('the formats', () => {
  const rows = [
    [
      '2020-09-13T12:26:40.000000001Z',
      'a',
      '1.5',
      '9007199254740993',
      '18446744073709551615',
      'true',
      'say "hi"',
    ],
    ['2020-09-13T12:26:40.500Z', 'b', '-0.25', null, null, null, 'b,c'],
    ['2020-09-13T12:26:41Z', null, null, '-1', null, 'false', null],
  ].map(([time, host, d, i, u, b, s]) => ({ time, host, d, i, u, b, s }));
  const timesNs = ['1600000000000000001', '1600000000500000000', '1600000001000000000'];
  const rowsNs = rows.map((row, index) => ({ ...row, time: timesNs[index] }));

  it('json and jsonl give the rows exactly', async () => {
    const json = await ask({ q: all });
    expect(json.headers.get('content-type')).toMatch(/^application\/json/);
    expect(jsonRows(json.text)).toEqual(rows);
    const lines = await ask({ q: all, format: 'jsonl' });
    expect(lines.text.endsWith('\n')).toBe(true);
    expect(
      lines.text
        .trimEnd()
        .split('\n')
        .flatMap((line) => jsonRows(`[${line}]`)),
    ).toEqual(rows);
  });

  it('csv quotes what must be quoted and leaves nulls empty', async () => {
    const csv = await ask({ q: all, format: 'csv' });
    expect(csv.headers.get('content-type')).toMatch(/^text\/csv/);
    expect(csv.text).toBe(`time,host,d,i,u,b,s
2020-09-13T12:26:40.000000001Z,a,1.5,9007199254740993,18446744073709551615,true,"say ""hi"""
2020-09-13T12:26:40.500Z,b,-0.25,,,,"b,c"
2020-09-13T12:26:41Z,,,-1,,false,
`);
  });

  it('pretty draws a table', async () => {
    const pretty = await ask({ q: 'SELECT host, i FROM mix ORDER BY time', format: 'pretty' });
    expect(pretty.text).toBe(`+------+------------------+
| host | i                |
+------+------------------+
| a    | 9007199254740993 |
| b    |                  |
|      | -1               |
+------+------------------+
`);
  });

  it('arrow is a stream that apache-arrow reads', async () => {
    const arrow = await ask({ q: all, format: 'arrow' });
    expect(arrow.headers.get('content-type')).toBe('application/vnd.apache.arrow.stream');
    expect(arrowRows(arrow.bytes)).toEqual(rowsNs);
    expect(arrowTypes(arrow.bytes)).toEqual([
      'Timestamp<NANOSECOND, UTC>',
      'Utf8',
      'Float64',
      'Int64',
      'Uint64',
      'Bool',
      'Utf8',
    ]);
  });

  it('parquet is a file that hyparquet reads', async () => {
    const parquet = await ask({ q: all, format: 'parquet' });
    expect(parquet.headers.get('content-type')).toBe('application/vnd.apache.parquet');
    expect(await parquetRows(parquet.bytes)).toEqual(rowsNs);
  });

  it('have a form for no rows', async () => {
    const none = `SELECT host, d FROM mix WHERE host = 'nobody'`;
    const answers = await Promise.all(
      ['json', 'jsonl', 'csv', 'pretty', 'arrow', 'parquet'].map((format) => ask({ q: none, format })),
    );
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200, 200, 200]);
    const [json, jsonl, csv, pretty, arrow, parquet] = answers as [
      Exchange,
      Exchange,
      Exchange,
      Exchange,
      Exchange,
      Exchange,
    ];
    expect([json.text, jsonl.text, csv.text]).toEqual(['[]', '', 'host,d\n']);
    expect(pretty.text).toBe('+------+---+\n| host | d |\n+------+---+\n+------+---+\n');
    expect(arrowRows(arrow.bytes)).toEqual([]);
    expect(arrowTypes(arrow.bytes)).toEqual(['Utf8', 'Float64']);
    expect(await parquetRows(parquet.bytes)).toEqual([]);
  });

  it('are chosen by Accept where format is absent', async () => {
    const one = 'SELECT 1 AS n';
    const csv = await ask({ q: one }, { headers: { accept: 'text/html;q=0.5, text/csv' } });
    expect(csv.text).toBe('n\n1\n');
    const stated = await ask({ q: one, format: 'jsonl' }, { headers: { accept: 'text/csv' } });
    expect(stated.text).toBe('{"n":1}\n');
    expect((await ask({ q: one }, { headers: { accept: '*/*' } })).text).toBe('[{"n":1}]');
    const unknown = await ask({ q: one, format: 'xml' });
    expect([unknown.status, unknown.body]).toEqual([
      400,
      { error: 'query: got format "xml"; want one of json, jsonl, csv, pretty, parquet, arrow' },
    ]);
  });

  it('write NaN and infinities as null in JSON only', async () => {
    const q = `SELECT 'nan'::DOUBLE AS a, 'inf'::DOUBLE AS b, '-inf'::DOUBLE AS c`;
    expect((await ask({ q })).text).toBe('[{"a":null,"b":null,"c":null}]');
    const arrow = await ask({ q, format: 'arrow' });
    expect(arrowRows(arrow.bytes)).toEqual([{ a: 'NaN', b: 'Infinity', c: '-Infinity' }]);
  });
});

describe('the parameters', () => {
  const byHost = 'SELECT d FROM mix WHERE host = $host AND d > $least';

  it('are values, by GET as JSON text and by POST as JSON', async () => {
    const params = { host: 'a', least: 1.25 };
    const got = await ask({ q: byHost, params: JSON.stringify(params) });
    expect(got.body).toEqual([{ d: 1.5 }]);
    const posted = await exchange(server, '/api/v3/query_sql', { body: { db, q: byHost, params } });
    expect(posted.body).toEqual([{ d: 1.5 }]);
    const mixed = await ask({ q: byHost }, { body: { params, format: 'csv' } });
    expect(mixed.text).toBe('d\n1.5\n');
  });

  it('never become SQL', async () => {
    const params = JSON.stringify({ host: `' OR 1=1 --`, least: 0 });
    expect((await ask({ q: byHost, params })).body).toEqual([]);
    const table = await ask({ q: 'SELECT * FROM $host', params: '{"host": "mix"}' });
    expect(table.status).toBe(400);
  });

  it.each([
    ['a missing value', { params: '{"host":"a"}' }, 'placeholder $least'],
    ['a value too many', { params: '{"host":"a","least":1,"most":2}' }, '$most'],
    ['no JSON', { params: '{host' }, 'no JSON'],
    ['a list', { params: '[1]' }, 'no JSON object'],
    ['an object as a value', { params: '{"host":{},"least":1}' }, '$host'],
    ['an integer that JSON cannot carry', { params: '{"host":"a","least":9007199254740993}' }, 'exactly'],
    ['another tier', { tier: 'cold' }, 'got tier "cold"; want all or settled'],
    ['an unknown parameter', { database: 'x' }, 'got the parameter "database"'],
  ])('%s is refused', async (_, query, words) => {
    const answer = await ask({ q: byHost, ...(query as Record<string, string>) });
    expect(answer.status).toBe(400);
    expect((answer.body as { error: string }).error).toContain(words);
  });

  it('must name a database and a statement, in a body that is an object', async () => {
    const path = '/api/v3/query_sql';
    const attempts: readonly ExchangeRequest[] = [
      { query: { db } },
      { query: { q: 'SELECT 1' } },
      { body: [1] },
      { body: '{"db":', headers: { 'content-type': 'application/json' }, method: 'POST' },
    ];
    for (const attempt of attempts) {
      const answer = await exchange(server, path, attempt);
      expect([attempt, answer.status]).toEqual([attempt, 400]);
      expect((answer.body as { error: string }).error).not.toBe('');
    }
  });
});

describe('SQL', () => {
  it('takes literals with a decimal point and casts to composed types', async () => {
    const q = `SELECT 1.5 + 1 AS a, 0.1::DECIMAL(4, 2) AS b, [1, 2]::BIGINT[] AS c, '{"k": 1}'::JSON ->> 'k' AS d,
      count(*) FILTER (d > -0.5) AS e FROM mix`;
    expect((await ask({ q })).text).toBe('[{"a":2.5,"b":0.10,"c":[1,2],"d":"1","e":2}]');
  });

  it.each([
    [`WITH a AS (SELECT host FROM mix) SELECT host FROM a WHERE host = 'a'`, [{ host: 'a' }]],
    [
      `SELECT host FROM mix WHERE host = 'a' UNION ALL SELECT 'z' ORDER BY host`,
      [{ host: 'a' }, { host: 'z' }],
    ],
    [`SELECT count(*) AS n FROM mix AS l JOIN mix AS r ON l.host = r.host`, [{ n: 2 }]],
    [
      `SELECT date_trunc('minute', time) AS t, count(*) AS n FROM mix GROUP BY 1`,
      [{ t: '2020-09-13T12:26:00Z', n: 3 }],
    ],
    [
      `SELECT host FROM mix WHERE time > '2020-09-13T12:26:40Z' AND time < '2020-09-13T12:26:40.1Z'`,
      [{ host: 'a' }],
    ],
    [`select HOST from MIX where Host = 'b'`, [{ host: 'b' }]],
    [`VALUES (1), (2)`, [{ col0: 1 }, { col0: 2 }]],
    [`SELECT 1 AS n;`, [{ n: 1 }]],
  ])('answers %s', async (q, rows) => {
    const answer = await ask({ q });
    expect([answer.status, answer.body]).toEqual([200, rows]);
  });

  // Work that grows with the square of the list held up the whole server for minutes: hence the limit.
  it('takes a list of 30,000 values', { timeout: 30_000 }, async () => {
    const values = Array.from({ length: 30_000 }, (_, index) => index - 10).join(', ');
    const answer = await ask({}, { body: { q: `SELECT count(*) AS n FROM mix WHERE i IN (${values})` } });
    expect(answer.text).toBe('[{"n":1}]');
  });

  it('knows its tables and columns', async () => {
    const tables = await ask({ q: 'SHOW TABLES' });
    expect(tables.body).toEqual([
      { table_catalog: 'public', table_schema: 'iox', table_name: 'mix', table_type: 'BASE TABLE' },
    ]);
    const columns = await ask({
      q: `SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'mix'
        ORDER BY column_name`,
    });
    expect(columns.body).toEqual([
      { column_name: 'b', data_type: 'BOOLEAN' },
      { column_name: 'd', data_type: 'DOUBLE' },
      { column_name: 'host', data_type: 'VARCHAR' },
      { column_name: 'i', data_type: 'BIGINT' },
      { column_name: 's', data_type: 'VARCHAR' },
      { column_name: 'time', data_type: 'TIMESTAMP_NS' },
      { column_name: 'u', data_type: 'UBIGINT' },
    ]);
  });

  it('is told where it is wrong', async () => {
    const syntax = await ask({ q: 'SELECT * FORM mix' });
    expect(syntax.status).toBe(400);
    expect((syntax.body as { error: string }).error).toMatch(/"FORM|"mix".* \(at character \d+\)/);
    const column = await ask({ q: 'SELECT time,\n  hots FROM mix' });
    expect(column.status).toBe(400);
    expect((column.body as { error: string }).error).toMatch(
      /"hots" not found[\s\S]*host[\s\S]*LINE 2[\s\S]*\^/,
    );
    const division = await ask({ q: `SELECT 'x'::BIGINT FROM mix` });
    expect(division.status).toBe(400);
  });

  it('answers 404 for a database and a table that there are not, with a table that is near', async () => {
    const database = await ask({ q: 'SELECT 1', db: 'nowhere' });
    expect([database.status, database.body]).toEqual([
      404,
      { error: 'query: got database "nowhere"; want one that exists' },
    ]);
    const table = await ask({ q: 'SELECT * FROM mixx' });
    expect([table.status, table.body]).toEqual([
      404,
      { error: 'query: got table "mixx"; want a table of database "shop", such as "mix"' },
    ]);
  });
});
