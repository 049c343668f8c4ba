import { describe, expect, it } from 'vitest';
import type { Random } from '../../core/ports/random.js';

/** What every Random does, wherever its numbers come from. */
export function describeRandom(name: string, open: () => Random): void {
  describe(`random: ${name}`, () => {
    it('draws from [0, 1), evenly', () => {
      const random = open();
      const buckets = new Array<number>(10).fill(0);
      for (let i = 0; i < 10_000; i++) {
        const drawn = random.next();
        expect(drawn >= 0 && drawn < 1).toBe(true);
        buckets[Math.floor(drawn * 10)] = (buckets[Math.floor(drawn * 10)] ?? 0) + 1;
      }
      // Six standard deviations around 1,000.
      for (const count of buckets) expect(Math.abs(count - 1000)).toBeLessThan(180);
    });

    it('fills as many bytes as asked for, all values among them', () => {
      const random = open();
      for (const length of [0, 1, 3, 16, 17]) expect(random.bytes(length)).toHaveLength(length);
      expect(new Set(random.bytes(20_000)).size).toBe(256);
      expect(Buffer.compare(random.bytes(16), random.bytes(16))).not.toBe(0);
    });
  });
}
