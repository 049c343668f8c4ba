import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dayOf } from '../../../core/model/window.js';
import type { HotScanRequest } from '../../../core/ports/hot-reader.js';
import { silentLogger } from '../../../core/std/logger.js';
import type { HotColumn } from '../../../ingest/hot/hot-column.js';
import { HotTier } from '../../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../../ingest/hot/hot-tier-reader.js';
import {
  batchOf,
  database,
  fieldTypes,
  group,
  hashOf,
  naiveScan,
  type PlainBatch,
  type PlainRow,
  plainScan,
} from '../../support/naive-hot-tier.js';

const tagValue = fc.constantFrom('a', 'b', 'ab', 'é', '\u{1F600}', '\uFFFD');
const timeNs = fc.oneof(
  fc.bigInt(0n, 12n),
  // At midnight, also of days so far off that a double cannot tell the nanoseconds apart.
  fc
    .tuple(fc.constantFrom(0n, 1n, 3n, 20_000n, -20_000n, 106_750n), fc.bigInt(-1n, 1n))
    .map(([day, offset]) => day * 86_400_000_000_000n + offset),
  fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n, -1n, 2n ** 32n, 2n ** 31n),
);
const fields = fc
  .record(
    {
      load: fc.oneof(fc.constantFrom(0, -0, 1.5), fc.double({ noNaN: true })),
      count: fc.oneof(fc.bigInt(-2n, 2n), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)),
      total: fc.bigInt(0n, 2n ** 64n - 1n),
      up: fc.boolean(),
      note: fc.string({ unit: 'grapheme', maxLength: 5 }),
    },
    { requiredKeys: [] },
  )
  .filter((values) => Object.keys(values).length > 0);
const row: fc.Arbitrary<PlainRow> = fc.record({
  tags: fc.record({ host: tagValue, dc: tagValue, Ä: tagValue }, { requiredKeys: [], noNullPrototype: true }),
  timeNs,
  fields,
});
const batch = fc.record({
  origin: fc.constantFrom('n1', 'n2'),
  epoch: fc.integer({ min: 1, max: 2 }),
  stamp: fc.bigInt(1n, 6n),
  shard: fc.integer({ min: 0, max: 1 }),
  tables: fc.dictionary(fc.constantFrom('cpu', 'mem'), fc.array(row, { maxLength: 12 }), {
    noNullPrototype: true,
  }),
});
/** Batches with ids of their own, in order of sequence. */
const batches: fc.Arbitrary<PlainBatch[]> = fc
  .array(batch, { maxLength: 12 })
  .map((all) => all.map((each, index) => ({ ...each, sequence: index + 1 })));

const scan: fc.Arbitrary<HotScanRequest> = fc.record({
  database: fc.constant(database),
  group: fc.constant(group),
  shard: fc.integer({ min: 0, max: 1 }),
  table: fc.constantFrom('cpu', 'mem'),
  columns: fc.shuffledSubarray(['host', 'dc', 'Ä', 'none', 'load', 'count', 'total', 'up', 'note']),
  minTimeNs: fc.option(timeNs),
  maxTimeNs: fc.option(timeNs),
  tags: fc.array(
    fc.record({
      tag: fc.constantFrom('host', 'dc', 'none'),
      values: fc.uniqueArray(fc.option(fc.oneof(tagValue, fc.constant('absent'))), { maxLength: 4 }),
    }),
    { maxLength: 2 },
  ),
});

function newTier(): { readonly tier: HotTier; readonly reader: HotTierReader } {
  const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
  return { tier, reader: new HotTierReader({ tier, giveWay: async () => {} }) };
}

function apply(tier: HotTier, plain: PlainBatch): string {
  return tier.apply(batchOf(plain), hashOf(plain), 100);
}

