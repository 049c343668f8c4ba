import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isVarveError, type VarveError } from '../../../core/std/errors.js';
import type { QueryAnswer, QueryRequest } from '../../../query/query-request.js';
import type { QueryService } from '../../../query/query-service.js';
import { asked, bodyOf, type Point, rowsOf, schemaOf, Warehouse } from './warehouse.js';

const second = 1_000_000_000n;
const hour = 3600n * second;
const startNs = BigInt(Date.UTC(2016, 0, 1)) * 1_000_000n;

const cpuSchema = schemaOf('cpu', ['host', 'region'], {
  usage: 'double',
  count: 'bigint',
  big: 'ubigint',
  up: 'boolean',
  note: 'string',
});

async function answerOf(service: QueryService, request: QueryRequest): Promise<QueryAnswer> {
  const answer = await service.query(request);
  if (answer.kind === 'answer') for await (const _ of answer.body);
  return answer;
}

async function failureOf(promise: Promise<unknown>): Promise<VarveError> {
  try {
    await promise;
  } catch (error) {
    if (isVarveError(error)) return error;
    throw error;
  }
  throw new Error('got an answer; want a failure');
}

describe('files of one sequence', () => {
  const house = new Warehouse();
  let service: QueryService;
  const texts: string[] = [];
  const hosts = ['a', 'b', 'c', 'd'];
  const points = (from: number, to: number, value: number): Point[] =>
    hosts.flatMap((host) =>
      Array.from({ length: to - from }, (_, index) => ({
        timeNs: BigInt(from + index) * 1_000_000n,
        tags: { host },
        fields: { v: value + from + index },
      })),
    );
  beforeAll(async () => {
    service = await house.open();
    house.onExecute = (request) => {
      texts.push(request.views.flat().join(' '));
    };
    house.addTable(schemaOf('split', ['host'], { v: 'double' }));
    // One merge, which splits its rows in the midst of a series: the files overlap in time and in series.
    const merged = points(0, 1000, 0);
    for (const table of ['split', 'late']) {
      house.addTable(schemaOf(table, ['host'], { v: 'double' }));
      await house.seal(table, merged.slice(0, 2500), { sequence: 3 });
      await house.seal(table, merged.slice(2500), { sequence: 3 });
    }
    await house.seal('late', points(490, 510, 10_000), { sequence: 4 });
  });
  afterAll(() => house.close());

  test('are read as they are', async () => {
    const rows = await rowsOf(service, 'select count(*) n, sum(v) s from split');
    expect(rows).toEqual([{ n: 4000, s: 4 * ((999 * 1000) / 2) }]);
    expect(texts.at(-1)).not.toContain('GROUP BY');
  });

  test('are one layer under late rows, of which only those late rows are grouped', async () => {
    const rows = await rowsOf(service, 'select count(*) n, sum(v) s from late');
    expect(rows).toEqual([{ n: 4000, s: 4 * ((999 * 1000) / 2 + 20 * 10_000) }]);
    expect(texts.at(-1)).toContain('ANTI JOIN');
    const late = await rowsOf(service, `select v from late where host = 'b' and v >= 10000 order by time`);
    expect(late.map(({ v }) => v)).toEqual(Array.from({ length: 20 }, (_, index) => 10_490 + index));
  });
});

