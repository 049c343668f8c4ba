import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Compactor } from '../../../compactor/compactor.js';
import { isVarveError } from '../../../core/std/errors.js';
import type { PlainPoint } from '../../support/rows.js';
import { modelOf, viewOf } from './read-points.js';
import { dayMs, hourMs, minuteMs, startMs, World } from './world.js';

function at(ms: number): bigint {
  return BigInt(ms) * 1_000_000n;
}

function points(fromMs: number, count: number, value: number): PlainPoint[] {
  return Array.from({ length: count }, (_, i) => ({
    tags: { host: `h${i % 3}` },
    timeNs: at(fromMs + i * 1000),
    fields: { value: value + i },
  }));
}

describe('two compactors', () => {
  it('work one at a time: the second says who has the lease, and takes over when it has run out', async () => {
    const world = await World.make(1);
    const first = world.compactor({ isGone: () => false });
    const second = world.compactor({ isGone: () => false });
    await world.write('cpu', points(startMs, 10, 0));
    await first.keepLease();
    await second.keepLease();
    await expect(second.sealBefore(world.database, at(startMs))).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('compactor-1'),
    });
    expect((await second.status(world.database)).active).toBe(false);
    await world.clock.advance(60_000);
    const report = await second.sealBefore(world.database, at(startMs + hourMs));
    expect(report.sealed).toHaveLength(1);
  });

  it('commit nothing for the one that lost the lease, although it does not know yet', async () => {
    const world = await World.make(2);
    const first = world.compactor();
    await world.write('cpu', points(startMs, 10, 0));
    await first.keepLease();
    // The second takes the lease while the first believes it has it.
    const second = world.compactor();
    await second.keepLease();
    await world.write('cpu', points(startMs - 9 * dayMs, 10, 0));
    await second.sealBefore(world.database, at(startMs + hourMs));
    const sealed = await viewOf(world, 'cpu');
    await world.write('cpu', points(startMs - 9 * dayMs, 10, 50));
    await expect(first.sealBefore(world.database, at(startMs + hourMs))).rejects.toMatchObject({
      kind: 'fenced',
    });
    expect((await viewOf(world, 'cpu')).files).toEqual(sealed.files);
  });

  it('that both believe to hold the lease, with calls of the stores in any order, lose and double nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.nat(5), { minLength: 4, maxLength: 12 }),
        async (s, steps) => {
          let scheduling = false;
          const world = await World.make(3, {
            database: { lateDelayMs: 1000 },
            compactor: { releaseGraceMs: 1000, upkeepIdleMs: 0, expiry: { graceMs: 2000, orphanScanMs: 0 } },
            objectFaults: { delay: async () => (scheduling ? s.schedule(Promise.resolve()) : undefined) },
          });
          const written: PlainPoint[] = [];
          let compactors: Compactor[] = [world.compactor(), world.compactor()];
          for (const [round, step] of steps.entries()) {
            const more = points(startMs - (step % 3) * dayMs + round * minuteMs, 5, round * 100);
            written.push(...more);
            await world.write('cpu', more);
            if (step === 5) compactors = [world.compactor(), world.compactor()];
            for (const compactor of compactors) await compactor.keepLease();
            scheduling = true;
            const work = compactors.map((compactor) => workOf(world, compactor, step));
            await s.waitAll();
            for (let settled = false; !settled; await s.waitAll()) {
              settled = await Promise.race([Promise.all(work).then(() => true), turn().then(() => false)]);
            }
            scheduling = false;
            await world.clock.advance(1500);
            const view = await viewOf(world, 'cpu');
            expect(view.points).toEqual(modelOf(written));
          }
          const last = world.compactor();
          await last.keepLease();
          await last.sealBefore(world.database, at(startMs + dayMs));
          await last.compact(world.database, null);
          const view = await viewOf(world, 'cpu');
          expect(view.points).toEqual(modelOf(written));
          expect(view.settledRows).toBe(modelOf(written).size);
          expect((await last.verify(world.database, null)).differences).toEqual([]);
        },
      ),
      { numRuns: 12 },
    );
  });
});

async function workOf(world: World, compactor: Compactor, step: number): Promise<void> {
  try {
    if (step % 2 === 0) await compactor.sealTick();
    else await compactor.sealBefore(world.database, at(startMs + hourMs));
    if (step > 2) await compactor.compact(world.database, null);
    await compactor.upkeepTick();
  } catch (error) {
    if (!isVarveError(error, 'fenced', 'unavailable', 'conflict', 'not-found')) throw error;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
