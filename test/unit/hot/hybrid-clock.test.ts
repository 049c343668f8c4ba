import { describe, expect, it } from 'vitest';
import { HybridClock } from '../../../core/model/hybrid-clock.js';
import type { Clock } from '../../../core/ports/clock.js';

/** A wall clock that shows whatever it is set to, backwards too. */
function wallClock(nowMs: number): Clock & { nowMs: () => number; set(nowMs: number): void } {
  return {
    nowMs: () => nowMs,
    set: (next) => {
      nowMs = next;
    },
    monotonicMs: () => 0,
    sleep: async () => {},
  };
}

const at = (ms: number, counter = 0): bigint => (BigInt(ms) << 16n) | BigInt(counter);

describe('hybrid clock', () => {
  it('shows the wall clock in milliseconds and counts within one', () => {
    const wall = wallClock(1000.7);
    const clock = new HybridClock({ clock: wall });
    expect([clock.next(), clock.next(), clock.next()]).toEqual([at(1000), at(1000, 1), at(1000, 2)]);
    wall.set(1001);
    expect(clock.next()).toBe(at(1001));
  });

  it('goes on when the wall clock goes back', () => {
    const wall = wallClock(1000);
    const clock = new HybridClock({ clock: wall });
    clock.next();
    wall.set(5);
    expect([clock.next(), clock.next()]).toEqual([at(1000, 1), at(1000, 2)]);
  });

  it('carries a counter that overflows into the milliseconds', () => {
    const clock = new HybridClock({ clock: wallClock(1000) });
    clock.goBeyond(at(1000, 65_535));
    expect([clock.next(), clock.next()]).toEqual([at(1001), at(1001, 1)]);
  });

  it('goes beyond stamps of an earlier start, however far ahead they are, and never back', () => {
    const wall = wallClock(1000);
    const clock = new HybridClock({ clock: wall, skewMaxMs: 500 });
    clock.goBeyond(at(2_000_000, 3));
    clock.goBeyond(at(1500));
    expect(clock.next()).toBe(at(2_000_000, 4));
    wall.set(3_000_000);
    expect(clock.next()).toBe(at(3_000_000));
  });

  it('goes beyond every stamp it observed', () => {
    const clock = new HybridClock({ clock: wallClock(1000), skewMaxMs: 500 });
    clock.observe(at(1500, 9));
    clock.observe(at(1200));
    expect(clock.next()).toBe(at(1500, 10));
  });

  it('leaves a stamp too far ahead alone', () => {
    const clock = new HybridClock({ clock: wallClock(1000), skewMaxMs: 500 });
    expect(clock.observe(at(1501))).toBe('too-far-ahead');
    expect(clock.next()).toBe(at(1000));
  });

  it('takes a stamp behind its own even when the wall clock has gone far back', () => {
    const wall = wallClock(1_000_000);
    const clock = new HybridClock({ clock: wall, skewMaxMs: 500 });
    clock.next();
    wall.set(0);
    expect(clock.observe(at(999_999))).toBe('observed');
  });
});