describe('a table over both tiers', () => {
  const warehouse = new Warehouse();
  let service: QueryService;
  beforeAll(async () => {
    service = await warehouse.open();
    warehouse.addTable(cpuSchema);
    warehouse.addTable(schemaOf('Mixed Case', [], { v: 'double' }));
    const points = [0n, 1n, 2n].flatMap((step) =>
      ['a', 'b'].map((host) => ({
        timeNs: startNs + step * second,
        tags: { host, region: 'eu' },
        fields: {
          usage: Number(step) + 0.5,
          count: 2n ** 60n + step,
          big: 2n ** 64n - 1n - step,
          up: step % 2n === 0n,
          note: `n${step}`,
        },
      })),
    );
    await warehouse.seal('cpu', points, { sequence: 1 });
    const group = warehouse.addGroup({ kind: 'late' });
    warehouse.write('cpu', group, [
      { timeNs: startNs + 2n * second, tags: { host: 'a', region: 'eu' }, fields: { usage: 99 } },
      {
        timeNs: startNs + hour,
        tags: { host: 'a-host-whose-name-is-long' },
        fields: { count: 7n, up: true, note: 'ü', big: 5n },
      },
    ]);
  });
  afterAll(() => warehouse.close());

  test('gives each point once, hot over settled, fields as a union', async () => {
    const rows = await rowsOf(
      service,
      `select * from cpu where time >= '2016-01-01T00:00:02Z' order by time, host`,
    );
    const base = { time: '2016-01-01T00:00:02Z', region: 'eu', up: true, note: 'n2' };
    expect(rows).toEqual([
      { ...base, host: 'a', usage: 99, count: Number(2n ** 60n + 2n), big: Number(2n ** 64n - 3n) },
      { ...base, host: 'b', usage: 2.5, count: Number(2n ** 60n + 2n), big: Number(2n ** 64n - 3n) },
      {
        time: '2016-01-01T01:00:00Z',
        host: 'a-host-whose-name-is-long',
        region: null,
        usage: null,
        count: 7,
        big: 5,
        up: true,
        note: 'ü',
      },
    ]);
  });

  test('writes integers past 2^53 exactly', async () => {
    const body = await bodyOf(
      service,
      asked(`select count, big, sum(count) over () s from cpu where host = 'b' order by time limit 1`),
    );
    expect(Buffer.from(body).toString('utf8')).toBe(
      '[{"count":1152921504606846976,"big":18446744073709551615,"s":3458764513820540931}]',
    );
  });

  test('reads only what is settled when asked to', async () => {
    expect(await rowsOf(service, 'select count(*) n, max(usage) m from cpu', { tier: 'settled' })).toEqual([
      { n: 6, m: 2.5 },
    ]);
    expect(await rowsOf(service, 'select count(*) n, max(usage) m from cpu')).toEqual([{ n: 7, m: 99 }]);
  });

  test('fetches only the columns that a statement can mean', async () => {
    expect(await rowsOf(service, `select note from cpu where time >= '2016-01-01T00:30:00Z'`)).toEqual([
      { note: 'ü' },
    ]);
    expect(await rowsOf(service, `select c from cpu c where time >= '2016-01-01T00:30:00Z'`)).toMatchObject([
      { c: { note: 'ü', count: 7, host: 'a-host-whose-name-is-long' } },
    ]);
  });

  test.each([
    ['joins', `select count(*) n from cpu a join cpu b on a.host = b.host and a.time = b.time`, 7],
    ['CTEs', `with x as (select * from cpu where host = 'a') select count(*) n from x`, 3],
    ['a CTE that hides a table', `with cpu as (select 1 as v) select count(*) n from cpu`, 1],
    [
      'a CTE over the table it hides',
      `with cpu as (select * from cpu where host = 'b') select count(*) n from cpu`,
      3,
    ],
    [
      'recursive CTEs',
      `with recursive r as (select 1 a union all select a + 1 from r where a < 5) select count(*) n from r`,
      5,
    ],
    ['unions', `select count(*) n from (select time from cpu union all select time from cpu) u`, 14],
    ['subqueries', `select count(*) n from cpu where usage = (select max(usage) from cpu)`, 1],
    ['values', `select count(*) n from (values (1), (2)) t(a)`, 2],
    ['range and unnest', `select sum(r) n from (select unnest(range(3)) r)`, 3],
    [
      'windows',
      `select max(n) n from (select row_number() over (partition by host order by time) n from cpu)`,
      3,
    ],
    ['other case', `select count(*) n from CPU where HOST = 'a'`, 3],
    ['quoted names', `select count(*) n from "Mixed Case"`, 0],
    [
      'unpivot',
      `select count(*) n from (unpivot (select usage, host from cpu where host = 'b') on usage)`,
      3,
    ],
    [
      'pivot with its values',
      `select count(*) n from (pivot (select host, usage from cpu) on host in ('a', 'b') using sum(usage))`,
      1,
    ],
    ['lambdas', `select list_sum(list_transform([1, 2], x -> x + 1)) n`, 5],
    ['parameters', `select count(*) n from cpu where host = $host`, 3],
  ])('takes %s', async (_name, sql, n) => {
    const parameters = sql.includes('$host') ? { host: 'a' } : {};
    expect(await rowsOf(service, sql, { parameters })).toEqual([{ n }]);
  });

  test('answers information_schema, SHOW and DESCRIBE out of the catalog', async () => {
    const tables = await rowsOf(service, 'show tables');
    expect(tables).toEqual([
      { table_catalog: 'public', table_schema: 'iox', table_name: 'Mixed Case', table_type: 'BASE TABLE' },
      { table_catalog: 'public', table_schema: 'iox', table_name: 'cpu', table_type: 'BASE TABLE' },
    ]);
    const columns = `select column_name, data_type, column_kind from information_schema.columns
      where tables.table_name = 'cpu'`;
    expect((await failureOf(rowsOf(service, columns))).kind).toBe('invalid');
    expect(await rowsOf(service, columns.replace('tables.', 'columns.'))).toEqual([
      { column_name: 'time', data_type: 'TIMESTAMP', column_kind: 'time' },
      { column_name: 'host', data_type: 'VARCHAR', column_kind: 'tag' },
      { column_name: 'region', data_type: 'VARCHAR', column_kind: 'tag' },
      { column_name: 'usage', data_type: 'DOUBLE', column_kind: 'field' },
      { column_name: 'count', data_type: 'BIGINT', column_kind: 'field' },
      { column_name: 'big', data_type: 'UBIGINT', column_kind: 'field' },
      { column_name: 'up', data_type: 'BOOLEAN', column_kind: 'field' },
      { column_name: 'note', data_type: 'VARCHAR', column_kind: 'field' },
    ]);
    expect(await rowsOf(service, 'SHOW COLUMNS FROM "Mixed Case";')).toMatchObject([
      { column_name: 'time' },
      { column_name: 'v', data_type: 'DOUBLE', is_nullable: 'YES' },
    ]);
    expect(await rowsOf(service, 'describe cpu')).toMatchObject([
      { column_name: 'time', column_type: 'TIMESTAMP' },
      ...cpuSchema.columns.map((column) => ({ column_name: column.name })),
    ]);
    expect((await failureOf(rowsOf(service, 'show columns in nothing'))).kind).toBe('not-found');
  });

  test('explains, and measures a SELECT', async () => {
    const plan = await rowsOf(service, 'explain select count(*) from cpu');
    expect(plan[0]?.['explain_value']).toContain('VARVE_HOT');
    const measured = await rowsOf(service, '/* how? */ EXPLAIN ANALYZE select count(*) from cpu');
    expect(measured[0]?.['explain_value']).toContain('Total Time');
  });

  test.each([
    ['a syntax error', 'select * frm cpu', 'invalid', 'at character 14'],
    ['an unknown column', 'select nothing from cpu', 'invalid', 'LINE 1'],
    ['a failing cast', `select cast(note as integer) from cpu`, 'invalid', 'Conversion Error'],
    ['an unknown table', 'select * from cpi', 'not-found', 'such as "cpu"'],
    ['a placeholder without a value', 'select $x', 'invalid', '$x'],
    ['a schema', 'select * from public.cpu', 'not-found', 'public.cpu'],
  ])('says what is wrong with %s', async (_name, sql, kind, part) => {
    const error = await failureOf(rowsOf(service, sql));
    expect(error).toMatchObject({ kind });
    expect(error.message).toContain(part);
  });

  test('refuses a value that no placeholder takes, an unknown database, and a foreign snapshot', async () => {
    const failure = (rest: Partial<QueryRequest>) => failureOf(rowsOf(service, 'select 1 from cpu', rest));
    expect((await failure({ parameters: { a: 1 } })).kind).toBe('invalid');
    expect((await failure({ database: 'other' })).kind).toBe('not-found');
    expect((await failure({ snapshot: 'garbage' })).kind).toBe('invalid');
  });
});

