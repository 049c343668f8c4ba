import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ShardGroup } from '../../../core/catalog/types.js';
import type { DataFile } from '../../../core/iceberg/types.js';
import type { GroupId } from '../../../core/model/batch.js';
import { DuckDbEngine } from '../../../query/engine/duckdb-engine.js';
import type { SqlParameters } from '../../../query/engine/query-engine.js';
import { parseAst, printAst } from '../../../query/plan/ast.js';
import { extractBounds, noBounds, resolveBounds, type TableBounds } from '../../../query/plan/bounds.js';
import { mentionedColumns } from '../../../query/plan/mentioned-columns.js';
import { nearNames } from '../../../query/plan/near-names.js';
import { planTable, type TablePlan } from '../../../query/plan/plan-table.js';
import { decodeSnapshotToken, encodeSnapshotToken } from '../../../query/plan/snapshot-token.js';
import { mayHoldGroup } from '../../../query/plan/sources.js';
import { checkSql } from '../../../query/plan/sql-check.js';
import { readCommand } from '../../../query/plan/sql-command.js';
import { readTimeLiteral } from '../../../query/plan/time-literal.js';
import { noWatch, schemaOf, Warehouse } from './warehouse.js';

const warehouse = new Warehouse();
let engine: DuckDbEngine;
beforeAll(async () => {
  engine = await DuckDbEngine.open(warehouse.engineOptions(), noWatch);
});
afterAll(async () => {
  await engine.close();
  await warehouse.close();
});

const second = 1_000_000_000n;
const dayNs = 86_400n * second;
/** 2016-01-<day>T00:00:00Z */
const day = (number: number): bigint => BigInt(Date.UTC(2016, 0, number)) * 1_000_000n;
const nowMicros = day(10) / 1000n;

/** The bounds that a statement puts on table `t`. */
async function boundsOf(sql: string, parameters: SqlParameters = {}): Promise<TableBounds> {
  const { root } = parseAst((await engine.parse(sql)).ast);
  const facts = checkSql(root);
  const pending = extractBounds(root, facts.tables, parameters);
  const values = await engine.evaluate({ expressions: pending.expressions, parameters, nowMicros });
  const references = facts.tables.filter((table) => table.name === 't').map((table) => table.node);
  return resolveBounds(pending, references, values);
}

