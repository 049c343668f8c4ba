import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DuckDbEngine } from '../../../query/engine/duckdb-engine.js';
import { parseAst } from '../../../query/plan/ast.js';
import { lastFields } from '../../../query/plan/last-points.js';
import { checkSql } from '../../../query/plan/sql-check.js';
import type { QueryService } from '../../../query/query-service.js';
import { noWatch, rowsOf, schemaOf, Warehouse } from './warehouse.js';

const warehouse = new Warehouse();
let service: QueryService;
let engine: DuckDbEngine;
beforeAll(async () => {
  service = await warehouse.open();
  engine = await DuckDbEngine.open(
    {
      ...warehouse.engineOptions(),
      spillDirectory: `${warehouse.directory}/spill2`,
    },
    noWatch,
  );
});
afterAll(async () => {
  await engine.close();
  await warehouse.close();
});

const types = { d: 'double', i: 'bigint', u: 'ubigint', b: 'boolean', s: 'string' } as const;
const schema = schemaOf('cpu', ['host', 'region'], types);

describe('the newest values of each series', () => {
  const recognised = async (sql: string): Promise<readonly string[] | null> => {
    const { root } = parseAst((await engine.parse(sql)).ast);
    const fields = lastFields(root, checkSql(root), schema);
    if (fields === null) return null;
    return schema.columns.filter(({ fieldId }) => fields.has(fieldId)).map(({ name }) => name);
  };

  test.each([
    ['select host, max(time), arg_max(d, time) from cpu group by host', ['d']],
    ['select max(time) as time from cpu', []],
    [
      'select region, max_by(s, time) as s, argmax(u, time) from cpu c group by c.region order by 1 limit 3',
      ['u', 's'],
    ],
    [
      `select host, arg_max(i, cpu.time) i from cpu where host in ('a', $h) or lower(region) = 'eu' group by host`,
      ['i'],
    ],
  ])('are recognised in %s', async (sql, fields) => {
    expect(await recognised(sql)).toEqual(fields);
  });

  test.each([
    'select host, max(time), count(*) from cpu group by host',
    'select host, max(d) from cpu group by host',
    'select host, arg_min(d, time) from cpu group by host',
    'select host, arg_max(d, i) from cpu group by host',
    'select host, arg_max(d, time, 2) from cpu group by host',
    'select host, arg_max(d, time) filter (where d > 1) from cpu group by host',
    'select host, max(distinct time) from cpu group by host',
    'select host, max(time) from cpu where d > 1 group by host',
    `select host, max(time) from cpu where time < '2016-01-01' group by host`,
    'select host, max(time) from cpu where random() < 0.5 group by host',
    'select host, max(time) from cpu where host in (select host from cpu) group by host',
    'select host, max(time) from cpu group by host having count(*) > 1',
    'select host, max(time) from cpu group by host order by count(*)',
    'select host, max(time) from cpu group by host qualify row_number() over () = 1',
    'select distinct host, max(time) from cpu group by host',
    'select max(time) as host from cpu group by host',
    'select d, max(time) from cpu group by d',
    'select host, max(time) from cpu group by rollup (host)',
    'select host, max(time) from cpu group by all',
    'select host, max(time) from cpu tablesample 10% group by host',
    'select host, max(time) from cpu a join cpu b using (host) group by host',
    'with x as (select 1) select host, max(time) from cpu group by host',
    'select host, max(time) from (select * from cpu) group by host',
    'select host, max(time) from cpu group by host union all select host, max(time) from cpu group by host',
    'select host, max(time + interval 1 day) from cpu group by host',
    'select host, max(time) over () from cpu',
    'select * from cpu',
  ])('are not seen in %s', async (sql) => {
    expect(await recognised(sql)).toBeNull();
  });
});

