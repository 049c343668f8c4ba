import { describe, expect, it } from 'vitest';
import type { GroupId } from '../../../core/model/batch.js';
import { silentLogger } from '../../../core/std/logger.js';
import { type HotMetrics, HotTier } from '../../../ingest/hot/hot-tier.js';
import { batchOf, database, group, hashOf, type PlainBatch } from '../../support/naive-hot-tier.js';

function batch(sequence: number, change: Partial<PlainBatch> = {}): PlainBatch {
  const rows = [{ tags: { host: 'a' }, timeNs: BigInt(sequence), fields: { load: 1 } }];
  return {
    origin: 'n1',
    epoch: 1,
    sequence,
    stamp: BigInt(sequence),
    shard: 0,
    tables: { cpu: rows },
    ...change,
  };
}

function newTier(bytesMax = 2 ** 30, metrics?: HotMetrics): HotTier {
  return new HotTier({ bytesMax, logger: silentLogger, ...(metrics === undefined ? {} : { metrics }) });
}

function apply(tier: HotTier, plain: PlainBatch): string {
  return tier.apply(batchOf(plain), hashOf(plain), 100);
}

describe('life of a group in the hot tier', () => {
  it('takes a batch once', () => {
    const tier = newTier();
    expect([apply(tier, batch(1)), apply(tier, batch(1))]).toEqual(['applied', 'duplicate']);
    expect(tier.usage().rows).toBe(1);
  });

  it('tells batches of other origins and epochs apart', () => {
    const tier = newTier();
    const all = [batch(1), batch(1, { origin: 'n2' }), batch(1, { epoch: 2 })];
    expect(all.map((each) => apply(tier, each))).toEqual(['applied', 'applied', 'applied']);
    expect(tier.report(database, group).batches).toEqual([
      { origin: 'n1', epoch: 1, first: 1, last: 1 },
      { origin: 'n1', epoch: 2, first: 1, last: 1 },
      { origin: 'n2', epoch: 1, first: 1, last: 1 },
    ]);
  });

  it('refuses other bytes under the id of a batch it holds', () => {
    const tier = newTier();
    apply(tier, batch(1));
    expect(() => apply(tier, batch(1, { stamp: 9n }))).toThrow(expect.objectContaining({ kind: 'corrupt' }));
  });

  it('takes nothing new when closed, and knows what it holds', () => {
    const tier = newTier();
    apply(tier, batch(1));
    tier.closeGroup(database, group);
    expect([apply(tier, batch(2)), apply(tier, batch(1))]).toEqual(['closed', 'duplicate']);
    expect(tier.report(database, group)).toMatchObject({ closed: true, bytes: 100 });
  });

  it('closes a group before its first batch', () => {
    const tier = newTier();
    tier.closeGroup(database, group);
    tier.openGroup(database, group);
    expect(apply(tier, batch(1))).toBe('closed');
  });

  it('takes nothing for a dropped group, held before or not', () => {
    const tier = newTier();
    const other = 'l000000000002' as GroupId;
    apply(tier, batch(1));
    tier.drop(database, group);
    tier.drop(database, other);
    tier.openGroup(database, group);
    expect(apply(tier, batch(1))).toBe('closed');
    expect(tier.apply({ ...batchOf(batch(2)), group: other }, hashOf(batch(2)), 100)).toBe('closed');
    expect(tier.report(database, group)).toMatchObject({ closed: true, bytes: 0, batches: [], chunks: [] });
    expect([tier.find(database, group), tier.find(database, 'w000000000003' as GroupId)]).toEqual([
      'dropped',
      'unknown',
    ]);
  });

  it('keeps groups of the same id in two databases apart', () => {
    const tier = newTier();
    apply(tier, batch(1));
    expect(tier.apply({ ...batchOf(batch(1)), database: 'other' }, hashOf(batch(1)), 100)).toBe('applied');
    tier.drop('other', group);
    expect(tier.usage()).toMatchObject({ rows: 1, groups: 1 });
  });

  it('lists the batches of a shard with their hashes', () => {
    const tier = newTier();
    for (const each of [batch(2), batch(1), batch(3, { shard: 1 })]) apply(tier, each);
    expect(tier.leaves({ database, group, shard: 0 })).toEqual([
      { id: { origin: 'n1', epoch: 1, sequence: 2 }, hash: hashOf(batch(2)) },
      { id: { origin: 'n1', epoch: 1, sequence: 1 }, hash: hashOf(batch(1)) },
    ]);
  });

  it('joins the ranges of all shards', () => {
    const tier = newTier();
    for (const sequence of [7, 1, 3, 2, 4]) apply(tier, batch(sequence, { shard: sequence % 2 }));
    expect(tier.report(database, group).batches).toEqual([
      { origin: 'n1', epoch: 1, first: 1, last: 4 },
      { origin: 'n1', epoch: 1, first: 7, last: 7 },
    ]);
  });

  it('keeps nothing of a batch whose field has another type than the chunk', () => {
    const tier = newTier();
    apply(tier, batch(1));
    const before = [tier.usage(), tier.report(database, group)];
    const wrong = batchOf(batch(2));
    const field = { name: 'load', validity: null, type: 'boolean', values: Uint8Array.of(1) } as const;
    const tables = [
      { ...wrong.tables[0]!, table: 'mem' },
      { ...wrong.tables[0]!, fields: [field] },
    ];
    expect(() => tier.apply({ ...wrong, tables }, hashOf(batch(2)), 100)).toThrow(
      'field "load" got type boolean',
    );
    expect([tier.usage(), tier.report(database, group)]).toEqual(before);
  });
});