describe('bounds that SQL puts on time', () => {
  /** From and to in days of January 2016, null for none. */
  test.each<readonly [where: string, from: number | null, to: number | null]>([
    [`time >= '2016-01-02'`, 2, null],
    [`time > '2016-01-02T00:00:00Z' and time < '2016-01-03 00:00'`, 2, 3],
    [`'2016-01-02' <= time and '2016-01-03' > time`, 2, 3],
    [`time = '2016-01-02'`, 2, 2],
    [`time between '2016-01-02' and '2016-01-03'`, 2, 3],
    [`time >= '2016-01-02T02:00:00+02:00'`, 2, null],
    [`time >= now() - interval '8 days'`, 2, null],
    [`time >= current_timestamp - interval 8 days and time < current_date`, 2, 10],
    [`time >= ago(interval '1 day')`, 9, null],
    [`time >= timestamp '2016-01-02'`, 2, null],
    [`time >= '2016-01-02'::timestamp_ns`, 2, null],
    [`time >= date '2016-01-02' + 1`, 3, null],
    [`time >= make_timestamp(${day(2) / 1000n})`, 2, null],
    [`time >= to_timestamp(${day(2) / second})::timestamp`, 2, null],
    [`time >= date_trunc('month', now())`, 1, null],
    [`time >= $from`, 2, null],
    [`time >= $from::timestamp`, 2, null],
    [`t.time >= '2016-01-02'`, 2, null],
    [`host = 'a' and (time >= '2016-01-02' and (time < '2016-01-03'))`, 2, 3],
    [`time >= '2016-01-02' and time >= '2016-01-04'`, 4, null],
    // the parser itself turns this one round
    [`not (time >= '2016-01-02')`, null, 2],
    // these say less than they seem to, or say it where it does not count
    [`time >= '2016-01-02' or host = 'a'`, null, null],
    [`not (time >= '2016-01-02' and host = 'a')`, null, null],
    [`time not between '2016-01-02' and '2016-01-03'`, null, null],
    [`time <> '2016-01-02'`, null, null],
    [`time + interval '1 day' >= '2016-01-02'`, null, null],
    [`date_trunc('day', time) >= '2016-01-02'`, null, null],
    [`time >= (select max(time) from u)`, null, null],
    [`time >= host`, null, null],
    [`time >= timestamp '2016-01-02' + interval (random()) days`, null, null],
    [`time >= try_cast('2016-01-02' as timestamp)`, null, null],
    [`time >= 'no time'`, null, null],
    [`time >= 'infinity'`, null, null],
    [`u.time >= '2016-01-02'`, null, null],
    [`coalesce(time >= '2016-01-02', true)`, null, null],
  ])('where %s', async (where, from, to) => {
    const parameters = where.includes('$from') ? { from: '2016-01-02' } : {};
    const bounds = await boundsOf(`select * from t where ${where}`, parameters);
    const slack = 2_000n;
    expect(bounds.minTimeNs === null).toBe(from === null);
    expect(bounds.maxTimeNs === null).toBe(to === null);
    if (from !== null) {
      expect(bounds.minTimeNs).toBeLessThanOrEqual(day(from));
      expect(bounds.minTimeNs).toBeGreaterThanOrEqual(day(from) - slack);
    }
    if (to !== null) {
      expect(bounds.maxTimeNs).toBeGreaterThanOrEqual(day(to));
      expect(bounds.maxTimeNs).toBeLessThanOrEqual(day(to) + slack);
    }
  });

  const since2 = `time >= '2016-01-02'`;
  test.each<readonly [sql: string, isBound: boolean]>([
    [`select * from t x where x.${since2}`, true],
    [`select * from t x where t.${since2}`, false],
    [`select * from t, u where t.${since2}`, true],
    [`select * from t join u on t.host = u.host where t.${since2}`, true],
    [`select * from t cross join u where t.${since2}`, true],
    [`select * from t, u where ${since2}`, false],
    [`select * from t left join u using (host) where t.${since2}`, false],
    [`select * from u left join t using (host) where t.${since2}`, false],
    [`select * from t natural join u where t.${since2}`, false],
    [`select * from t asof join u using (time) where t.${since2}`, false],
    [`select * from t positional join u where t.${since2}`, false],
    [`select * from t semi join u using (host) where t.${since2}`, false],
    [`select * from t join u on t.host = u.host and t.${since2}`, false],
    [`select * from t x(time, a) where ${since2}`, false],
    [`select * from t tablesample 10% where ${since2}`, false],
    [`select * from (select * from t) where ${since2}`, false],
    [`select * from (select * from t where ${since2})`, true],
    [`with x as (select * from t where ${since2}) select * from x`, true],
    [`with x as (select * from t) select * from x where ${since2}`, false],
    [`select * from t where ${since2} union all select * from t where ${since2}`, true],
    [`select * from t where ${since2} union all select * from t`, false],
    [`select * from t a join t b on a.host = b.host where a.${since2}`, false],
    [`select * from t a join t b on a.host = b.host where a.${since2} and b.${since2}`, true],
    [`select * from u where exists (select 1 from t where ${since2})`, true],
    [`select max(time) from t having max(time) >= '2016-01-02'`, false],
    [`select * from t qualify ${since2}`, false],
  ])('%s', async (sql, isBound) => {
    expect((await boundsOf(sql)).minTimeNs !== null).toBe(isBound);
  });

  test('of several places that name a table the widest bounds hold', async () => {
    const bounds =
      await boundsOf(`select * from t where time >= '2016-01-03' and time < '2016-01-04' and host = 'a'
      union all select * from t where time >= '2016-01-02' and time < '2016-01-03' and host in ('b', 'c')`);
    expect(bounds).toEqual({
      minTimeNs: day(2) - 1000n,
      maxTimeNs: day(4) + 2000n,
      endNs: day(4),
      tags: [{ tag: 'host', values: ['a', 'b', 'c'] }],
    });
  });

  test('an end is exact where the SQL says so exactly', async () => {
    const endOf = async (where: string) => (await boundsOf(`select * from t where ${where}`)).endNs;
    expect(await endOf(`time < '2016-01-02'`)).toBe(day(2));
    expect(await endOf(`time <= '2016-01-02'`)).toBe(day(2) + 1n);
    expect(await endOf(`time = '2016-01-02'`)).toBe(day(2) + 1n);
    expect(await endOf(`time < timestamp '2016-01-02'`)).toBe(day(2) + 1000n);
    expect(await endOf(`time > '2016-01-02'`)).toBeNull();
  });
});

