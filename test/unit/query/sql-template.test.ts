import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DuckDbEngine } from '../../../query/engine/duckdb-engine.js';
import { type AstNode, parseAst, printAst } from '../../../query/plan/ast.js';
import { instanceOf, skeletonOf, templateOf } from '../../../query/plan/sql-template.js';
import { SqlPreparer } from '../../../query/sql-preparer.js';
import { noWatch, Warehouse } from './warehouse.js';

const warehouse = new Warehouse();
let engine: DuckDbEngine;
let parses = 0;
beforeAll(async () => {
  engine = await DuckDbEngine.open(warehouse.engineOptions(), noWatch);
  const parse = engine.parse.bind(engine);
  engine.parse = (sql) => {
    parses += 1;
    return parse(sql);
  };
});
afterAll(async () => {
  await engine.close();
  await warehouse.close();
});

const withoutLocations = (tree: AstNode): string =>
  printAst(tree).replaceAll(/"query_location":(?:\d+|\{[^}]*\})/g, '');

async function treeOf(sql: string): Promise<AstNode> {
  return parseAst((await engine.parse(sql)).ast).tree;
}

/** Statements whose literals are marked by ?. */
const shapes = [
  `SELECT date_trunc(?, time) b, max(v) FROM cpu WHERE host IN (?, ?) AND time >= ? AND time < ? GROUP BY 1`,
  `select * from m where a=? or not b<>? and (c like ? escape ? or d between ? and ?)`,
  `select interval ? hour, interval ?, timestamp ?, ?::timestamp, cast(? as double), date ?, ? collate nocase`,
  `with x as (select * from m where h = ?) select case when v = ? then ? else ? end from x order by h limit 3`,
  `select extract( ? from time), time at time zone ?, m[ ?], true, 12, 1.5, null from m where t in (select ?)`,
  `select * from a join b on a.x = b.x and a.y = ? union all select ?, ? union select * from (values ( ?)) v(q)`,
  `select list_filter([ ?, ?], x -> x = ?), sum(v) filter (where h = ?) over (partition by h = ?) from m`,
  `select * from range( ?) r, unnest([ ?]) where r.range = ? group by all having max( ?) > ?`,
];

describe('a statement that differs from a known one in literals alone', () => {
  const literal = fc.oneof(
    {
      weight: 30,
      arbitrary: fc.constantFrom(
        '',
        'hour',
        '2016-01-01T00:00:00Z',
        '1 hour',
        '-1',
        'x.parquet',
        '%_',
        '; drop',
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom('/* ?', '--', 'a"b', '$1') },
    { weight: 5, arbitrary: fc.stringMatching(/^[ !#%&(-,./-[\]-~]{0,12}$/) },
  );

  test.each(shapes)('has the tree that the engine would give it: %s', async (shape) => {
    const count = shape.split('?').length - 1;
    const literals = fc.array(literal, { minLength: count, maxLength: count });
    const filled = (values: readonly string[]): string => {
      let index = 0;
      return shape.replaceAll('?', () => `'${values[index++]}'`);
    };
    let templates = 0;
    await fc.assert(
      fc.asyncProperty(literals, literals, async (first, second) => {
        const [known, other] = [skeletonOf(filled(first)), skeletonOf(filled(second))];
        if (known === undefined || other === undefined) return;
        expect(other.key).toBe(known.key);
        const template = templateOf(await treeOf(filled(first)), known);
        if (template === undefined) return;
        templates += 1;
        const before = printAst(template.tree);
        const instance = instanceOf(template, other);
        expect(withoutLocations(instance)).toBe(withoutLocations(await treeOf(filled(second))));
        expect(printAst(template.tree)).toBe(before);
      }),
      { numRuns: 40 },
    );
    expect(templates).toBeGreaterThan(0);
  });

  test('is prepared without the engine, and admitted as what it is', async () => {
    const preparer = new SqlPreparer(engine);
    const sql = (host: string): string => `select max(v) from m where host = '${host}' and f in ('${host}')`;
    await preparer.prepare(sql('a'));
    const before = parses;
    const { root, facts } = await preparer.prepare(sql('bb'));
    expect(parses).toBe(before);
    expect(printAst(root)).toContain('"bb"');
    expect(printAst(root)).not.toContain('"a"');
    // Found by identity later on: the node must be one of this very tree.
    expect(root['from_table']).toBe(facts.tables[0]?.node);
    expect(printAst((await preparer.prepare(sql('a'))).root)).toContain('"a"');
  });
});

test('what is found out about a literal is found out about each anew', async () => {
  const preparer = new SqlPreparer(engine);
  const offsets: boolean[] = [];
  for (const time of ['2016-01-01T02:00:00Z', '2016-01-01T02:00:00+02:00', '2016-01-01T03:00:00Z']) {
    const { facts } = await preparer.prepare(`select v from m where time >= '${time}'`);
    offsets.push(facts.hasOffsets);
  }
  expect(offsets).toEqual([false, true, false]);
});

describe('nothing is concluded where a text', () => {
  test.each([
    ['is a table', `select * from '?.parquet'`],
    ['is a name', `select a as '?' from m`],
    ['is the key of a struct', `select {'?': 1}`],
    ['goes on in the next line', `select '?'\n'b'`],
    ['is an escaped string', `select e'?'`],
    ['is a blob', `select x'?', '?'::blob`],
    ['has a doubled quote', `select '?''b'`],
    ['stands beside a comment', `select '?' -- c`],
    ['stands beside another comment', `select '?' /* c */`],
    ['stands beside a quoted name', `select '?' as "a"`],
    ['stands beside a dollar quote', `select '?', $$a$$`],
    ['stands beside a placeholder', `select '?', $a`],
    ['has an escape', `select '?\\'`],
    ['has letters beyond ASCII', `select '?ä'`],
    ['is not there', `select 1`],
  ])('%s', async (_, shape) => {
    const preparer = new SqlPreparer(engine);
    const prepare = async (text: string): Promise<unknown> =>
      preparer.prepare(shape.replaceAll('?', text)).catch(() => undefined);
    await prepare('aa');
    const before = parses;
    await prepare('bb');
    expect(parses - before).toBe(shape.includes('?') ? 1 : 0);
  });
});