describe('a batch that could be applied in part only', () => {
  it('leaves a group that neither answers nor can be sealed', () => {
    const tier = newTier();
    apply(tier, batch(1));
    const torn = batchOf(batch(2));
    const rows = torn.tables[0]!;
    // Stands in for memory that runs out in the middle: the second table cannot be read.
    const tables = [rows, { ...rows, table: 'mem', timesNs: null as unknown as BigInt64Array }];
    expect(() => tier.apply({ ...torn, tables }, hashOf(batch(2)), 100)).toThrow(TypeError);
    const held = tier.find(database, group);
    expect(() => tier.report(database, group)).toThrow('holds part of a batch');
    expect(() => apply(tier, batch(2))).toThrow('holds part of a batch');
    expect(() => typeof held !== 'string' && held.chunk(0, 'cpu')).toThrow('holds part of a batch');
  });
});

describe('memory of the hot tier', () => {
  it('promises room up to the limit and says when to come again', () => {
    const tier = newTier(1000);
    const first = tier.reserve(600);
    expect(tier.wouldExceed(401)).toBe(true);
    expect(() => tier.reserve(401)).toThrow(
      expect.objectContaining({ kind: 'unavailable', retryAfterSeconds: expect.any(Number) }),
    );
    tier.reserve(400);
    first.release();
    first.release();
    expect(tier.usage().reservedBytes).toBe(400);
    expect(tier.wouldExceed(600)).toBe(false);
  });

  it('takes what is durable beyond the limit, and then has no room', () => {
    const tier = newTier(10);
    expect(apply(tier, batch(1))).toBe('applied');
    expect(tier.usage().bytes).toBeGreaterThan(10);
    expect(tier.wouldExceed(0)).toBe(true);
    tier.drop(database, group);
    expect(tier.wouldExceed(10)).toBe(false);
  });

  it('counts applied rows and duplicates', () => {
    const seen: unknown[] = [];
    const tier = newTier(1000, {
      applied: (rows, bytes) => seen.push(['applied', rows, bytes]),
      duplicate: () => seen.push('duplicate'),
      keptConflicts: () => {},
      scanned: () => {},
    });
    apply(tier, batch(1));
    apply(tier, batch(1));
    expect(seen).toEqual([['applied', 1, 100], 'duplicate']);
  });
});
