import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DuckDbEngine } from '../../../query/engine/duckdb-engine.js';
import type { EngineAnswer, ExecuteRequest } from '../../../query/engine/query-engine.js';
import { asked, noWatch, type Point, rowsOf, schemaOf, Warehouse } from './warehouse.js';

const warehouse = new Warehouse();
let engine: DuckDbEngine;
beforeAll(async () => {
  engine = await DuckDbEngine.open({ ...warehouse.engineOptions(), memoryBytesMax: 64 * 2 ** 20 }, noWatch);
});
afterAll(async () => {
  await engine.close();
  await warehouse.close();
});

const plain: Omit<ExecuteRequest, 'sql'> = {
  explain: 'no',
  parameters: {},
  views: [],
  nowMicros: null,
  hotScans: [],
  format: 'csv',
  isGathered: true,
  heldBytesMax: 1e6,
};

async function textOf(answer: EngineAnswer): Promise<string> {
  let text = '';
  for await (const piece of answer.body) text += Buffer.from(piece).toString('utf8');
  return text;
}

const gather = async (sql: string, more: Partial<ExecuteRequest> = {}): Promise<string> =>
  textOf(await engine.execute({ ...plain, sql, ...more }));

const settled = join(warehouse.directory, 'settled');

/** The rows of a settled file of its own, `stepUs` microseconds apart, in the words that a view takes. */
async function fileSql(name: string, rows: number, startUs: number, stepUs: number): Promise<string> {
  mkdirSync(settled, { recursive: true });
  const path = join(settled, `${name}.parquet`);
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  await connection.run(
    `COPY (SELECT make_timestamptz(${startUs} + range * ${stepUs}) AS time, 'h' || (range % 7) AS host, range AS n,
       'point ' || range AS text FROM range(${rows})) TO '${path}'`,
  );
  return `SELECT make_timestamp(epoch_us("time")) AS time, host, n, text FROM read_parquet(['${path}'])`;
}

const grouped = (rows: readonly string[]): string => {
  const ranked = rows.map((each, rank) => each.replace(' FROM', `, ${rank} AS rank FROM`));
  return `SELECT time, host, arg_max(n, rank) AS n, arg_max(text, rank) AS text
    FROM (${ranked.join(' UNION ALL ')}) GROUP BY time, host`;
};
const same = 'ON large.time IS NOT DISTINCT FROM small.time AND large.host IS NOT DISTINCT FROM small.host';

describe('an answer that is gathered', () => {
  test('begins where the same answer in a stream would wait for itself for ever', async () => {
    // Three parts as the merge rule makes them; together more than the engine's buffer holds.
    const first = [
      await fileSql('a', 8698, 0, 400_000_000),
      await fileSql('b', 1295, 100_000_000, 2_500_000_000),
      await fileSql('c', 1389, 10_000_000, 2_500_000_000),
    ];
    const start = 5_000_000_000_000;
    const large = await fileSql('large', 32_405, start, 16_000);
    const small = [
      await fileSql('d', 230, start + 500_000_000, 130_000),
      await fileSql('e', 303, start + 510_000_000, 100_000),
      await fileSql('f', 835, start + 514_000_000, 45_000),
    ];
    const joined = (kind: string, overlay: readonly string[]) =>
      `FROM (${large}) AS large ${kind} JOIN (${overlay.join(' UNION ALL ')}) AS small ${same}`;
    const parts = [
      grouped(first),
      `SELECT large.* ${joined('ANTI', small)}`,
      grouped([
        `SELECT large.time, large.host, large.n, large.text ${joined('SEMI', small.toReversed())}`,
        ...small,
      ]),
    ];
    const views = [[`CREATE TEMP VIEW points AS ${parts.join('\nUNION ALL\n')}`]];
    const lines = (await gather('SELECT n, text FROM points', { views })).trim().split('\n');
    expect(lines[0]).toBe('n,text');
    const distinct = (await gather('SELECT DISTINCT time, host FROM points', { views })).trim().split('\n');
    expect(lines).toHaveLength(distinct.length);
    expect(lines.length).toBeGreaterThan(32_405 + 8698);
  });

  test('keeps names, types and parameters as they are in a stream', async () => {
    for (const sql of [
      'SELECT 1 AS a, 2 AS a, NULL AS "A b", 1.5::DECIMAL(5,2) AS "a_1"',
      'SELECT x.v, y.v FROM (VALUES (1)) x(v), (VALUES (2)) y(v) -- said at the end',
      'WITH "varve answer" AS (SELECT 7 AS s) SELECT s, s FROM "varve answer"',
      `SELECT 'x' AS t, TIMESTAMP_NS '2026-01-01 00:00:00.123456789' AS t, [1, 2] AS l /* c */`,
    ]) {
      const [streamed, gathered] = [
        await engine.execute({ ...plain, sql, isGathered: false }),
        await engine.execute({ ...plain, sql }),
      ];
      expect(gathered.columns, sql).toEqual(streamed.columns);
      expect(await textOf(gathered), sql).toBe(await textOf(streamed));
    }
    const parameters = { p: 41n };
    expect(await gather('SELECT $p + 1 AS n', { parameters })).toBe('n\n42\n');
  });

  test('spills what memory does not hold', async () => {
    const rows = 600_000;
    const sql = `SELECT md5(range::VARCHAR) || md5((range + 1)::VARCHAR) AS a, md5((-range)::VARCHAR) AS b FROM range(${rows})`;
    const answer = await engine.execute({ ...plain, sql });
    let bytes = 0;
    for await (const piece of answer.body) bytes += piece.length;
    expect(bytes).toBe('a,b\n'.length + rows * (64 + 1 + 32 + 1));
  });
});

