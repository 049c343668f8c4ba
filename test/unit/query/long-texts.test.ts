import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DuckDbEngine } from '../../../query/engine/duckdb-engine.js';
import { noWatch, Warehouse } from './warehouse.js';

const warehouse = new Warehouse();
let engine: DuckDbEngine;
beforeAll(async () => {
  engine = await DuckDbEngine.open(warehouse.engineOptions(), noWatch);
});
afterAll(async () => {
  await engine.close();
  await warehouse.close();
});

/** The column `t` of the answer. */
async function textsOf(sql: string): Promise<(string | null)[]> {
  const answer = await engine.execute({
    sql,
    explain: 'no',
    parameters: {},
    views: [],
    nowMicros: null,
    hotScans: [],
    format: 'jsonl',
    isGathered: false,
    heldBytesMax: 1e6,
  });
  let json = '';
  for await (const piece of answer.body) json += Buffer.from(piece).toString('utf8');
  return json
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { t: string | null }).t);
}

const literal = (text: string | null): string => (text === null ? 'NULL' : `'${text}'`);

// Either side of what stands inline, and alike but for the length, the last byte or the first ones.
const texts = fc.constantFrom(
  null,
  '',
  'exactly 12 b',
  'exactly 13 by',
  'ap-northeast-1a',
  'ap-northeast-1b',
  'ap-northeast-1ab',
  'zp-northeast-1a',
  'é'.repeat(7),
  '\u{1F600}'.repeat(4),
  'x'.repeat(5000),
  `${'x'.repeat(4999)}y`,
);

test('texts come back as they are, whatever stands beside them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(texts, { minLength: 1, maxLength: 60 }), async (rows) => {
      const values = rows.map((text, row) => `(${row}, ${literal(text)})`).join(', ');
      expect(await textsOf(`SELECT t FROM (VALUES ${values}) AS v(r, t) ORDER BY r`)).toEqual(rows);
      // As they lie where the engine has taken some out.
      const kept = await textsOf(`SELECT t FROM (VALUES ${values}) AS v(r, t) WHERE r % 2 = 0`);
      expect(kept.sort()).toEqual(rows.filter((_, row) => row % 2 === 0).sort());
    }),
    { numRuns: 150 },
  );
}, 120_000);

test('long runs and many chunks of long texts', async () => {
  const sql = `SELECT CASE WHEN r % 70 = 0 THEN NULL WHEN r % 50 = 0 THEN 'short'
    ELSE 'a text of the run ' || (r // 300) END AS t FROM range(40000) AS q(r) WHERE r % 3 <> 0`;
  const wanted = Array.from({ length: 40_000 }, (_, r) => r)
    .filter((r) => r % 3 !== 0)
    .map((r) => (r % 70 === 0 ? null : r % 50 === 0 ? 'short' : `a text of the run ${Math.floor(r / 300)}`));
  expect(await textsOf(sql)).toEqual(wanted);
});

test('texts of more than a piece of memory', async () => {
  const wanted = Array.from({ length: 40 }, (_, r) => `${String(r >> 1).repeat(50_000)}${'é'.repeat(r)}`);
  const found = await textsOf(
    `SELECT repeat((r // 2)::VARCHAR, 50000) || repeat('é', r) AS t FROM range(40) AS q(r)`,
  );
  expect(found).toEqual(wanted);
});