test.each<readonly [where: string, tags: TableBounds['tags']]>([
  [`host = 'a'`, [{ tag: 'host', values: ['a'] }]],
  [`'a' = HOST`, [{ tag: 'host', values: ['a'] }]],
  [`host in ('a', 'b')`, [{ tag: 'host', values: ['a', 'b'] }]],
  [`host is null`, [{ tag: 'host', values: [null] }]],
  [`host = $h`, [{ tag: 'host', values: ['x'] }]],
  [`host in ('a', lower('B'))`, []],
  [`host = 5`, []],
  [`host > 'a'`, []],
  [`host not in ('a')`, []],
  [`host <> 'a'`, []],
  [`host = 'a' or host = 'b'`, []],
  [`lower(host) = 'a'`, []],
  [`host is not null`, []],
])('bounds on tags: where %s', async (where, tags) => {
  const parameters = where.includes('$h') ? { h: 'x' } : {};
  expect((await boundsOf(`select * from t where ${where}`, parameters)).tags).toEqual(tags);
});

const schema = schemaOf('t', ['host', 'region'], { v: 'double' });

interface FileShape {
  readonly days: readonly [number, number];
  readonly hosts?: readonly [string, string] | null;
  readonly hostNulls?: number;
  readonly sequence?: number;
}

function file(
  name: string,
  { days, hosts = ['a', 'z'], hostNulls = 0, sequence = 1 + name.charCodeAt(0) / 1000 }: FileShape,
): DataFile {
  const bound = (value: string | undefined) => (value === undefined ? null : Buffer.from(value));
  const tag = (fieldId: number, range: readonly string[] | null, nullCount: number) => ({
    fieldId,
    compressedBytes: 1,
    valueCount: 10,
    nullCount: range === null ? 10 : nullCount,
    nanCount: null,
    lower: bound(range?.[0]),
    upper: bound(range?.[1]),
  });
  return {
    key: name,
    contentHash: name,
    bytes: 1,
    rows: 10,
    day: null,
    minTimeNs: day(days[0]),
    maxTimeNs: day(days[1]),
    columns: [tag(3, hosts, hostNulls), tag(4, ['eu', 'us'], 0)],
    rowGroupOffsets: [],
    sortedBy: [],
    sequence,
  };
}

function group(id: string, state: 'open' | 'closing', closeSequence: number | null): ShardGroup {
  const shards = [{ owners: [] }, { owners: [] }];
  return {
    id: id as GroupId,
    kind: 'late',
    startNs: null,
    endNs: null,
    state,
    closeSequence,
    shards,
  } as unknown as ShardGroup;
}

const chunk = (days: readonly [number, number], shard = 0) => ({
  shard,
  rows: 5,
  minTimeNs: day(days[0]),
  maxTimeNs: day(days[1]),
});

/** A plan in short: `a,b` for files as they are, `~g` for a hot group, `[a<b<~g]` for a merge. */
function planText(plan: TablePlan): string[] {
  return plan.parts.map((part) => {
    if (part.kind === 'settled') return part.files.map((one) => one.key).join(',');
    if (part.kind === 'hot')
      return `~${part.source.group}/${part.source.shards.map(({ shard }) => shard).join('+')}`;
    const names = part.sources.map((source) =>
      source.kind === 'hot' ? `~${source.group}` : source.file.key,
    );
    return `[${names.join('<')}]`;
  });
}

const plan = (
  files: readonly DataFile[],
  bounds: Partial<TableBounds> = {},
  hotGroups: readonly { group: ShardGroup; chunks: ReturnType<typeof chunk>[] }[] = [],
) => planText(planTable({ schema, files, hotGroups }, { ...noBounds, ...bounds }));