describe('time', () => {
  const warehouse = new Warehouse();
  let service: QueryService;
  beforeAll(async () => {
    service = await warehouse.open();
    for (const [table, hasTimeNs] of [
      ['us', false],
      ['ns', true],
    ] as const) {
      warehouse.addTable(schemaOf(table, ['host'], { v: 'bigint', at: 'string' }, hasTimeNs));
      const nanos = hasTimeNs ? 7n : 0n;
      await warehouse.seal(
        table,
        [0n, 90n, 3600n].map((step) => ({
          timeNs: startNs + step * second + 123_456_000n + nanos,
          tags: { host: '2016-01-01T00:00:00+02:00' },
          fields: { v: step, at: 'x' },
        })),
        { sequence: 1 },
      );
      const group = warehouse.addGroup({ kind: 'late' });
      const timeNs = startNs + 24n * hour - nanos;
      warehouse.write(table, group, [{ timeNs, tags: { host: 'h' }, fields: { v: 1n, at: 'y' } }]);
    }
    // now = 2016-01-02T00:00:00Z
  });
  afterAll(() => warehouse.close());

  const cases: readonly (readonly [string, string, unknown])[] = [
    ['UTC text', `select count(*) n from $T where time >= '2016-01-01T00:01:00Z'`, 3],
    ['text with a blank', `select count(*) n from $T where time >= '2016-01-01 00:01:00'`, 3],
    ['a day', `select count(*) n from $T where time < '2016-01-02'`, { us: 3, ns: 4 }],
    ['an offset', `select count(*) n from $T where time >= '2016-01-01T02:01:00+02:00'`, 3],
    [
      'an offset in BETWEEN',
      `select count(*) n from $T where time between '2016-01-01T02:01:00+02:00' and '2016-01-01T05:00:00+02:00'`,
      2,
    ],
    [
      'an offset against an expression',
      `select count(*) n from $T where date_trunc('minute', time) >= '2016-01-01T02:01:00+02:00'`,
      3,
    ],
    ['an offset that is a tag', `select count(*) n from $T where host = '2016-01-01T00:00:00+02:00'`, 3],
    ['now()', `select count(*) n from $T where time >= now() - interval '1 hour'`, 1],
    ['current_timestamp', `select count(*) n from $T where time > current_timestamp - interval 25 hours`, 4],
    ['ago()', `select count(*) n from $T where time > ago(interval '30 minutes')`, 1],
    ['today', `select count(*) n from $T where time < current_date`, { us: 3, ns: 4 }],
    [
      'a timestamp with time zone',
      `select count(*) n from $T where time::timestamptz >= timestamptz '2016-01-01 02:01:00+02'`,
      3,
    ],
    ['date_trunc', `select date_trunc('hour', time) n from $T order by 1 limit 1`, '2016-01-01T00:00:00Z'],
    [
      'time_bucket',
      `select time_bucket(interval '1 minute', time) n from $T order by 1 desc limit 1 offset 2`,
      '2016-01-01T00:01:00Z',
    ],
    [
      'date_bin',
      `select date_bin(interval '15 minutes', time) n from $T order by 1 limit 1 offset 2`,
      '2016-01-01T01:00:00Z',
    ],
    [
      'date_bin with an origin',
      `select date_bin('1 hour', time, '2016-01-01T00:30:00Z') n from $T order by 1 limit 1`,
      '2015-12-31T23:30:00Z',
    ],
    [
      'epoch_ns',
      `select epoch_ns(min(time)) n from $T`,
      { us: Number(1451606400123456000n), ns: Number(1451606400123456007n) },
    ],
    [
      'the time itself',
      `select min(time) n from $T`,
      { us: '2016-01-01T00:00:00.123456Z', ns: '2016-01-01T00:00:00.123456007Z' },
    ],
    ['exact equality', `select count(*) n from $T where time = '2016-01-01T00:00:00.123456007Z'`, 1],
    ['extract', `select extract(hour from max(time)) n from $T`, { us: 0, ns: 23 }],
  ];
  test.each(['us', 'ns'].flatMap((table) => cases.map((one) => [table, ...one] as const)))(
    '%s table: %s',
    async (table, _name, sql, wanted) => {
      const n = typeof wanted === 'object' ? (wanted as Record<string, unknown>)[table] : wanted;
      expect(await rowsOf(service, sql.replace('$T', table))).toEqual([{ n }]);
    },
  );

  test('a placeholder with an offset is an instant, compared with a tag it is text', async () => {
    const parameters = { t: '2016-01-01T02:01:00+02:00' };
    const count = (where: string) =>
      rowsOf(service, `select count(*) n from us where ${where}`, { parameters });
    expect(await count('time >= $t')).toEqual([{ n: 3 }]);
    expect(await count('host = $t')).toEqual([{ n: 0 }]);
  });

  test('a query has one now', async () => {
    expect(
      await rowsOf(
        service,
        'select now() = current_timestamp and now() = transaction_timestamp() n, now() t',
      ),
    ).toEqual([{ n: true, t: '2016-01-02T00:00:00Z' }]);
  });
});

