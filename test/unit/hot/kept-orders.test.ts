import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GroupId } from '../../../core/model/batch.js';
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
  plainScan,
} from '../../support/naive-hot-tier.js';

const everything: HotScanRequest = {
  database,
  group,
  shard: 0,
  table: 'cpu',
  columns: ['host', 'dc', 'load', 'count', 'note'],
  minTimeNs: null,
  maxTimeNs: null,
  tags: [],
};

/** Few times and series: late rows, rows out of order and points that come again are the rule. */
const row: fc.Arbitrary<PlainRow> = fc.record({
  tags: fc.record(
    { host: fc.constantFrom('a', 'b', 'c'), dc: fc.constantFrom('x', 'y') },
    { requiredKeys: [], noNullPrototype: true },
  ),
  timeNs: fc.oneof(fc.bigInt(0n, 20n), fc.constantFrom(-1n, 2n ** 32n, 2n ** 31n, -(2n ** 63n))),
  fields: fc
    .record(
      { load: fc.double({ noNaN: true }), count: fc.bigInt(-2n, 2n), note: fc.constantFrom('', 'é') },
      { requiredKeys: [], noNullPrototype: true },
    )
    .filter((values) => Object.keys(values).length > 0),
});
const batch = fc.record({
  kind: fc.constant('batch' as const),
  // In order of arrival, or not.
  stamp: fc.bigInt(1n, 4n),
  rows: fc.array(row, { minLength: 1, maxLength: 8 }),
});
const bound = fc.option(fc.bigInt(0n, 20n));
const scan = fc.record({
  kind: fc.constant('scan' as const),
  minTimeNs: bound,
  maxTimeNs: bound,
  tags: fc.array(
    fc.record({
      tag: fc.constantFrom('host', 'dc'),
      values: fc.uniqueArray(fc.option(fc.constantFrom('a', 'x', 'none')), { maxLength: 3 }),
    }),
    { maxLength: 1 },
  ),
  columns: fc.shuffledSubarray([...everything.columns]),
});
const scanWhole = fc.constant({ ...everything, kind: 'scan' as const });

function plainBatch(sequence: number, stamp: bigint, rows: readonly PlainRow[]): PlainBatch {
  return { origin: 'n1', epoch: 1, sequence, stamp, shard: 0, tables: { cpu: rows } };
}

function apply(tier: HotTier, plain: PlainBatch): void {
  expect(tier.apply(batchOf(plain), hashOf(plain), 100)).toBe('applied');
}

function newTier(bytesMax = 2 ** 30): HotTier {
  return new HotTier({ bytesMax, logger: silentLogger, orderedRowsMin: 1 });
}

const inOrder = (from: number, count: number, sequence: number): PlainBatch =>
  plainBatch(
    sequence,
    BigInt(sequence),
    Array.from({ length: count }, (_, at) => ({
      tags: { host: `h${at % 5}` },
      timeNs: BigInt(from + at),
      fields: { load: from + at },
    })),
  );

async function scanOften(reader: HotTierReader, times: number): Promise<void> {
  for (let time = 0; time < times; time++) await plainScan(reader, everything);
}

