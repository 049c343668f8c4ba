import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import type { HotScanRequest } from '../../../core/ports/hot-reader.js';
import { silentLogger } from '../../../core/std/logger.js';
import { blockRows } from '../../../ingest/hot/blocks.js';
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
  rowTexts,
} from '../../support/naive-hot-tier.js';

const everything: HotScanRequest = {
  database,
  group,
  shard: 0,
  table: 'cpu',
  columns: ['host', 'load', 'count', 'total', 'up', 'note'],
  minTimeNs: null,
  maxTimeNs: null,
  tags: [],
};

function load(batches: readonly PlainBatch[]): HotTierReader {
  const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
  for (const batch of batches) expect(tier.apply(batchOf(batch), hashOf(batch), 100)).toBe('applied');
  return new HotTierReader({ tier, giveWay: async () => {} });
}

function batchesOf(sizes: readonly number[], row: (at: number, batch: number) => PlainRow): PlainBatch[] {
  let at = 0;
  return sizes.map((size, batch) => ({
    origin: 'n1',
    epoch: 1,
    sequence: batch + 1,
    stamp: BigInt(batch + 1),
    shard: 0,
    tables: { cpu: Array.from({ length: size }, () => row(at++, batch)) },
  }));
}

describe('chunks of several blocks', () => {
  const seed = 20260731;
  it(`give every row back through blocks, columns that come and go, and late times (seed ${seed})`, async () => {
    const random = new SeededRandom(seed);
    const below = (limit: number): number => Math.floor(random.next() * limit);
    const sizes = [1, 15, 40, blockRows - 60, 3000, blockRows, 5000, 20_000, 1];
    // Which fields a batch has at all; the rest is missing from it, as after a change of what is measured.
    const present: readonly (readonly string[])[] = [
      ['load'],
      ['load', 'note'],
      ['count'],
      ['load', 'total'],
      ['count', 'up'],
      ['load', 'up'],
      ['note', 'total'],
      ['load', 'count', 'total', 'up', 'note'],
      ['note'],
    ];
    const value = {
      load: () => random.next(),
      count: () => BigInt(below(9)) - 4n,
      total: () => BigInt(below(9)),
    };
    const make = { ...value, up: () => random.next() < 0.5, note: () => 'é'.repeat(below(4)) };
    const batches = batchesOf(sizes, (at, batch) => {
      const names = present[batch]!.filter((_, index) => index === 0 || random.next() < 0.8);
      const fields = Object.fromEntries(names.map((name) => [name, make[name as keyof typeof make]()]));
      const late = random.next() < 0.01 ? below(at + 1) : at;
      return { tags: { host: `h${below(50)}` }, timeNs: BigInt(late) * 1000n, fields };
    });
    const reader = load(batches);
    for (const request of [
      everything,
      { ...everything, columns: ['note', 'host'] },
      { ...everything, tags: [{ tag: 'host', values: ['h7'] }] },
      { ...everything, minTimeNs: 30_000_000n, maxTimeNs: 33_500_000n },
      { ...everything, minTimeNs: 70_000_000n, tags: [{ tag: 'host', values: ['h7', 'h8', 'none'] }] },
    ]) {
      expect(rowTexts(await plainScan(reader, request))).toEqual(rowTexts(naiveScan(batches, request)));
    }
  });

  it('give every row back of columns that stopped coming before their block was as long as the chunk', async () => {
    const whole = { load: 1.5, count: -7n, total: 2n ** 63n, up: true, note: 'é' };
    const batches = batchesOf([10, 30], (at, batch) => ({
      tags: { host: 'a' },
      timeNs: BigInt(at),
      fields: batch === 0 ? whole : { note: `${at}` },
    }));
    expect(rowTexts(await plainScan(load(batches), everything))).toEqual(
      rowTexts(naiveScan(batches, everything)),
    );
  });

  it('cut record batches at 65,536 points, also within a series', async () => {
    const batches = batchesOf([70_000, 30_000], (at) => ({
      tags: { host: at % 3 === 0 ? 'a' : 'b' },
      timeNs: BigInt(at),
      fields: { count: BigInt(at) },
    }));
    expect(rowTexts(await plainScan(load(batches), everything))).toEqual(
      rowTexts(naiveScan(batches, everything)),
    );
  });

  it('let other work go first between record batches, and stop when it aborts the scan', async () => {
    const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
    const [plain] = batchesOf([140_000], (at) => ({ tags: {}, timeNs: BigInt(at), fields: { load: at } }));
    tier.apply(batchOf(plain!), hashOf(plain!), 100);
    const abort = new AbortController();
    const events: string[] = [];
    const reader = new HotTierReader({
      tier,
      giveWay: async () => {
        events.push('gave way');
        if (events.length === 4) abort.abort(new Error('enough'));
      },
    });
    const scan = async (): Promise<void> => {
      for await (const piece of reader.scan(everything, abort.signal)) {
        if (piece.length > 65_536) events.push('batch');
      }
    };
    await expect(scan()).rejects.toThrow('enough');
    expect(events).toEqual(['batch', 'gave way', 'batch', 'gave way']);
  });

  it('let a short answer wait for no other work', async () => {
    const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
    const [plain] = batchesOf([1000], (at) => ({ tags: {}, timeNs: BigInt(at), fields: { load: at } }));
    tier.apply(batchOf(plain!), hashOf(plain!), 100);
    let turns = 0;
    const giveWay = async (): Promise<void> => {
      turns += 1;
    };
    const rows = await plainScan(new HotTierReader({ tier, giveWay }), everything);
    expect([rows.length, turns]).toEqual([1000, 0]);
  });

  it('cut record batches before their text grows large', async () => {
    const text = 'x'.repeat(2 ** 20);
    const batches = batchesOf([20, 20], (at) => ({
      tags: { host: 'a' },
      timeNs: BigInt(at % 37),
      fields: { note: `${at}${text}` },
    }));
    const reader = load(batches);
    for await (const piece of reader.scan(everything)) expect(piece.length).toBeLessThan(20 * 2 ** 20);
    expect(rowTexts(await plainScan(reader, everything))).toEqual(rowTexts(naiveScan(batches, everything)));
  });

  it('cut record batches of many columns before they grow large', async () => {
    const names = Array.from({ length: 1000 }, (_, at) => `f${at}`);
    const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
    const rowCount = 9000;
    const rows = batchOf(
      batchesOf([rowCount], (at) => ({ tags: {}, timeNs: BigInt(at), fields: { load: at } }))[0]!,
    );
    const fields = names.map((name) => ({ ...rows.tables[0]!.fields[0]!, name }));
    tier.apply({ ...rows, tables: [{ ...rows.tables[0]!, fields }] }, new Uint8Array(16), 100);
    const reader = new HotTierReader({ tier, giveWay: async () => {} });
    const sizes: number[] = [];
    for await (const piece of reader.scan({ ...everything, columns: names })) sizes.push(piece.length);
    expect(Math.max(...sizes)).toBeLessThan(33 * 2 ** 20);
    expect(sizes.reduce((sum, size) => sum + size)).toBeGreaterThan(rowCount * 1001 * 8);
  });

  it('order thousands of series as they order few', async () => {
    const random = new SeededRandom(seed);
    const tags = (): Record<string, string> => ({
      ...(random.next() < 0.9 ? { host: `h${Math.floor(random.next() * 3000)}` } : {}),
      ...(random.next() < 0.5 ? { dc: `h${Math.floor(random.next() * 9)}` } : {}),
    });
    const batches = batchesOf([6000, 6000], (at) => ({
      tags: tags(),
      timeNs: BigInt(at),
      fields: { load: at },
    }));
    const request = { ...everything, columns: ['dc', 'host', 'load'] };
    expect(rowTexts(await plainScan(load(batches), request))).toEqual(rowTexts(naiveScan(batches, request)));
  });
});