describe('hot tier against a plain model', () => {
  it('gives the same rows for any batches in any order and any request', async () => {
    await fc.assert(
      fc.asyncProperty(
        batches,
        fc.array(fc.nat()),
        fc.array(scan, { minLength: 1, maxLength: 6 }),
        async (all, order, scans) => {
          const { tier, reader } = newTier();
          tier.openGroup(database, group);
          for (const each of shuffle(all, order)) expect(apply(tier, each)).toBe('applied');
          for (const each of all.slice(0, 3)) expect(apply(tier, each)).toBe('duplicate');
          for (const request of scans) {
            const want = naiveScan(all, request);
            expect(await plainScan(reader, request)).toEqual(want);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('has equal digests exactly when it holds the same batches', () => {
    fc.assert(
      fc.property(batches, fc.array(fc.nat()), fc.nat(), (all, order, without) => {
        const [left, right, less] = [newTier().tier, newTier().tier, newTier().tier];
        for (const each of all) {
          apply(left, each);
          // A digest asked for between batches must not stay when more come.
          left.report(database, group);
        }
        for (const each of shuffle(all, order)) apply(right, each);
        const digest = left.report(database, group).digest;
        expect(right.report(database, group).digest).toBe(digest);
        expect(right.report(database, group)).toEqual(left.report(database, group));
        if (all.length === 0) return;
        const missing = without % all.length;
        all.forEach((each, index) => {
          if (index !== missing) apply(less, each);
        });
        expect(less.report(database, group).digest).not.toBe(digest);
        apply(less, { ...all[missing]!, stamp: 77n });
        expect(less.report(database, group).digest).not.toBe(digest);
      }),
      { numRuns: 300 },
    );
  });

  it('reports what the batches hold', () => {
    fc.assert(
      fc.property(batches, (all) => {
        const { tier } = newTier();
        for (const each of all) apply(tier, each);
        const report = tier.report(database, group);
        expect(report.bytes).toBe(all.length * 100);
        const sequences = report.batches.flatMap(({ origin, epoch, first, last }) =>
          Array.from({ length: last - first + 1 }, (_, index) => `${origin}/${epoch}/${first + index}`),
        );
        expect(sequences.sort()).toEqual(
          all.map((each) => `${each.origin}/${each.epoch}/${each.sequence}`).sort(),
        );
        for (const chunk of report.chunks) {
          const rows = all
            .filter((each) => each.shard === chunk.shard)
            .flatMap((each) => each.tables[chunk.table] ?? []);
          const times = rows.map((each) => each.timeNs).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
          const days = new Map<number, number>();
          for (const time of times) days.set(dayOf(time), (days.get(dayOf(time)) ?? 0) + 1);
          expect(chunk).toMatchObject({
            rows: rows.length,
            seriesCount: new Set(rows.map((each) => JSON.stringify(Object.entries(each.tags).sort()))).size,
            minTimeNs: times[0],
            maxTimeNs: times.at(-1),
            hasTimeNs: times.some((time) => time % 1000n !== 0n),
            rowsByDay: [...days].map(([day, count]) => ({ day, rows: count })),
          });
        }
      }),
      { numRuns: 300 },
    );
  });

  it('holds no bytes and no rows once every group is dropped', () => {
    fc.assert(
      fc.property(batches, (all) => {
        const { tier } = newTier();
        for (const each of all) apply(tier, each);
        expect(tier.usage().bytes > 0).toBe(all.length > 0);
        for (const column of columnsOf(tier)) expect(column.bytes, column.name).toBe(arrayBytes(column));
        tier.drop(database, group);
        expect(tier.usage()).toMatchObject({ bytes: 0, rows: 0, groups: 0, reservedBytes: 0 });
      }),
    );
  });
});

function columnsOf(tier: HotTier): HotColumn[] {
  const held = tier.find(database, group);
  if (typeof held === 'string') return [];
  return held
    .chunks()
    .flatMap((chunk) => Object.keys(fieldTypes).flatMap((name) => chunk.column(name) ?? []));
}

/** Bytes of the arrays of a column, added up. */
function arrayBytes(column: HotColumn): number {
  let bytes = 0;
  for (const block of column.blocks) {
    if (block === undefined) continue;
    const { numbers, flags, ends, text, validity } = block;
    for (const array of [numbers, flags, ends, text, validity]) bytes += array?.byteLength ?? 0;
  }
  return bytes;
}

/** The items in an order that the numbers decide. */
function shuffle<Item>(items: readonly Item[], order: readonly number[]): Item[] {
  return items
    .map((item, index) => ({ item, key: order[index % Math.max(1, order.length)] ?? 0, index }))
    .sort((left, right) => left.key - right.key || left.index - right.index)
    .map(({ item }) => item);
}
