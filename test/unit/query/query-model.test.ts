import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TableSchema } from '../../../core/model/schema.js';
import { formatTimeNs } from '../../../core/model/window.js';
import type { QueryService } from '../../../query/query-service.js';
import { type FieldValue, type Point, rowsOf, schemaOf, Warehouse } from './warehouse.js';

const warehouse = new Warehouse();
let service: QueryService;
beforeAll(async () => {
  service = await warehouse.open();
});
afterAll(() => warehouse.close());

const startNs = BigInt(Date.UTC(2016, 0, 1)) * 1_000_000n;
const fields = { d: 'double', i: 'bigint', u: 'ubigint', b: 'boolean', s: 'string' } as const;

/** Few times and few series, so that sources overlap. */
const stepNs = (hasTimeNs: boolean): bigint => (hasTimeNs ? 333n : 1_000_000_000n);
const timeOf = (step: number, hasTimeNs: boolean): bigint => startNs + BigInt(step) * stepNs(hasTimeNs);

interface Scenario {
  readonly hasTimeNs: boolean;
  readonly sources: readonly {
    readonly kind: 'file' | 'closing' | 'open';
    readonly points: readonly RawPoint[];
  }[];
  readonly where: Condition;
  readonly pruned: readonly string[];
}

interface RawPoint {
  readonly step: number;
  readonly host: string | null;
  readonly region: string | null;
  readonly values: Readonly<Record<string, FieldValue | undefined>>;
}

type Condition =
  | { readonly kind: 'time'; readonly operator: string; readonly step: number; readonly style: number }
  | { readonly kind: 'between'; readonly from: number; readonly to: number }
  | {
      readonly kind: 'tag';
      readonly tag: 'host' | 'region';
      readonly values: readonly string[];
      readonly isNot: boolean;
    }
  | { readonly kind: 'null'; readonly tag: 'host' | 'region' }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Condition[] }
  | { readonly kind: 'not'; readonly part: Condition };

const tagValue = fc.constantFrom('a', 'b', 'ä-name-longer-than-inline', null);
const point: fc.Arbitrary<RawPoint> = fc.record({
  step: fc.integer({ min: 0, max: 12 }),
  host: tagValue,
  region: tagValue,
  values: fc.record(
    {
      d: fc.constantFrom(0.5, -1.25, 1e9),
      i: fc.bigInt({ min: -(2n ** 50n), max: 2n ** 50n }),
      u: fc.bigInt({ min: 0n, max: 2n ** 50n }),
      b: fc.boolean(),
      s: fc.constantFrom('', 'x', 'a string that is longer', '√'),
    },
    { requiredKeys: [] },
  ),
});