const startNs = BigInt(Date.UTC(2016, 0, 1)) * 1_000_000n;
const value = <Value>(values: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(values, { nil: undefined, freq: 3 });
const point = fc.record({
  step: fc.integer({ min: 0, max: 40 }),
  host: fc.constantFrom('a', 'b', 'a-name-longer-than-inline', null),
  region: fc.constantFrom('eu', null),
  d: value(fc.constantFrom(0.5, -1.25, 1e9)),
  i: value(fc.bigInt({ min: -(2n ** 50n), max: 2n ** 50n })),
  u: value(fc.bigInt({ min: 0n, max: 2n ** 53n })),
  b: value(fc.boolean()),
  s: value(fc.constantFrom('', 'x', 'a text longer than inline')),
});
const scenario = fc.record({
  hasTimeNs: fc.boolean(),
  /** Whether points have all fields: a file's statistics then say so. */
  isWhole: fc.boolean(),
  sources: fc.array(
    fc.record({
      kind: fc.constantFrom('file' as const, 'file' as const, 'open' as const),
      // A file holds a point once.
      points: fc.uniqueArray(point, {
        minLength: 1,
        maxLength: 25,
        selector: ({ step, host, region }) => `${step} ${host} ${region}`,
      }),
    }),
    { maxLength: 5 },
  ),
});
const whole = { d: 0.25, i: 7n, u: 8n, b: true, s: 'whole' };

test('reading last rows answers what reading all rows does', async () => {
  let tables = 0;
  await fc.assert(
    fc.asyncProperty(scenario, async ({ hasTimeNs, isWhole, sources }) => {
      const table = `t${tables++}`;
      warehouse.addTable({ ...schemaOf(table, ['host', 'region'], types), hasTimeNs });
      let sequence = 1;
      for (const { kind, points } of sources) {
        const made = points.map(({ step, host, region, ...values }) => ({
          timeNs: startNs + BigInt(step) * (hasTimeNs ? 333n : 1_000_000_000n),
          tags: { ...(host === null ? {} : { host }), ...(region === null ? {} : { region }) },
          fields: {
            ...(isWhole ? whole : { i: 1n }),
            ...Object.fromEntries(Object.entries(values).filter(([, each]) => each !== undefined)),
          },
        }));
        if (kind === 'file') await warehouse.seal(table, made, { sequence: sequence++ });
        else warehouse.write(table, warehouse.addGroup({ kind: 'late' }), made);
      }
      const newest = Object.keys(types).map((name) => `arg_max(${name}, time)`);
      for (const groups of ['host, region', 'host']) {
        // Between series of one time any may be taken.
        const values = groups === 'host' ? ['max(time)'] : ['max(time)', ...newest];
        const ask = (suffix: string): Promise<unknown> =>
          rowsOf(
            service,
            `select ${groups}, ${values.map((each, index) => `${each}${suffix} as v${index}`).join(', ')} from ${table} group by ${groups} order by ${groups}`,
          );
        expect(await ask('')).toEqual(await ask(' filter (where true)'));
      }
      warehouse.groups = [];
    }),
    { numRuns: 60 },
  );
}, 120_000);

test('a series that goes on through row groups and files is answered by its newest row', async () => {
  warehouse.addTable(schemaOf('long', ['host'], { i: 'bigint' }));
  const points = (from: number, count: number, host: string) =>
    Array.from({ length: count }, (_, index) => ({
      timeNs: startNs + BigInt(from + index) * 1_000_000_000n,
      tags: { host },
      fields: { i: BigInt(from + index) },
    }));
  await warehouse.seal('long', [...points(0, 55_000, 'a'), ...points(0, 2500, 'b')], { sequence: 1 });
  await warehouse.seal('long', points(55_000, 3000, 'a'), { sequence: 2 });
  const sql = 'select host, max(time) as time, arg_max(i, time) as i from long group by host order by host';
  const wanted = [
    { host: 'a', time: '2016-01-01T16:06:39Z', i: 57_999 },
    { host: 'b', time: '2016-01-01T00:41:39Z', i: 2499 },
  ];
  for (let time = 0; time < 2; time++) expect(await rowsOf(service, sql)).toEqual(wanted);
  const plan = await rowsOf(service, `explain ${sql}`);
  expect(plan[0]?.['explain_value']).toContain('VARVE_SETTLED');
});
