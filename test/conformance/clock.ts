import { describe, expect, it } from 'vitest';
import type { Clock } from '../../core/ports/clock.js';

/** A clock and what makes its time pass. */
export interface ClockUnderTest {
  readonly clock: Clock;
  /** Resolves when at least `byMs` have passed. */
  pass(byMs: number): Promise<void>;
}

/** What every Clock does, whoever makes its time pass. */
export function describeClock(name: string, open: () => ClockUnderTest): void {
  describe(`clock: ${name}`, () => {
    it('tells whole milliseconds of this age', () => {
      const now = open().clock.nowMs();
      expect(Number.isInteger(now)).toBe(true);
      expect(now).toBeGreaterThan(Date.UTC(2020, 0, 1));
    });

    it('does not run back', async () => {
      const { clock, pass } = open();
      const before = clock.monotonicMs();
      await pass(2);
      expect(clock.monotonicMs()).toBeGreaterThanOrEqual(before);
    });

    it('wakes sleepers in the order of their delays', async () => {
      const { clock, pass } = open();
      const woken: string[] = [];
      const sleeps = [
        clock.sleep(30).then(() => woken.push('30')),
        clock.sleep(1).then(() => woken.push('1')),
        clock.sleep(-5).then(() => woken.push('-5')),
      ];
      await pass(30);
      await Promise.all(sleeps);
      expect(woken).toHaveLength(3);
      expect(woken.at(-1)).toBe('30');
    });

    it('rejects a sleep with the reason of its signal, at once and later', async () => {
      const { clock } = open();
      const gaveUp = new Error('gave up');
      await expect(clock.sleep(1e9, AbortSignal.abort(gaveUp))).rejects.toBe(gaveUp);
      const abort = new AbortController();
      const sleep = clock.sleep(1e12, abort.signal);
      abort.abort(gaveUp);
      await expect(sleep).rejects.toBe(gaveUp);
    });

    it('does not mind a signal that is aborted after the sleep', async () => {
      const { clock, pass } = open();
      const abort = new AbortController();
      const sleep = clock.sleep(1, abort.signal);
      await pass(1);
      await sleep;
      abort.abort();
    });
  });
}
