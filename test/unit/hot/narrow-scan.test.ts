import { type Field, RecordBatchReader } from 'apache-arrow';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { decodeArrowRows } from '../../../core/codec/arrow-decoder.js';
import { readScanRequest, scanRequestJson } from '../../../core/codec/peer-messages.js';
import type { Batch } from '../../../core/model/batch.js';
import { packStrings } from '../../../core/model/columns.js';
import { encodeSeriesKey } from '../../../core/model/series-key.js';
import type { HotScanRequest } from '../../../core/ports/hot-reader.js';
import { silentLogger } from '../../../core/std/logger.js';
import { HotTier } from '../../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../../ingest/hot/hot-tier-reader.js';
import {
  batchOf,
  database,
  group,
  hashOf,
  naiveScan,
  type PlainBatch,
  type PlainRow,
  plainRows,
  plainScan,
  rowTexts,
} from '../../support/naive-hot-tier.js';

const narrow: HotScanRequest = {
  database,
  group,
  shard: 0,
  table: 'cpu',
  columns: ['host', 'load', 'count', 'total', 'up', 'note'],
  minTimeNs: null,
  maxTimeNs: null,
  tags: [],
  narrow: true,
};

function batch(sequence: number, rows: readonly PlainRow[]): PlainBatch {
  return { origin: 'n1', epoch: 1, sequence, stamp: BigInt(sequence), shard: 0, tables: { cpu: rows } };
}

function tierOf(batches: readonly PlainBatch[]): HotTier {
  const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
  for (const each of batches) expect(tier.apply(batchOf(each), hashOf(each), 100)).toBe('applied');
  return tier;
}

function readerOf(tier: HotTier, giveWay: () => Promise<void> = async () => {}): HotTierReader {
  return new HotTierReader({ tier, giveWay });
}

async function piecesOf(reader: HotTierReader): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of reader.scan(narrow)) pieces.push(piece);
  return pieces;
}

async function fieldsOf(batches: readonly PlainBatch[]): Promise<Readonly<Record<string, string>>> {
  const reader = RecordBatchReader.from(Buffer.concat(await piecesOf(readerOf(tierOf(batches))))).open();
  const text = ({ type, metadata }: Field): string => [type, ...metadata.values()].join(' ');
  return Object.fromEntries(reader.schema.fields.map((field) => [field.name, text(field)]));
}

const point = (at: number, fields: PlainRow['fields'], host = 'a'): PlainRow => ({
  tags: { host },
  timeNs: BigInt(at),
  fields,
});

