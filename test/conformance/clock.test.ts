import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../core/adapters/clock-simulated.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { describeClock } from './clock.js';

describeClock('system', () => {
  const clock = new SystemClock();
  return { clock, pass: (byMs) => clock.sleep(byMs) };
});

describeClock('simulated', () => {
  const clock = new SimulatedClock();
  return { clock, pass: (byMs) => clock.advance(byMs) };
});

describeClock('simulated, jumping', () => {
  const clock = new SimulatedClock({ sleeps: 'jump' });
  return { clock, pass: (byMs) => clock.sleep(byMs) };
});

describe('simulated clock', () => {
  it('wakes each sleeper at its very time, those who slept first first', async () => {
    const clock = new SimulatedClock({ startMs: Date.UTC(2030, 0, 1) });
    const start = clock.nowMs();
    const woken: string[] = [];
    const sleep = async (name: string, delayMs: number): Promise<void> => {
      await clock.sleep(delayMs);
      woken.push(`${name}@${clock.nowMs() - start}`);
    };
    void sleep('a', 20);
    void sleep('b', 10);
    void sleep('c', 10);
    await clock.advance(5);
    expect(woken).toEqual([]);
    await clock.advance(15);
    expect(woken).toEqual(['b@10', 'c@10', 'a@20']);
    expect(clock.nowMs() - start).toBe(20);
  });

  it('wakes sleepers that woken ones leave behind, within one advance', async () => {
    const clock = new SimulatedClock();
    const ticks: number[] = [];
    const tick = async (): Promise<void> => {
      for (let i = 0; i < 3; i++) {
        await clock.sleep(10);
        ticks.push(clock.monotonicMs());
      }
    };
    void tick();
    await clock.advance(100);
    expect(ticks).toEqual([10, 20, 30]);
    expect(clock.sleeperCount).toBe(0);
    expect(clock.nextDelayMs).toBeUndefined();
  });

  it('forgets an aborted sleeper', () => {
    const clock = new SimulatedClock();
    const abort = new AbortController();
    clock.sleep(10, abort.signal).catch(() => {});
    expect(clock.nextDelayMs).toBe(10);
    abort.abort();
    expect(clock.sleeperCount).toBe(0);
  });

  it('steps its wall clock without waking anyone', async () => {
    const clock = new SimulatedClock();
    const now = clock.nowMs();
    clock.sleep(10).catch(() => {});
    clock.stepWall(-5000);
    expect(clock.nowMs()).toBe(now - 5000);
    expect(clock.sleeperCount).toBe(1);
    expect(clock.monotonicMs()).toBe(0);
  });
});
