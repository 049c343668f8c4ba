import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import {
  countSequences,
  coversSequence,
  normalizeSequenceRanges,
  sliceSequenceRanges,
  subtractSequenceRanges,
} from '../../../core/catalog/sequence-ranges.js';
import type { SequenceRange } from '../../../core/catalog/types.js';
import { batchIdText, type NodeId } from '../../../core/model/batch.js';

function below(random: SeededRandom, bound: number): number {
  return Math.floor(random.next() * bound);
}

function randomRanges(random: SeededRandom): SequenceRange[] {
  return Array.from({ length: below(random, 6) }, () => {
    const first = 1 + below(random, 30);
    return {
      origin: `n${below(random, 2)}` as NodeId,
      epoch: 1 + below(random, 2),
      first,
      last: first + below(random, 8),
    };
  });
}

function idsOf(ranges: readonly SequenceRange[]): Set<string> {
  const ids = new Set<string>();
  for (const { origin, epoch, first, last } of ranges) {
    for (let sequence = first; sequence <= last; sequence++)
      ids.add(batchIdText({ origin, epoch, sequence }));
  }
  return ids;
}

describe('sets of sequences as ranges', () => {
  it('subtract, count, cover and slice as sets do', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const random = new SeededRandom(seed);
      const [left, right] = [randomRanges(random), randomRanges(random)];
      const difference = subtractSequenceRanges(left, right);
      const wanted = [...idsOf(left)].filter((id) => !idsOf(right).has(id)).sort();
      expect([...idsOf(difference)].sort(), `seed ${seed}`).toEqual(wanted);
      expect(normalizeSequenceRanges(difference), `seed ${seed}`).toEqual(difference);
      expect(countSequences(difference)).toBe(wanted.length);
      const slices = [...sliceSequenceRanges(difference, 3)];
      expect(slices.flat().map(batchIdText).sort()).toEqual(wanted);
      expect(slices.slice(0, -1).every((slice) => slice.length === 3)).toBe(true);
      for (const id of slices.flat())
        expect(coversSequence(left, id) && !coversSequence(right, id)).toBe(true);
    }
  });
});
