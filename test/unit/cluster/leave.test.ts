import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import type { NodeId } from '../../../core/model/batch.js';
import { silentLogger } from '../../../core/std/logger.js';
import { leaveForGood } from '../../../ingest/leave.js';

function setUp() {
  const clock = new SimulatedClock({ startMs: 0 });
  const calls: string[] = [];
  let hasLeft = (): void => {};
  let failures = 0;
  const left = new Promise<void>((resolve) => {
    hasLeft = resolve;
  });
  const ended = leaveForGood({
    node: 'n1' as NodeId,
    clock,
    logger: silentLogger,
    drain: { begin: () => calls.push('drain'), left, problems: () => [] },
    stopWrites: async () => void calls.push('stop writes'),
    retire: async () => void calls.push('retire'),
    noteHandsOver: async () => {
      calls.push('note');
      if (failures-- > 0) throw new Error('the catalog is away');
    },
    withinMs: 10_000,
  });
  return { clock, calls, ended, hasLeft, fail: (times: number) => (failures = times) };
}

describe('leaving for good', () => {
  it('takes nothing any more before it says so, and others take its place after that only', async () => {
    const { clock, calls, ended, hasLeft } = setUp();
    await clock.advance(1);
    expect(calls).toEqual(['stop writes', 'retire', 'note', 'drain']);
    hasLeft();
    expect(await ended).toBe(true);
  });

  it('says so again while the catalog is away', async () => {
    const { clock, calls, ended, hasLeft, fail } = setUp();
    fail(2);
    await clock.advance(5000);
    expect(calls).toEqual(['stop writes', 'retire', 'note', 'note', 'note', 'drain']);
    hasLeft();
    expect(await ended).toBe(true);
  });

  it('ends when its time is over, whatever is left', async () => {
    const { clock, ended } = setUp();
    await clock.advance(10_000);
    expect(await ended).toBe(false);
  });
});