describe('a plan', () => {
  test('reads files that have no time in common as they are', () => {
    expect(plan([file('a', { days: [1, 2] }), file('b', { days: [3, 4] })])).toEqual(['a,b']);
  });
  test('merges files that touch, in order of their sequence, and what touches those', () => {
    const files = [
      file('c', { days: [3, 5], sequence: 3 }),
      file('a', { days: [1, 3], sequence: 5 }),
      file('b', { days: [5, 6], sequence: 1 }),
      file('d', { days: [7, 8], sequence: 2 }),
    ];
    expect(plan(files)).toEqual(['d', '[b<c<a]']);
  });
  test('reads files of other series as they are', () => {
    const files = [
      file('a', { days: [1, 2], hosts: ['a', 'f'] }),
      file('b', { days: [1, 2], hosts: ['g', 'z'] }),
    ];
    expect(plan(files)).toEqual(['a,b']);
    expect(plan([...files, file('c', { days: [1, 1], hosts: ['f', 'g'], sequence: 2 })])).toEqual([
      '[a<b<c]',
    ]);
  });
  test('reads files of one seal or one merge as they are, whatever their times and series', () => {
    const files = ['a', 'b', 'c'].map((name) => file(name, { days: [1, 2], sequence: 7 }));
    expect(plan(files)).toEqual(['a,b,c']);
    const late = file('d', { days: [2, 2], hosts: ['f', 'f'], sequence: 8 });
    expect(plan([...files, late])).toEqual(['[a<b<c<d]']);
    const apart = file('e', { days: [5, 5], sequence: 7 });
    expect(plan([...files, late, apart])).toEqual(['e', '[a<b<c<d]']);
  });
  test('takes series without the tag for series of one kind', () => {
    const none = (name: string) => file(name, { days: [1, 2], hosts: null });
    expect(plan([none('a'), none('b')])).toEqual(['[a<b]']);
    expect(plan([none('a'), file('b', { days: [1, 2] })])).toEqual(['a,b']);
    expect(plan([none('a'), file('b', { days: [1, 2], hostNulls: 1 })])).toEqual(['[a<b]']);
    const without = { ...none('c'), columns: none('c').columns.slice(1) };
    expect(plan([without, file('b', { days: [1, 2] })])).toEqual(['b,c']);
  });
  test('takes a tag without bounds for any', () => {
    const unknown = file('a', { days: [1, 2] });
    const columns = unknown.columns.map((column) => ({ ...column, lower: null, upper: null }));
    expect(plan([{ ...unknown, columns }, file('b', { days: [1, 2], hosts: ['q', 'q'] })])).toEqual([
      '[a<b]',
    ]);
  });
  test('puts hot over settled, open over closing, and later closing over earlier', () => {
    const groups = [
      { group: group('l3', 'open', null), chunks: [chunk([1, 1])] },
      { group: group('l2', 'closing', 4), chunks: [chunk([1, 1])] },
      { group: group('l1', 'closing', 5), chunks: [chunk([1, 1])] },
    ];
    expect(plan([file('a', { days: [1, 2], sequence: 99 })], {}, groups)).toEqual(['[a<~l2<~l1<~l3]']);
  });
  test('reads the shards of one group as one source', () => {
    const chunks = [chunk([1, 2]), chunk([1, 2], 1)];
    expect(plan([], {}, [{ group: group('l1', 'open', null), chunks }])).toEqual(['~l1/0+1']);
  });
  test('leaves out what lies outside the bounds, and what then no longer touches is not merged', () => {
    const files = [
      file('a', { days: [1, 3] }),
      file('b', { days: [3, 5], sequence: 2 }),
      file('c', { days: [6, 7] }),
    ];
    const bounds = { minTimeNs: day(4), maxTimeNs: day(5) };
    expect(plan(files, bounds)).toEqual(['b']);
    expect(plan(files, { minTimeNs: day(1), maxTimeNs: day(2) })).toEqual(['a']);
    const groups = [{ group: group('l1', 'open', null), chunks: [chunk([1, 1]), chunk([5, 9], 1)] }];
    expect(plan([], bounds, groups)).toEqual(['~l1/1']);
    expect(plan([file('x', { days: [1, 9] })], { minTimeNs: day(1), maxTimeNs: day(3) }, groups)).toEqual([
      '[x<~l1]',
    ]);
    const apart = { minTimeNs: day(2), maxTimeNs: day(3) };
    expect(plan([file('x', { days: [1, 9] })], apart, groups)).toEqual(['x']);
  });
  test('leaves out files by tags', () => {
    const files = [
      file('a', { days: [1, 1], hosts: ['a', 'f'] }),
      file('b', { days: [2, 2], hosts: ['g', 'z'], hostNulls: 1 }),
      file('n', { days: [3, 3], hosts: null }),
    ];
    const keep = (values: readonly (string | null)[], tag = 'host') =>
      plan(files, { tags: [{ tag, values }] });
    expect(keep(['f'])).toEqual(['a']);
    expect(keep(['b', 'h'])).toEqual(['a,b']);
    expect(keep([null])).toEqual(['b,n']);
    expect(keep(['~'])).toEqual([]);
    expect(keep(['q'], 'v')).toEqual(['a,b,n']);
    expect(keep(['q'], 'nothing')).toEqual(['a,b,n']);
  });
  test('keeps what a shortened bound leaves open', () => {
    // The upper bound of "host_1234567890123456" cut to 16 characters and counted up.
    const cut = file('a', { days: [1, 1], hosts: ['host_12345678901', 'host_12345678902'] });
    expect(plan([cut], { tags: [{ tag: 'host', values: ['host_1234567890123456'] }] })).toEqual(['a']);
  });
});