describe('snapshots and tags', () => {
  const warehouse = new Warehouse();
  let service: QueryService;
  const point = (hours: bigint, v: number) => ({
    timeNs: startNs + hours * hour,
    tags: { host: 'a' },
    fields: { v },
  });
  beforeAll(async () => {
    service = await warehouse.open();
    warehouse.addTable(schemaOf('m', ['host'], { v: 'double' }));
    warehouse.addTable(schemaOf('other', ['host'], { v: 'double' }));
    await warehouse.seal('m', [point(0n, 1)], { sequence: 1 });
    warehouse.settledThroughNs = startNs + 2n * hour;
  });
  afterAll(() => warehouse.close());

  const settledSql = `select max(v) s from m where time < '2016-01-01T02:00:00Z'`;

  test('a settled answer has a strong tag, and the tag answers for it', async () => {
    const first = await answerOf(service, asked(settledSql));
    expect(first.facts.etag).toMatch(/^"[\w-]{43}"$/);
    expect(first.facts).toMatchObject({ tiers: 'settled', settledThroughNs: startNs + 2n * hour });
    const again = await service.query(asked(settledSql, { ifNoneMatch: `"x", W/${first.facts.etag}` }));
    expect(again.kind).toBe('not-modified');
    const other = await service.query(asked(`${settledSql} `, { ifNoneMatch: first.facts.etag }));
    expect(other.kind).toBe('answer');
    if (other.kind === 'answer') await other.body[Symbol.asyncIterator]().return?.();
  });

  test('a tag is weak where two computations may differ in the last digit, and answers all the same', async () => {
    const sql = `select host, avg(v) from m where time < '2016-01-01T02:00:00Z' group by host order by host`;
    const { etag } = (await answerOf(service, asked(sql))).facts;
    expect(etag).toMatch(/^W\/"[\w-]{43}"$/);
    expect((await service.query(asked(sql, { ifNoneMatch: etag }))).kind).toBe('not-modified');
    expect((await service.query(asked(sql, { ifNoneMatch: etag?.slice(2) ?? '' }))).kind).toBe(
      'not-modified',
    );
    const strong = `select min(v), max(v), count(*) from m where time < '2016-01-01T02:00:00Z'`;
    expect((await answerOf(service, asked(strong))).facts.etag).toMatch(/^"/);
  });

  test.each([
    ['no bound', 'select sum(v) from m'],
    ['a bound past the watermark', `select sum(v) from m where time < '2016-01-01T02:00:00.000001Z'`],
    ['a closed bound on the watermark', `select sum(v) from m where time <= '2016-01-01T02:00:00Z'`],
    ['a bound that only one reference has', `${settledSql} and v in (select v from m)`],
    ['a bound under OR', `select sum(v) from m where time < '2016-01-01T02:00:00Z' or v > 5`],
    ['now()', `${settledSql} and time < now()`],
    ['current_date', `select current_date, v from m where time < '2016-01-01T01:00:00Z'`],
    ['random()', `select random() from m where time < '2016-01-01T01:00:00Z'`],
    ['the plan of the engine', `explain ${settledSql}`],
    ['the catalog', `select * from information_schema.tables`],
  ])('%s has no tag', async (_name, sql) => {
    expect((await answerOf(service, asked(sql))).facts.etag).toBeNull();
  });

  test('a new snapshot, another format, other parameters and another column change the tag', async () => {
    const tag = async (rest: Partial<QueryRequest> = {}, sql = settledSql): Promise<string | null> =>
      (await answerOf(service, asked(sql, { tier: 'settled', ...rest }))).facts.etag;
    const tags = [await tag(), await tag({ format: 'csv' })];
    tags.push(await tag({ parameters: { a: 1 } }, 'select v, $a from m'));
    tags.push(await tag({ parameters: { a: '1' } }, 'select v, $a from m'));
    const open = `select * from m where time < '2016-01-01T02:00:00Z'`;
    tags.push((await answerOf(service, asked(open))).facts.etag);
    warehouse.setSchema(schemaOf('m', ['host'], { v: 'double', w: 'double' }));
    tags.push((await answerOf(service, asked(open))).facts.etag);
    await warehouse.seal('m', [point(1n, 2)], { sequence: 2 });
    tags.push(await tag());
    expect(new Set(tags).size).toBe(tags.length);
    expect(tags).not.toContain(null);
  });

  test('a hot point in settled time takes the tag away until history holds it', async () => {
    const before = await answerOf(service, asked(settledSql));
    expect(before.facts.etag).not.toBeNull();
    const group = warehouse.addGroup({ kind: 'late' });
    warehouse.write('m', group, [point(0n, 10)]);
    expect(await rowsOf(service, settledSql)).toEqual([{ s: 10 }]);
    expect((await answerOf(service, asked(settledSql))).facts).toMatchObject({
      etag: null,
      tiers: 'settled,hot',
    });

    await warehouse.seal('m', [point(0n, 10)], { sequence: 3, groups: [group] });
    expect(await rowsOf(service, settledSql)).toEqual([{ s: 10 }]);
    const after = await answerOf(service, asked(settledSql));
    expect(after.facts.etag).not.toBeNull();
    expect(after.facts.etag).not.toBe(before.facts.etag);
  });

  test('a snapshot is asked again by its token, whatever came since', async () => {
    const answer = await answerOf(service, asked('select sum(v) s, count(*) n from m'));
    const sql = 'select sum(v) s, count(*) n from m';
    const pinned = await rowsOf(service, sql, { snapshot: answer.facts.snapshot });
    await warehouse.seal('m', [point(5n, 1000)], { sequence: 4 });
    expect(await rowsOf(service, sql, { snapshot: answer.facts.snapshot })).toEqual(pinned);
    expect(await rowsOf(service, sql)).not.toEqual(pinned);
    const again = await answerOf(service, asked(sql, { snapshot: answer.facts.snapshot }));
    expect(again.facts).toMatchObject({ snapshot: answer.facts.snapshot, tiers: 'settled' });
    expect(again.facts.historyRoot).toBe(answer.facts.historyRoot);

    const foreign = await failureOf(
      rowsOf(service, 'select 1 from other', { snapshot: answer.facts.snapshot }),
    );
    expect(foreign.message).toContain('does not name table "other"');
    warehouse.snapshots.clear();
    const expired = await failureOf(rowsOf(service, sql, { snapshot: answer.facts.snapshot }));
    expect(expired.kind).toBe('not-found');
  });
});

describe('sealing while a query is planned', () => {
  test('a group that is sealed and dropped between catalog and scan is read from history', async () => {
    const warehouse = new Warehouse();
    try {
      const service = await warehouse.open();
      warehouse.addTable(schemaOf('m', ['host'], { v: 'double' }));
      const points = [{ timeNs: startNs, tags: { host: 'a' }, fields: { v: 1 } }];
      const group = warehouse.addGroup({ kind: 'late' });
      warehouse.write('m', group, points);
      const { describe: describeHot, scan } = warehouse.hot;
      for (const when of ['describe', 'scan'] as const) {
        let isSealed = false;
        const seal = async (): Promise<void> => {
          if (isSealed) return;
          isSealed = true;
          if (warehouse.records.get('m')?.snapshotId === null) {
            await warehouse.seal('m', points, { sequence: 1, groups: [group] });
            warehouse.tier.drop(warehouse.database.id, group);
          }
        };
        warehouse.hot.describe = async (request) => {
          if (when === 'describe') await seal();
          return describeHot.call(warehouse.hot, request);
        };
        warehouse.hot.scan = async function* (request, signal) {
          if (when === 'scan') await seal();
          yield* scan.call(warehouse.hot, request, signal);
        };
        expect(await rowsOf(service, 'select v from m'), when).toEqual([{ v: 1 }]);
      }
    } finally {
      await warehouse.close();
    }
  });
});

describe('limits', () => {
  const warehouse = new Warehouse();
  let service: QueryService;
  beforeAll(async () => {
    service = await warehouse.open({ runningMax: 1, waitingMax: 1, timeMs: 1000, heldBytesMax: 100_000 });
    warehouse.addTable(schemaOf('m', ['host'], { v: 'double' }));
  });
  afterAll(() => warehouse.close());

  const endless = 'select count(*) from range(100000000000) a where hash(a.range) % 7 = 1';

  test('a query that takes too long is interrupted, and the next one runs', async () => {
    const answer = await service.query(asked('select * from range(100000000000)', { format: 'jsonl' }));
    const failure = failureOf(collect(answer));
    await warehouse.clock.advance(1001);
    expect((await failure).kind).toBe('timeout');
    expect(await rowsOf(service, 'select 1 a')).toEqual([{ a: 1 }]);
  });

  test('a caller that goes away interrupts its query before the first row', async () => {
    const abort = new AbortController();
    warehouse.onExecute = () => setImmediate(() => abort.abort());
    const failure = failureOf(service.query(asked(endless), abort.signal).then(collect));
    expect((await failure).kind).toBe('cancelled');
    warehouse.onExecute = () => {};
    expect(await rowsOf(service, 'select 1 a')).toEqual([{ a: 1 }]);
  });

  test('an answer that is left lets go of its slot, read or not', async () => {
    for (const takes of [0, 1]) {
      const answer = await service.query(asked('select * from range(100000)', { format: 'jsonl' }));
      if (answer.kind !== 'answer') throw new Error('want an answer');
      const pieces = answer.body[Symbol.asyncIterator]();
      for (let taken = 0; taken < takes; taken++) await pieces.next();
      await pieces.return?.();
    }
    expect(await rowsOf(service, 'select 1 a')).toEqual([{ a: 1 }]);
  });

  test('past the queue the answer is busy', async () => {
    const running = await service.query(asked('select 1 a'));
    const others = [2, 3].map((value) =>
      rowsOf(service, `select ${value} a`).then(
        () => 'answered',
        (error: unknown) => (isVarveError(error) ? error.kind : error),
      ),
    );
    expect(await Promise.race(others)).toBe('busy');
    await collect(running);
    expect((await Promise.all(others)).sort()).toEqual(['answered', 'busy']);
  });

  test('memory that runs out is told as such', async () => {
    const sql = 'select list(md5(range::varchar)) from range(20000000)';
    expect((await failureOf(rowsOf(service, sql))).kind).toBe('exhausted');
    expect(await rowsOf(service, 'select 1 a')).toEqual([{ a: 1 }]);
  });

  test('a Parquet answer above its limit is too large', async () => {
    const request = asked('select md5(range::varchar) m from range(200000)', { format: 'parquet' });
    expect((await failureOf(bodyOf(service, request))).kind).toBe('too-large');
  });
});

async function collect(answer: QueryAnswer): Promise<void> {
  if (answer.kind === 'answer') for await (const _ of answer.body);
}