describe('a question is answered by gathering', () => {
  const seen: boolean[] = [];
  const points = (count: number, host: string): Point[] =>
    Array.from({ length: count }, (_, index) => ({
      timeNs: BigInt(index) * 1_000_000n,
      tags: { host },
      fields: { v: index },
    }));
  let service: ReturnType<Warehouse['serviceOver']>;
  beforeAll(async () => {
    for (const table of ['merged', 'apart', 'whole']) {
      warehouse.addTable(schemaOf(table, ['host'], { v: 'double' }));
      await warehouse.seal(table, points(50, 'a'), { sequence: 1 });
    }
    await warehouse.seal('merged', points(20, 'a'), { sequence: 2 });
    const group = warehouse.addGroup({ kind: 'window', startNs: 10n ** 15n, endNs: 2n * 10n ** 15n });
    warehouse.write('apart', group, [{ timeNs: 10n ** 15n, tags: { host: 'a' }, fields: { v: 1 } }]);
    const execute = engine.execute.bind(engine);
    engine.execute = (request, signal) => {
      seen.push(request.isGathered);
      return execute(request, signal);
    };
    service = warehouse.serviceOver(engine);
  });

  test.each([
    ['SELECT v FROM merged', 50, true],
    ['SELECT v FROM merged LIMIT 7', 7, true],
    ['SELECT avg(v) AS v FROM merged', 1, true],
    ['SELECT v FROM merged ORDER BY time', 50, false],
    [`SELECT v FROM merged ORDER BY 'x' || 'y'`, 50, true],
    ['SELECT host, max(v) AS v FROM merged GROUP BY host', 1, false],
    ['SELECT v FROM apart', 51, false],
    ['SELECT v FROM apart WHERE v < 10 LIMIT 5', 5, false],
    ['SELECT v FROM apart WHERE v IN (SELECT v FROM whole)', 51, true],
    ['SELECT a.v FROM apart a JOIN whole b ON a.v = b.v', 51, true],
    ['DESCRIBE merged', 3, false],
    ['SELECT column_name FROM (DESCRIBE merged)', 3, false],
    ['SELECT v FROM whole', 50, false],
    ['SELECT a.v FROM whole a JOIN whole b ON a.v = b.v', 50, false],
    ['SELECT v FROM whole UNION ALL SELECT max(v) FROM whole', 51, true],
    ['WITH x AS (SELECT v FROM apart) SELECT v FROM x', 51, true],
  ])('where rows might wait for each other: %s', async (sql, rows, isGathered) => {
    seen.length = 0;
    expect(await rowsOf(service, asked(sql).sql)).toHaveLength(rows);
    expect(seen).toEqual([isGathered]);
  });
});