test('a window group is passed over by its window, an unbounded one never', () => {
  const bounds = { ...noBounds, minTimeNs: day(2), maxTimeNs: day(3) };
  const window = (from: number, to: number) =>
    ({ ...group('w1', 'open', null), startNs: day(from), endNs: day(to) }) as ShardGroup;
  const mayHold = (candidate: ShardGroup) => mayHoldGroup(candidate, bounds, 86_400_000);
  expect(mayHold(window(1, 2))).toBe(false);
  expect(mayHold(window(2, 3))).toBe(true);
  expect(mayHold(window(3, 4))).toBe(true);
  expect(mayHold({ ...window(3, 4), startNs: day(3) + 1n })).toBe(false);
  expect(mayHold(group('l1', 'open', null))).toBe(true);
});

test('a window group that was cut is read for all of its window', () => {
  const cut = { ...group('w1', 'closing', 1), startNs: day(2), endNs: day(2) + 10n } as ShardGroup;
  const afterTheCut = { ...noBounds, minTimeNs: day(2) + 1000n, maxTimeNs: day(3) };
  expect(mayHoldGroup(cut, afterTheCut, 86_400_000)).toBe(true);
  expect(mayHoldGroup(cut, { ...noBounds, minTimeNs: day(3), maxTimeNs: null }, 86_400_000)).toBe(false);
});

test.each([
  ['select usage from cpu c where host = 1', ['usage', 'host'], ['rack']],
  ['select count(*) from cpu', [], ['usage']],
  ['select x."Usage" from cpu x', ['usage'], ['rack']],
  ['select a.usage from cpu a join cpu b using (rack)', ['usage', 'rack'], ['host']],
])('%s mentions its columns', async (sql, mentioned, others) => {
  const names = mentionedColumns(parseAst((await engine.parse(sql)).ast).root, ['cpu']);
  for (const name of mentioned) expect(names).toContain(name);
  for (const name of others) expect(names).not.toContain(name);
});

test.each([
  'select * from cpu',
  'select c.* from cpu c',
  `select columns('u.*') from cpu`,
  'select cpu from cpu',
  'select c from cpu c',
  'select cpu.usage from cpu natural join other',
  'select a from cpu t(a)',
  'select #1 from cpu',
  'describe cpu',
  'from cpu',
  'select count(*) from (unpivot cpu on usage)',
])('%s may mean any column', async (sql) => {
  expect(mentionedColumns(parseAst((await engine.parse(sql)).ast).root, ['cpu'])).toBe('all');
});

