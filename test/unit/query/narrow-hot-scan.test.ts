import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HotScanRequest } from '../../../core/ports/hot-reader.js';
import { silentLogger } from '../../../core/std/logger.js';
import { HotTier } from '../../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../../ingest/hot/hot-tier-reader.js';
import { DuckDbEngine } from '../../../query/engine/duckdb-engine.js';
import type { HotScanBytes } from '../../../query/engine/query-engine.js';
import {
  batchOf,
  database,
  group,
  hashOf,
  naiveScan,
  type PlainBatch,
  type PlainRow,
  type PlainValue,
} from '../../support/naive-hot-tier.js';
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

const columns: HotScanBytes['columns'] = [
  { name: 'host', type: 'tag' },
  { name: 'dc', type: 'tag' },
  { name: 'load', type: 'double' },
  { name: 'count', type: 'bigint' },
  { name: 'total', type: 'ubigint' },
  { name: 'up', type: 'boolean' },
  { name: 'note', type: 'string' },
  { name: 'never', type: 'double' },
];
const wide: HotScanRequest = {
  database,
  group,
  shard: 0,
  table: 'cpu',
  columns: columns.map(({ name }) => name),
  minTimeNs: null,
  maxTimeNs: null,
  tags: [],
};

/** The rows of the batches as the engine sees them through a scan. */
async function throughEngine(batches: readonly PlainBatch[], narrow: boolean): Promise<string[]> {
  const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
  tier.openGroup(database, group);
  for (const batch of batches) tier.apply(batchOf(batch), hashOf(batch), 100);
  const reader = new HotTierReader({ tier, giveWay: async () => {} });
  const pieces: Uint8Array[] = [];
  for await (const piece of reader.scan({ ...wide, narrow })) pieces.push(piece);
  const answer = await engine.execute({
    sql: `SELECT epoch_ns("time") AS "time", * EXCLUDE ("time") FROM varve_hot('s') ORDER BY dc NULLS FIRST, host NULLS FIRST, 1`,
    explain: 'no',
    parameters: {},
    views: [],
    nowMicros: null,
    hotScans: [{ id: 's', columns, streams: [pieces] }],
    format: 'jsonl',
    isGathered: false,
    heldBytesMax: 1e6,
  });
  let text = '';
  for await (const piece of answer.body) text += Buffer.from(piece).toString('utf8');
  return text.split('\n').filter((line) => line !== '');
}

/** The same rows as the plain model has them. */
function wanted(batches: readonly PlainBatch[]): string[] {
  const cell = (value: PlainValue | undefined): string => {
    if (value === undefined) return 'null';
    if (typeof value === 'number' && Number.isInteger(value)) return `${value}.0`;
    return typeof value === 'string' ? JSON.stringify(value) : String(value);
  };
  return naiveScan(batches, wide).map((row) => {
    const cells = columns.map(({ name }) => `"${name}":${cell(row.tags[name] ?? row.fields[name])}`);
    return `{${[`"time":${row.timeNs}`, ...cells].join(',')}}`;
  });
}

function batchesOf(lists: readonly (readonly PlainRow[])[]): PlainBatch[] {
  return lists.map((rows, at) => ({
    origin: 'n1',
    epoch: 1,
    sequence: at + 1,
    stamp: BigInt(at + 1),
    shard: 0,
    tables: { cpu: rows },
  }));
}

// Of every width, at the edges of each, so that one row more can make the column wider.
const whole = fc.constantFrom(0, 1, -1, 127, -128, 128, 32_767, -32_768, 32_768, 2 ** 31 - 1, -(2 ** 31));
const row: fc.Arbitrary<PlainRow> = fc.record({
  tags: fc.record(
    { host: fc.constantFrom('a', 'b', 'a host whose name stands not inline'), dc: fc.constantFrom('x', 'é') },
    { requiredKeys: [], noNullPrototype: true },
  ),
  timeNs: fc.bigInt(0n, 9n),
  fields: fc
    .record(
      {
        load: fc.oneof({ weight: 9, arbitrary: whole }, fc.constantFrom(0.5, 2 ** 40, -2.25)),
        count: fc.oneof(
          { weight: 9, arbitrary: whole.map(BigInt) },
          fc.constantFrom(2n ** 40n, -(2n ** 63n)),
        ),
        total: fc.oneof(
          { weight: 9, arbitrary: whole.map((value) => BigInt(Math.abs(value))) },
          fc.constantFrom(2n ** 64n - 1n, 2n ** 63n),
        ),
        up: fc.boolean(),
        note: fc.constantFrom('', 'text', 'a text that does not stand inline'),
      },
      { requiredKeys: [], noNullPrototype: true },
    )
    .filter((fields) => Object.keys(fields).length > 0),
});

test('narrow scans give the engine the very values that wide ones do', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(row, { minLength: 1, maxLength: 6 }), { maxLength: 5 }),
      async (lists) => {
        const batches = batchesOf(lists);
        const rows = wanted(batches);
        expect(await throughEngine(batches, true)).toEqual(rows);
        expect(await throughEngine(batches, false)).toEqual(rows);
      },
    ),
    { numRuns: 150 },
  );
}, 120_000);

test('narrow scans keep absence apart from the last value of a full dictionary', async () => {
  // 128 values take codes of one byte, 129 of two; absence comes beyond either, and long runs and short ones differ.
  for (const hosts of [127, 128, 129]) {
    const rows = Array.from({ length: (hosts + 1) * 20 }, (_, at) => {
      const host = at % (hosts + 1);
      const tags: Record<string, string> =
        host === hosts ? {} : { host: `h${String(host).padStart(3, '0')}` };
      return { tags, timeNs: BigInt(at), fields: { load: at % 7 } };
    });
    const batches = batchesOf([rows]);
    expect(await throughEngine(batches, true)).toEqual(wanted(batches));
  }
});

test('narrow scans of more rows than a vector holds', async () => {
  const rows = Array.from({ length: 9000 }, (_, at) => ({
    tags: at % 3 === 0 ? { host: 'a' } : { host: 'b' },
    timeNs: BigInt(at),
    fields: { ...(at % 5 === 0 ? {} : { count: BigInt(at - 4500) }), load: at % 100 },
  }));
  const batches = batchesOf([rows]);
  expect(await throughEngine(batches, true)).toEqual(wanted(batches));
});