describe('orders that scans keep of a chunk', () => {
  it('change no answer, whatever comes between and during scans', async () => {
    let kept = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(batch, scan, scanWhole), { maxLength: 24 }),
        fc.boolean(),
        async (steps, writesDuring) => {
          const tier = newTier();
          tier.openGroup(database, group);
          const held: PlainBatch[] = [];
          const waiting = steps.flatMap((step) => (step.kind === 'batch' ? [step] : []));
          const takeNext = (): void => {
            const next = waiting.shift();
            if (next === undefined) return;
            const plain = plainBatch(held.length + 1, next.stamp, next.rows);
            held.push(plain);
            apply(tier, plain);
          };
          // A scan answers with what there was when it began, whatever is written while it gives way.
          const giveWay = async (): Promise<void> => {
            if (writesDuring) takeNext();
          };
          const reader = new HotTierReader({ tier, giveWay });
          for (const step of steps) {
            if (step.kind === 'batch') {
              takeNext();
              continue;
            }
            const request = { ...everything, ...step };
            const want = naiveScan(held, request);
            expect(await plainScan(reader, request)).toEqual(want);
            if (tier.orders.bytes > 0) kept += 1;
          }
        },
      ),
      { numRuns: 600 },
    );
    expect(kept).toBeGreaterThan(100);
  });

  it('are made once the same chunk is read again, and not by a single scan such as for sealing', async () => {
    const tier = newTier();
    apply(tier, inOrder(0, 50, 1));
    const reader = new HotTierReader({ tier, giveWay: async () => {} });
    await scanOften(reader, 1);
    expect(tier.orders.bytes).toBe(0);
    await scanOften(reader, 1);
    expect(tier.orders.bytes).toBe(50 * 12 + 5 * 13);
  });

  it('are never made by a scan of few rows, which would wait for it, but used by it', async () => {
    const tier = newTier();
    // The host of every hundredth row.
    const rows = inOrder(0, 3000, 1).tables['cpu']!.map((each, at) =>
      at % 100 === 0 ? { ...each, tags: { host: 'rare' } } : each,
    );
    const plain = plainBatch(1, 1n, rows);
    apply(tier, plain);
    const reader = new HotTierReader({ tier, giveWay: async () => {} });
    const rare = { ...everything, tags: [{ tag: 'host', values: ['rare'] }] };
    for (let time = 0; time < 50; time++) await plainScan(reader, rare);
    expect(tier.orders.bytes).toBe(0);
    await scanOften(reader, 1);
    expect(tier.orders.bytes).toBeGreaterThan(0);
    expect(await plainScan(reader, rare)).toEqual(naiveScan([plain], rare));
  });

  it('take in rows that came since when everything is read, and else when many have come', async () => {
    const tier = newTier();
    const chunkRows = (): number | undefined => {
      const held = tier.find(database, group);
      const chunk = typeof held === 'string' ? undefined : held.chunk(0, 'cpu');
      return chunk === undefined ? undefined : tier.orders.of(chunk)?.rowCount;
    };
    apply(tier, inOrder(0, 100, 1));
    const reader = new HotTierReader({ tier, giveWay: async () => {} });
    await scanOften(reader, 2);
    expect(chunkRows()).toBe(100);
    apply(tier, inOrder(100, 10, 2));
    const fewHosts = { ...everything, tags: [{ tag: 'host', values: ['h1', 'h2', 'h3', 'h4'] }] };
    await plainScan(reader, fewHosts);
    expect(chunkRows()).toBe(100);
    await scanOften(reader, 1);
    expect(chunkRows()).toBe(110);
    apply(tier, inOrder(110, 300, 3));
    for (let time = 0; time < 3; time++) await plainScan(reader, fewHosts);
    expect(chunkRows()).toBe(410);
  });

  it('count as memory of the hot tier and go with their group', async () => {
    const tier = newTier();
    apply(tier, inOrder(0, 50, 1));
    const before = tier.usage().bytes;
    await scanOften(new HotTierReader({ tier, giveWay: async () => {} }), 3);
    expect(tier.usage().bytes).toBe(before + 50 * 12 + 5 * 13);
    tier.drop(database, group);
    expect(tier.usage().bytes).toBe(0);
  });

  it('are not kept of a group that is dropped while they are made', async () => {
    const tier = newTier();
    apply(tier, inOrder(0, 50, 1));
    let drops = false;
    const giveWay = async (): Promise<void> => {
      if (drops) tier.drop(database, group);
    };
    const reader = new HotTierReader({ tier, giveWay });
    await scanOften(reader, 1);
    drops = true;
    expect(await plainScan(reader, everything)).toHaveLength(50);
    expect(tier.usage().bytes).toBe(0);
  });

  it('are let go when a write needs their room, and take no more than a quarter of all', async () => {
    const sized = newTier();
    apply(sized, inOrder(0, 1000, 1));
    const bytes = sized.usage().bytes;
    const orderBytes = 1000 * 12 + 5 * 13;

    const tier = newTier(bytes + orderBytes * 4);
    apply(tier, inOrder(0, 1000, 1));
    const reader = new HotTierReader({ tier, giveWay: async () => {} });
    await scanOften(reader, 3);
    expect(tier.orders.bytes).toBe(orderBytes);
    tier.reserve(orderBytes * 3).release();
    expect(tier.orders.bytes).toBe(orderBytes);
    const room = tier.reserve(orderBytes * 3 + 1);
    expect(tier.orders.bytes).toBe(0);
    room.release();
    const small = newTier(orderBytes * 4 - 1);
    apply(small, inOrder(0, 1000, 1));
    await scanOften(new HotTierReader({ tier: small, giveWay: async () => {} }), 3);
    expect(small.orders.bytes).toBe(0);
  });

  it('serve several groups, the least recently read going first', async () => {
    const one = inOrder(0, 500, 1);
    const orderBytes = 500 * 12 + 5 * 13;
    const tier = newTier(orderBytes * 8 + 200_000);
    const other = 'w000000000002' as GroupId;
    const third = 'w000000000003' as GroupId;
    const all = [group, other, third];
    for (const id of all) tier.apply({ ...batchOf(one), group: id }, hashOf(one), 100);
    const reader = new HotTierReader({ tier, giveWay: async () => {} });
    for (let time = 0; time < 3; time++) {
      for (const id of all) await plainScan(reader, { ...everything, group: id });
    }
    expect(tier.orders.bytes).toBe(3 * orderBytes);
    tier.orders.shrinkTo(2 * orderBytes);
    const held = all.map((id) => {
      const found = tier.find(database, id);
      const chunk = typeof found === 'string' ? undefined : found.chunk(0, 'cpu');
      return chunk !== undefined && tier.orders.of(chunk) !== undefined;
    });
    expect(held).toEqual([false, true, true]);
  });
});