test.each([
  ['2016-01-01', 0n, false],
  ['2016-01-01 00:01', 60n * second, false],
  ['2016-01-01T00:00:01Z', second, false],
  [' 2016-01-01T00:00:00.000000001Z ', 1n, false],
  ['2016-01-01T00:00:00+00:00', 0n, false],
  ['2016-01-01T02:00:00+02', 0n, true],
  ['2016-01-01T02:30:00+0230', 0n, true],
  ['2015-12-31T23:00:00.5-01:00', 500_000_000n, true],
  ['2016-02-29', 59n * dayNs, false],
  ['2015-02-29', undefined, false],
  ['2016-01-01T24:00:00', undefined, false],
  ['2016-01-01T00:60:00', undefined, false],
  ['2016-13-01', undefined, false],
  ['0000-01-01', undefined, false],
  ['2016', undefined, false],
  ['now', undefined, false],
  ['2016-01-01T00:00:00.0000000001Z', undefined, false],
])('time literal %s', (text, offsetNs, hasOffset) => {
  const wanted = offsetNs === undefined ? undefined : { timeNs: day(1) + offsetNs, hasOffset };
  expect(readTimeLiteral(text)).toEqual(wanted);
});

test.each([
  ['select 1', 'no', 'select 1'],
  ['  -- a\n/* b */ EXPLAIN  select 1', 'plan', 'select 1'],
  ['explain analyze\n select 1', 'analyze', 'select 1'],
  ['explain/**/analyze/**/select 1', 'analyze', 'select 1'],
  ['explainer', 'no', 'explainer'],
  [`select 'explain analyze'`, 'no', `select 'explain analyze'`],
])('command %j', (text, explain, sql) => {
  expect(readCommand(text)).toEqual({ explain, sql, table: null });
});

test('SHOW COLUMNS takes a quoted name', () => {
  expect(readCommand('show columns from "a ""b"" \'c\'" ;')).toMatchObject({ table: `a "b" 'c'` });
  expect(readCommand('SHOW COLUMNS IN cpu').table).toBe('cpu');
});

test('a snapshot token reads back, and nothing else does', () => {
  const token = { databaseId: 'db-1', tables: { cpu: '9223372036854775807', 'ä "b"': '0' } };
  const text = encodeSnapshotToken(token);
  expect(decodeSnapshotToken(text)).toEqual(token);
  for (let length = 0; length < text.length; length++) {
    expect(() => decodeSnapshotToken(text.slice(0, length))).toThrow(/snapshot: got/);
  }
  const forged = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  for (const value of [
    null,
    [],
    {},
    { v: 2, db: 'a', tables: {} },
    { v: 1, db: 5, tables: {} },
    { v: 1, db: 'a', tables: [] },
    { v: 1, db: 'a', tables: { cpu: 5 } },
    { v: 1, db: 'a', tables: { cpu: '../x' } },
  ]) {
    expect(() => decodeSnapshotToken(forged(value)), JSON.stringify(value)).toThrow(/snapshot: got/);
  }
});

test('names near a misspelt one, nearest first', () => {
  const names = ['cpu', 'mem', 'disk', 'cpu_load', 'diskio'];
  expect(nearNames('cpus', names)).toEqual(['cpu']);
  expect(nearNames('DISK', names)).toEqual(['disk', 'diskio']);
  expect(nearNames('temperature', names)).toEqual([]);
});

test('a parse tree prints back without loss of a digit', async () => {
  const sql = `SELECT 9223372036854775807, 0.1, 'a "quoted" {"$number":"1"} text', 12345678901234567890.5`;
  const { tree } = parseAst((await engine.parse(sql)).ast);
  const printed = await engine.print(printAst(tree));
  const again = parseAst((await engine.parse(printed)).ast);
  const literals = (json: string) => json.replaceAll(/"query_location":[^,}]*/g, '');
  expect(literals(printAst(again.tree))).toBe(literals(printAst(tree)));
  expect(printed).toContain('9223372036854775807');
  expect(printed).toContain('{"$number":"1"}');
});
