import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RangeSet } from '../../../ingest/hot/range-set.js';

describe('range set', () => {
  it('holds what was added, in the fewest ranges', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 }), (values) => {
        const set = new RangeSet();
        const model = new Set<number>();
        for (const value of values) {
          expect(set.add(value)).toBe(!model.has(value));
          model.add(value);
        }
        for (let value = 0; value <= 41; value++) expect(set.has(value)).toBe(model.has(value));
        const ranges = [...set.ranges()];
        const listed = ranges.flatMap(({ first, last }) =>
          Array.from({ length: last - first + 1 }, (_, index) => first + index),
        );
        expect(listed).toEqual([...model].sort((left, right) => left - right));
        ranges.slice(1).forEach(({ first }, index) => {
          expect(first - ranges[index]!.last).toBeGreaterThan(1);
        });
        expect(set.count).toBe(ranges.length);
      }),
    );
  });

  it('keeps a long run of numbers in one range', () => {
    const set = new RangeSet();
    for (let value = 1; value <= 100_000; value++) set.add(value);
    expect([set.count, set.bytes]).toEqual([1, 32]);
  });
});
