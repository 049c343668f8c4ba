import { describe, expect, it } from 'vitest';
import type { PlainPoint } from '../../support/rows.js';
import { modelOf, viewOf } from './read-points.js';
import { dayMs, hourMs, startMs, World } from './world.js';

function points(fromMs: number, count: number): PlainPoint[] {
  return Array.from({ length: count }, (_, i) => ({
    tags: { host: 'a' },
    timeNs: BigInt(fromMs + i * 1000) * 1_000_000n,
    fields: { value: i },
  }));
}

/** Lets simulated time pass second by second until `done`; fails when it takes too long. */
async function pass(world: World, secondsMax: number, done: () => Promise<boolean>): Promise<void> {
  for (let second = 0; second < secondsMax; second++) {
    if (await done()) return;
    await world.clock.advance(1000);
  }
  expect(await done()).toBe(true);
}

describe('the compactor in the background', () => {
  it('seals late points by itself, and gives the lease back when it stops', async () => {
    const world = await World.make(1, { sleeps: 'manual' });
    const compactor = world.compactor({ isGone: () => false });
    await world.write('cpu', points(startMs - 400 * dayMs, 50));
    compactor.start();
    await pass(world, 120, async () => (await viewOf(world, 'cpu')).settledRows === 50);
    await compactor.stop();
    const next = world.compactor({ isGone: () => false });
    await next.keepLease();
    expect((await next.status(world.database)).active).toBe(true);
    expect((await viewOf(world, 'cpu')).points).toEqual(modelOf(points(startMs - 400 * dayMs, 50)));
  });

  it('goes on with other databases while one cannot be sealed, and tries that one again', async () => {
    const world = await World.make(2, { sleeps: 'manual' });
    let broken = true;
    let tries = 0;
    await world.write('cpu', points(startMs - 400 * dayMs, 50));
    const bad = await world.databaseRecord();
    const peers = () => ({
      ...world.owner,
      closeGroup: (...call: Parameters<typeof world.owner.closeGroup>) => {
        if (call[0] !== bad.id || !broken) return world.owner.closeGroup(...call);
        tries += 1;
        return Promise.reject(new Error('broken'));
      },
    });
    const compactor = world.compactor({ peers });
    world.database = 'other';
    await world.write('cpu', points(startMs - 400 * dayMs, 30));
    compactor.start();
    await pass(world, 120, async () => (await viewOf(world, 'cpu')).settledRows === 30);
    await world.clock.advance(10 * 60_000);
    // At most every half minute once it has failed some times.
    expect(tries).toBeGreaterThan(10);
    expect(tries).toBeLessThan(40);
    const status = await compactor.status('d');
    expect(status.groups.map(({ reason }) => reason)).toEqual([expect.stringContaining('broken')]);
    broken = false;
    world.database = 'd';
    await pass(world, 60, async () => (await viewOf(world, 'cpu')).settledRows === 50);
    await compactor.stop();
  });

  it('is not started twice, and stops when it was never started', async () => {
    const world = await World.make(3, { sleeps: 'manual' });
    const compactor = world.compactor();
    const othersSleeping = world.clock.sleeperCount;
    await compactor.stop();
    compactor.start();
    compactor.start();
    await world.clock.advance(hourMs / 60);
    await compactor.stop();
    expect(world.clock.sleeperCount).toBe(othersSleeping);
  });
});