describe('a narrow scan', () => {
  const seed = 20261120;
  it(`gives the rows that a wide one gives, whatever the numbers (seed ${seed})`, async () => {
    const random = new SeededRandom(seed);
    const below = (limit: number): number => Math.floor(random.next() * limit);
    for (let round = 0; round < 40; round++) {
      const bits = 1 + below(62);
      const signed = (): bigint =>
        (BigInt(below(2 ** 31)) % 2n ** BigInt(bits)) << BigInt(Math.max(0, bits - 31));
      const double = (): number =>
        below(20) === 0 && round % 3 === 0
          ? [-0, Number.NaN, 1.5, 2 ** 40, Number.POSITIVE_INFINITY][below(5)]!
          : below(2 ** Math.min(bits, 30)) - below(2);
      const row = (): PlainRow => ({
        tags: below(4) === 0 ? {} : { host: `h${below(200)}` },
        timeNs: BigInt(below(300)),
        fields: {
          ...(below(5) > 0 ? { load: double() } : {}),
          ...(below(5) > 0 ? { count: below(2) === 0 ? signed() : -signed() } : {}),
          ...(round % 2 === 0 || below(5) > 0 ? { total: signed() * (below(3) === 0 ? 2n : 1n) } : {}),
          ...(below(3) === 0 ? { up: below(2) === 0, note: `${below(9)}` } : {}),
          always: 1,
        },
      });
      const batches = Array.from({ length: 1 + below(4) }, (_, at) =>
        batch(
          at + 1,
          Array.from({ length: 1 + below(120) }, () => {
            const { always: _, ...fields } = row().fields;
            return { ...row(), fields };
          }),
        ),
      );
      expect(rowTexts(await plainScan(readerOf(tierOf(batches)), narrow)), `round ${round}`).toEqual(
        rowTexts(naiveScan(batches, narrow)),
      );
    }
  });

  it('takes as few bytes a value as the greatest of a column needs, and names the type', async () => {
    const small = [batch(1, [point(1, { load: -128, count: 127n, total: 1n }), point(2, { load: 127 })])];
    expect(await fieldsOf(small)).toMatchObject({
      host: 'Dictionary<Int8, Utf8>',
      load: 'Int8 double',
      count: 'Int8 bigint',
      total: 'Int8 ubigint',
    });
    const larger = batch(2, [point(3, { load: 128, count: -32_769n, total: 2n ** 63n })]);
    expect(await fieldsOf([...small, larger])).toMatchObject({
      load: 'Int16 double',
      count: 'Int32 bigint',
      total: 'Uint64',
    });
    expect(await fieldsOf([...small, batch(2, [point(3, { load: -0 })])])).toMatchObject({ load: 'Float64' });
  });

  it.each([
    [128, 'Int8'],
    [129, 'Int16'],
    [32_768, 'Int16'],
    [32_769, 'Int32'],
  ])('of %i hosts has codes of %s, and every host', async (hosts, type) => {
    const batches = Array.from({ length: Math.ceil(hosts / 500) }, (_, at) =>
      batch(
        at + 1,
        Array.from({ length: Math.min(500, hosts - at * 500) }, (_, host) =>
          point(1, { up: true }, `h${at * 500 + host}`),
        ),
      ),
    );
    expect(await fieldsOf(batches)).toMatchObject({ host: `Dictionary<${type}, Utf8>` });
    expect(rowTexts(await plainScan(readerOf(tierOf(batches)), narrow))).toEqual(
      rowTexts(naiveScan(batches, narrow)),
    );
  });

  it('keeps its rows when greater numbers come to the same blocks while it waits', async () => {
    const rowCount = 270_000;
    const values = Int32Array.from({ length: rowCount }, (_, at) => (at % 200) - 100);
    const total = BigUint64Array.from(values, (value) => BigInt(value + 100) % 90n);
    const first: Batch = {
      ...batchOf(batch(1, [])),
      tables: [
        {
          table: 'cpu',
          rowCount,
          seriesKeys: packStrings([encodeSeriesKey([{ name: 'host', value: 'a' }])]),
          series: new Int32Array(rowCount),
          timesNs: BigInt64Array.from(values, (_, at) => BigInt(at)),
          fields: [
            { name: 'load', type: 'double', validity: null, values: Float64Array.from(values) },
            { name: 'count', type: 'bigint', validity: null, values: BigInt64Array.from(values, BigInt) },
            { name: 'total', type: 'ubigint', validity: null, values: total },
          ],
        },
      ],
    };
    const later = [
      batch(2, [point(300_001, { load: 70_000, count: 70_000n, total: 70_000n })]),
      batch(3, [point(300_002, { load: 0.5, count: 2n ** 40n, total: 2n ** 63n })]),
    ];
    const tier = tierOf([]);
    tier.apply(first, new Uint8Array(16), 100);
    const reader = readerOf(tier, async () => {
      const next = later.shift();
      if (next !== undefined) tier.apply(batchOf(next), hashOf(next), 100);
    });
    const found: unknown[][] = [[], [], []];
    for await (const { fields } of decodeArrowRows(reader.scan(narrow))) {
      fields.forEach(({ values }, field) => {
        for (const value of values as Iterable<unknown>) found[field]?.push(value);
      });
    }
    expect(later).toEqual([]);
    const wanted = first.tables[0]?.fields.map((field) => Array.from(field.values as Iterable<unknown>));
    expect(found.map((column) => column.slice(0, rowCount))).toEqual(wanted);
  });

  it('is not taken for complete when its stream is cut off, wherever', async () => {
    const batches = [batch(1, [point(1, { load: 1, count: -2n }), point(2, { total: 3n })])];
    const whole = Buffer.concat(await piecesOf(readerOf(tierOf(batches))));
    for (let length = 0; length < whole.length; length++) {
      const read = plainRows(
        (async function* () {
          yield whole.subarray(0, length);
        })(),
      );
      await expect(read, `${length} of ${whole.length} bytes`).rejects.toMatchObject({ kind: 'unavailable' });
    }
  });

  it('is asked for across nodes, and a request without it is as it was', () => {
    expect(readScanRequest(JSON.parse(JSON.stringify(scanRequestJson(narrow))))).toEqual(narrow);
    const { narrow: _, ...wide } = narrow;
    expect(scanRequestJson(wide)).not.toHaveProperty('narrow');
    expect(readScanRequest(JSON.parse(JSON.stringify(scanRequestJson(wide))))).toEqual(wide);
  });
});
