import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { selectRows } from '../../../core/model/select-rows.js';
import { nsPerMs, windowOf } from '../../../core/model/window.js';
import { ahead, assignRows, behind, openWindows } from '../../../ingest/route/assign-rows.js';
import { partitionRows } from '../../../ingest/route/partition-rows.js';
import { shardOf, shardRows } from '../../../ingest/route/shard-of.js';
import { type PlainPoint, pointsOf, rowsOf } from '../../support/rows.js';

const point = fc.record({
  tags: fc.dictionary(fc.constantFrom('host', 'région', 'z'), fc.string({ minLength: 1 }), { maxKeys: 3 }),
  timeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fields: fc
    .record(
      {
        d: fc.double(),
        i: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        b: fc.boolean(),
        s: fc.string(),
      },
      { requiredKeys: [] },
    )
    .filter((fields) => Object.keys(fields).length > 0),
});

describe('openWindows', () => {
  it('goes from the oldest whose deadline has not passed to the one after the current', () => {
    const starts = (nowMs: number, windowMs: number, graceMs: number): number[] =>
      openWindows(nowMs, windowMs, graceMs).map((window) => Number(window.startNs / nsPerMs));
    expect(starts(25_000, 10_000, 5000)).toEqual([20_000, 30_000]);
    expect(starts(24_999, 10_000, 5000)).toEqual([10_000, 20_000, 30_000]);
    expect(starts(20_000, 10_000, 0)).toEqual([20_000, 30_000]);
    expect(starts(34_999, 10_000, 25_000)).toEqual([0, 10_000, 20_000, 30_000, 40_000]);
    expect(starts(35_000, 10_000, 25_000)).toEqual([10_000, 20_000, 30_000, 40_000]);
  });
});

describe('openWindows of a list with groups past their deadline', () => {
  const starts = (nowMs: number, oldestOpenMs: number): number[] =>
    openWindows(nowMs, 10_000, 5000, BigInt(oldestOpenMs) * nsPerMs).map((window) =>
      Number(window.startNs / nsPerMs),
    );

  it('goes on from the oldest that is open, a cut one from the begin of its window', () => {
    expect(starts(45_000, 20_000)).toEqual([20_000, 30_000, 40_000, 50_000]);
    expect(starts(45_000, 23_000)).toEqual([20_000, 30_000, 40_000, 50_000]);
    expect(starts(45_000, 50_000)).toEqual([40_000, 50_000]);
  });

  it('goes 64 windows back at most', () => {
    expect(starts(10_045_000, 0)).toHaveLength(66);
  });
});

describe('assignRows', () => {
  it('finds the window of every row exactly, to the nanosecond at the boundaries', () => {
    const nowMs = 1_700_000_025_000;
    const windows = openWindows(nowMs, 10_000, 5000);
    const first = windows[0];
    const last = windows.at(-1);
    if (first === undefined || last === undefined) throw new Error('no windows');
    const times = [
      first.startNs - 1n,
      first.startNs,
      first.endNs - 1n,
      first.endNs,
      last.endNs - 1n,
      last.endNs,
      -(2n ** 63n),
      2n ** 63n - 1n,
    ];
    const rows = rowsOf(
      't',
      times.map((timeNs) => ({ tags: {}, timeNs, fields: { x: 1 } })),
    );
    expect([...(assignRows(rows, windows) as Int32Array)]).toEqual([
      behind,
      0,
      0,
      1,
      windows.length - 1,
      ahead,
      behind,
      ahead,
    ]);
  });

  it('agrees with the definition for any times', () => {
    fc.assert(
      fc.property(
        fc.array(point, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 0, max: 2 ** 41 }),
        (points, nowMs) => {
          const windows = openWindows(nowMs, 600_000, 300_000);
          const near = points.map((entry, index) =>
            index % 2 === 0
              ? entry
              : { ...entry, timeNs: BigInt(nowMs) * nsPerMs + (entry.timeNs % 2_000_000_000_000n) },
          );
          const assigned = assignRows(rowsOf('t', near), windows);
          near.forEach((entry, row) => {
            const target = typeof assigned === 'number' ? assigned : assigned[row];
            const { startNs } = windowOf(entry.timeNs, 600_000);
            const index = windows.findIndex((window) => window.startNs === startNs);
            const want = index >= 0 ? index : startNs < (windows[0]?.startNs ?? 0n) ? behind : ahead;
            expect(target).toBe(want);
          });
        },
      ),
    );
  });
});

describe('selectRows and partitionRows', () => {
  it('keep every value of every row, bit for bit', () => {
    fc.assert(
      fc.property(
        fc.array(point, { minLength: 1, maxLength: 30 }),
        fc.infiniteStream(fc.nat(2)),
        (points, targets) => {
          const rows = rowsOf('t', points);
          const assigned = Int32Array.from(points, () => targets.next().value ?? 0);
          const parts = partitionRows(rows, assigned);
          const want = new Map<number, PlainPoint[]>();
          pointsOf(rows).forEach((entry, row) => {
            const target = assigned[row] ?? 0;
            want.set(target, [...(want.get(target) ?? []), entry]);
          });
          expect(new Map([...parts].map(([target, part]) => [target, pointsOf(part.rows)]))).toEqual(want);
        },
      ),
    );
  });

  it('leave out fields and series that no picked row has', () => {
    const rows = rowsOf('t', [
      { tags: { host: 'a' }, timeNs: 1n, fields: { x: 1 } },
      { tags: { host: 'b' }, timeNs: 2n, fields: { y: 2 } },
    ]);
    const picked = selectRows(rows, Int32Array.of(1));
    expect(picked.fields.map((field) => [field.name, field.validity])).toEqual([['y', null]]);
    expect(picked.seriesKeys.offsets.length).toBe(2);
  });
});

describe('shards', () => {
  it('are the same for a series whatever batch it comes in, and even', () => {
    const hosts = Array.from({ length: 4000 }, (_, i) => ({
      tags: { host: `host_${i}` },
      timeNs: 1n,
      fields: { x: 1 },
    }));
    const rows = rowsOf('cpu', hosts);
    const assigned = shardRows(rows, 4) as Int32Array;
    const counts = [0, 1, 2, 3].map((shard) => assigned.filter((other) => other === shard).length);
    for (const count of counts) expect(count).toBeGreaterThan(800);
    const single = rowsOf('cpu', hosts.slice(7, 8));
    expect(shardRows(single, 4)).toBe(assigned[7]);
  });

  it('are part of what nodes agree on: golden values', () => {
    const key = rowsOf('cpu', [{ tags: { host: 'a', region: 'eu' }, timeNs: 0n, fields: { x: 1 } }])
      .seriesKeys.bytes;
    expect([2, 3, 16, 1000].map((shards) => shardOf('cpu', key, shards))).toMatchInlineSnapshot(`
      [
        1,
        2,
        9,
        505,
      ]
    `);
  });
});