const condition: fc.Arbitrary<Condition> = fc.letrec<{ node: Condition; leaf: Condition }>((tie) => ({
  leaf: fc.oneof(
    fc.record({
      kind: fc.constant('time' as const),
      operator: fc.constantFrom('<', '<=', '>', '>=', '=', '<>'),
      step: fc.integer({ min: -1, max: 13 }),
      style: fc.integer({ min: 0, max: 5 }),
    }),
    fc.record({
      kind: fc.constant('between' as const),
      from: fc.integer({ min: -1, max: 13 }),
      to: fc.integer({ min: -1, max: 13 }),
    }),
    fc.record({
      kind: fc.constant('tag' as const),
      tag: fc.constantFrom('host' as const, 'region' as const),
      values: fc.array(fc.constantFrom('a', 'b', 'ä-name-longer-than-inline', 'zz', ''), {
        minLength: 1,
        maxLength: 3,
      }),
      isNot: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('null' as const),
      tag: fc.constantFrom('host' as const, 'region' as const),
    }),
  ),
  node: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    tie('leaf'),
    fc.record({
      kind: fc.constantFrom('and' as const, 'and' as const, 'or' as const),
      parts: fc.array(tie('node'), { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('not' as const), part: tie('node') }),
  ),
})).node;

const scenario: fc.Arbitrary<Scenario> = fc.record({
  hasTimeNs: fc.boolean(),
  sources: fc.array(
    fc.record({
      kind: fc.constantFrom('file' as const, 'file' as const, 'closing' as const, 'open' as const),
      points: fc.array(point, { minLength: 1, maxLength: 8 }),
    }),
    { maxLength: 6 },
  ),
  where: condition,
  pruned: fc.subarray(['d', 'i', 'u', 'b', 's', 'region']),
});

/** The SQL of a condition; `style` writes the same instant in several ways. */
function sqlOf(where: Condition, hasTimeNs: boolean): string {
  switch (where.kind) {
    case 'time':
      return comparisonSql(
        where.operator,
        timeSql(timeOf(where.step, hasTimeNs), where.style, hasTimeNs),
        where.style,
      );
    case 'between':
      return `time between '${formatTimeNs(timeOf(where.from, hasTimeNs))}' and '${formatTimeNs(timeOf(where.to, hasTimeNs))}'`;
    case 'tag': {
      const values = where.values.map((value) => `'${value}'`);
      const equals = values.length === 1 && !where.isNot ? `t.${where.tag} = ${values[0]}` : '';
      return equals || `${where.tag} ${where.isNot ? 'not ' : ''}in (${values.join(', ')})`;
    }
    case 'null':
      return `${where.tag} is null`;
    case 'and':
    case 'or':
      return `(${where.parts.map((part) => sqlOf(part, hasTimeNs)).join(` ${where.kind} `)})`;
    case 'not':
      return `not (${sqlOf(where.part, hasTimeNs)})`;
  }
}

const mirrored: Readonly<Record<string, string>> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=' };

/** Some styles put the constant first. */
function comparisonSql(operator: string, constant: string, style: number): string {
  return style % 2 === 0
    ? `time ${operator} ${constant}`
    : `${constant} ${mirrored[operator] ?? operator} time`;
}

function timeSql(timeNs: bigint, style: number, hasTimeNs: boolean): string {
  const text = formatTimeNs(timeNs);
  const withOffset = `${formatTimeNs(timeNs + 7200n * 1_000_000_000n).slice(0, -1)}+02:00`;
  switch (style) {
    case 0:
      return `'${withOffset}'`;
    case 1:
      return hasTimeNs ? `make_timestamp_ns(${timeNs})` : `make_timestamp(${timeNs / 1000n})`;
    case 2:
      return hasTimeNs ? `'${text}'` : `(timestamp '${text.slice(0, -1)}' + interval '0 seconds')`;
    case 3:
      return `'${text}'::${hasTimeNs ? 'timestamp_ns' : 'timestamp'}`;
    default:
      return `'${text}'`;
  }
}

/** SQL's three values: true, false, null for unknown. */
function holds(where: Condition, point: ModelPoint, hasTimeNs: boolean): boolean | null {
  switch (where.kind) {
    case 'time':
      return compare(point.timeNs, where.operator, timeOf(where.step, hasTimeNs));
    case 'between':
      return point.timeNs >= timeOf(where.from, hasTimeNs) && point.timeNs <= timeOf(where.to, hasTimeNs);
    case 'tag': {
      const value = point.tags[where.tag];
      return value === undefined ? null : where.values.includes(value) !== where.isNot;
    }
    case 'null':
      return point.tags[where.tag] === undefined;
    case 'and':
    case 'or': {
      const parts = where.parts.map((part) => holds(part, point, hasTimeNs));
      const decisive = where.kind === 'or';
      if (parts.includes(decisive)) return decisive;
      return parts.includes(null) ? null : !decisive;
    }
    case 'not': {
      const part = holds(where.part, point, hasTimeNs);
      return part === null ? null : !part;
    }
  }
}

function compare(left: bigint, operator: string, right: bigint): boolean {
  if (operator === '=') return left === right;
  if (operator === '<>') return left !== right;
  if (left === right) return operator.endsWith('=');
  return left < right === operator.startsWith('<');
}

interface ModelPoint {
  readonly timeNs: bigint;
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: Record<string, FieldValue>;
}

const keyOf = (point: Point): string =>
  JSON.stringify([String(point.timeNs), point.tags['host'], point.tags['region']]);

/** Points of a source as it holds them: one a key, the last value of each field. */
function merged(points: readonly Point[]): ModelPoint[] {
  const byKey = new Map<string, ModelPoint>();
  for (const one of points) {
    const known = byKey.get(keyOf(one));
    if (known === undefined) byKey.set(keyOf(one), { ...one, fields: { ...one.fields } });
    else Object.assign(known.fields, one.fields);
  }
  return [...byKey.values()];
}

function toPoint(raw: RawPoint, hasTimeNs: boolean): Point {
  const tags: Record<string, string> = {};
  if (raw.host !== null) tags['host'] = raw.host;
  if (raw.region !== null) tags['region'] = raw.region;
  const present = Object.entries(raw.values).filter(([, value]) => value !== undefined);
  const values = present.length === 0 ? { i: 0n } : Object.fromEntries(present);
  return { timeNs: timeOf(raw.step, hasTimeNs), tags, fields: values as Record<string, FieldValue> };
}

function rowOf(one: ModelPoint): Record<string, unknown> {
  const row: Record<string, unknown> = {
    time: formatTimeNs(one.timeNs),
    host: one.tags['host'] ?? null,
    region: one.tags['region'] ?? null,
  };
  for (const name of Object.keys(fields)) {
    const value = one.fields[name];
    row[name] = value === undefined ? null : typeof value === 'bigint' ? Number(value) : value;
  }
  return row;
}

let tables = 0;

/** Puts the sources where they belong and answers the points in ascending precedence. */
async function build(schema: TableSchema, { sources, hasTimeNs, pruned }: Scenario): Promise<Point[]> {
  warehouse.groups = [];
  warehouse.addTable(schema);
  const byKind = (kind: string) => sources.filter((source) => source.kind === kind);
  const ordered: Point[] = [];
  let sequence = 0;
  for (const source of byKind('file')) {
    const points = merged(source.points.map((raw) => toPoint(raw, hasTimeNs)));
    // Some files are older than some columns.
    const isOld = ++sequence % 2 === 1;
    const old = points.map((one) => withoutColumns(one, isOld ? pruned : []));
    const columns = schema.columns
      .map((column) => column.name)
      .filter((name) => !isOld || !pruned.includes(name));
    const written = merged(old);
    await warehouse.seal(schema.table, written, { sequence, columns });
    ordered.push(...old);
  }
  let closeSequence = 10;
  for (const kind of ['closing', 'open'] as const) {
    for (const source of byKind(kind)) {
      const points = source.points.map((raw) => toPoint(raw, hasTimeNs));
      const state = {
        kind: 'late',
        state: kind,
        closeSequence: kind === 'open' ? null : closeSequence++,
      } as const;
      const group = warehouse.addGroup(state);
      // A series is in one shard: split by host.
      for (const shard of [0, 1]) {
        const inShard = points.filter((one) => (one.tags['host'] === 'a' ? 1 : 0) === shard);
        warehouse.write(schema.table, group, inShard, shard);
      }
      ordered.push(...points);
    }
  }
  return ordered;
}

function withoutColumns(one: Point, names: readonly string[]): Point {
  const keep = <Value>(from: Readonly<Record<string, Value>>): Record<string, Value> =>
    Object.fromEntries(Object.entries(from).filter(([name]) => !names.includes(name)));
  return { timeNs: one.timeNs, tags: keep(one.tags), fields: keep(one.fields) };
}

const seed = Number(process.env['FC_SEED'] ?? 20160101);
const order = 'order by time, host nulls first, region nulls first';
const bySql = (left: Record<string, unknown>, right: Record<string, unknown>): number => {
  for (const name of ['time', 'host', 'region']) {
    const [a, b] = [left[name], right[name]].map((value) => (value === null ? '' : String(value)));
    if (a !== b) return Buffer.compare(Buffer.from(a ?? ''), Buffer.from(b ?? ''));
  }
  return 0;
};

test(`any mixture of files and hot chunks answers as the merge rule says, pruned or not (seed ${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (one) => {
      const schema = schemaOf(`t${tables++}`, ['host', 'region'], fields, one.hasTimeNs);
      const model = merged(await build(schema, one));
      // formatTimeNs writes fractions of several lengths, which do not sort as text.
      const byTime = (points: ModelPoint[]) =>
        points
          .sort((left, right) => (left.timeNs < right.timeNs ? -1 : left.timeNs > right.timeNs ? 1 : 0))
          .map(rowOf);
      const where = sqlOf(one.where, one.hasTimeNs);
      const wanted = model.filter((candidate) => holds(one.where, candidate, one.hasTimeNs) === true);
      const got = await rowsOf(service, `select * from ${schema.table} t where ${where} ${order}`);
      expect(sorted(got), where).toEqual(sorted(byTime(wanted)));
      const counted = await rowsOf(
        service,
        `select count(*) n, sum(i) i from ${schema.table} t where ${where}`,
      );
      const integers = wanted.flatMap((candidate) => (candidate.fields['i'] as bigint | undefined) ?? []);
      const sum = integers.length === 0 ? null : Number(integers.reduce((left, right) => left + right));
      expect(counted).toEqual([{ n: wanted.length, i: sum }]);
    }),
    { seed, numRuns: 120 },
  );
});

const sorted = (rows: readonly Record<string, unknown>[]): Record<string, unknown>[] => [...rows].sort(bySql);
