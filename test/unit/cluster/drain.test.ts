import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import type { NodeId } from '../../../core/model/batch.js';
import { silentLogger } from '../../../core/std/logger.js';
import { Drain, type DrainOptions, noHints } from '../../../ingest/drain.js';

/** A drain under a clock that moves when told to; what is left is set by the test. */
function setUp(more: Partial<DrainOptions> = {}) {
  const clock = new SimulatedClock({ startMs: 0 });
  const left = { groups: 2, hints: 0, isLeft: false };
  const calls: string[] = [];
  let failing = false;
  const drain = new Drain({
    node: 'n1' as NodeId,
    clock,
    logger: silentLogger,
    intervalMs: 1000,
    settleMs: 3000,
    ownedGroups: async () => {
      if (failing) throw new Error('the catalog is away');
      return left.groups;
    },
    hints: {
      count: () => left.hints,
      handOver: async () => {
        calls.push('hand over');
      },
    },
    stopWrites: async () => {
      calls.push('stop writes');
    },
    noteLeft: async () => {
      calls.push('note');
    },
    ...more,
  });
  void drain.left.then(() => {
    left.isLeft = true;
  });
  return {
    clock,
    drain,
    left,
    calls,
    fail: (now: boolean) => {
      failing = now;
    },
  };
}

describe('a node that is drained', () => {
  it('leaves once its groups are released, stops writes before, and notes it after', async () => {
    const { clock, drain, left, calls } = setUp();
    expect(drain.problems()).toEqual([]);
    drain.begin();
    await clock.advance(10_000);
    expect(drain.problems()).toEqual(['node n1 is drained: it owns 2 groups in flux and keeps 0 hints']);
    expect(calls).not.toContain('stop writes');
    left.groups = 0;
    await clock.advance(1000);
    expect(left.isLeft).toBe(true);
    expect(calls.slice(-4)).toEqual(['hand over', 'stop writes', 'hand over', 'note']);
    expect(drain.problems()).toEqual(['node n1 has left']);
    await drain.stop();
  });

  it('waits until other nodes must have heard of the drain, though it owns nothing', async () => {
    const { clock, drain, left } = setUp();
    left.groups = 0;
    drain.begin();
    await clock.advance(2999);
    expect(left.isLeft).toBe(false);
    await clock.advance(1);
    expect(left.isLeft).toBe(true);
    await drain.stop();
  });

  it('does not leave with hints that nobody has taken', async () => {
    const { clock, drain, left, calls } = setUp();
    left.groups = 0;
    left.hints = 5;
    drain.begin();
    await clock.advance(20_000);
    expect(left.isLeft).toBe(false);
    expect(drain.problems()).toEqual(['node n1 is drained: it owns 0 groups in flux and keeps 5 hints']);
    expect(calls).not.toContain('stop writes');
    left.hints = 0;
    await clock.advance(1000);
    expect(left.isLeft).toBe(true);
    await drain.stop();
  });

  it('leaves with hints that nobody takes once its patience is over, counted from when it owns nothing', async () => {
    const { clock, drain, left } = setUp({ hintPatienceMs: 5000 });
    left.hints = 5;
    drain.begin();
    await clock.advance(20_000);
    left.groups = 0;
    await clock.advance(5000);
    expect(left.isLeft).toBe(false);
    await clock.advance(2000);
    expect(left.isLeft).toBe(true);
    await drain.stop();
  });

  it('waits for no hint that nobody can take', async () => {
    const { clock, drain, left } = setUp({
      hints: { count: () => 5, takable: () => 0, handOver: async () => {} },
    });
    left.groups = 0;
    drain.begin();
    await clock.advance(4000);
    expect(left.isLeft).toBe(true);
    await drain.stop();
  });

  it('stays when the last writes of clients left hints, until those are handed over', async () => {
    const { clock, drain, left, calls } = setUp();
    left.groups = 0;
    const push = calls.push.bind(calls);
    calls.push = (call) => {
      if (call === 'stop writes' && !calls.includes('stop writes')) left.hints = 1;
      return push(call);
    };
    drain.begin();
    await clock.advance(3000);
    expect(calls).toContain('stop writes');
    expect(left.isLeft).toBe(false);
    left.hints = 0;
    await clock.advance(1000);
    expect(left.isLeft).toBe(true);
    await drain.stop();
  });

  it('goes on when the catalog is away for a while, and begins once however often it is told', async () => {
    const { clock, drain, left, calls, fail } = setUp();
    fail(true);
    left.groups = 0;
    drain.begin();
    drain.begin();
    await clock.advance(10_000);
    expect(left.isLeft).toBe(false);
    fail(false);
    await clock.advance(1000);
    drain.begin();
    expect(calls.filter((call) => call === 'note')).toEqual(['note']);
    await drain.stop();
  });

  it('ends its look when the process stops', async () => {
    const { clock, drain, left } = setUp();
    drain.begin();
    await clock.advance(1000);
    await drain.stop();
    left.groups = 0;
    await clock.advance(10_000);
    expect(left.isLeft).toBe(false);
  });

  it('has nothing to hand over where no hints are kept', async () => {
    await noHints.handOver(new AbortController().signal);
    expect(noHints.count()).toBe(0);
  });
});
