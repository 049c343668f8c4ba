import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import { describeRandom } from './random.js';

describeRandom('system', () => new SystemRandom());
describeRandom('seeded', () => new SeededRandom(42));

describe('seeded random', () => {
  const draw = (seed: number): number[] => {
    const random = new SeededRandom(seed);
    return Array.from({ length: 5 }, () => random.next());
  };

  it('repeats itself for the same seed, and only for that', () => {
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(draw(0)).not.toEqual(draw(-1));
  });
});
