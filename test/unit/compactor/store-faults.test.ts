import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Fault } from '../../../core/adapters/fault.js';
import { isVarveError, VarveError } from '../../../core/std/errors.js';
import type { PlainPoint } from '../../support/rows.js';
import { modelOf, viewOf } from './read-points.js';
import { dayMs, hourMs, minuteMs, startMs, World } from './world.js';

function points(fromMs: number, value: number): PlainPoint[] {
  return Array.from({ length: 9 }, (_, i) => ({
    tags: { host: `h${i % 3}` },
    timeNs: BigInt(fromMs + i * 1000) * 1_000_000n,
    fields: { value: value + i },
  }));
}

describe('an object store that fails now and then', () => {
  it('delays sealing, merging and expiry, and costs no point', async () => {
    await fc.assert(
      fc.asyncProperty(
        // What becomes of each call in turn: 0 and 1 are faults, the rest goes well.
        fc.array(fc.nat(7), { minLength: 40, maxLength: 200 }),
        async (fates) => {
          let faulty = false;
          let calls = 0;
          const fail = (): Fault | undefined => {
            const fate = faulty ? fates[calls++ % fates.length] : 7;
            if (fate === undefined || fate > 1) return undefined;
            const error = new VarveError('unavailable', 'the store is out of reach');
            return { kind: fate === 0 ? 'refused' : 'answer-lost', error };
          };
          const world = await World.make(1, {
            database: { historyMs: minuteMs },
            compactor: { upkeepIdleMs: 0, retryMsMax: 1, expiry: { graceMs: minuteMs, orphanScanMs: 0 } },
            objectFaults: { fail },
          });
          const compactor = world.compactor();
          const written: PlainPoint[] = [];
          for (let round = 0; round < 4; round++) {
            const more = points(startMs - (round % 2) * dayMs, round * 100);
            written.push(...more);
            await world.write('cpu', more);
            await compactor.keepLease();
            faulty = true;
            for (const work of [
              () => compactor.sealBefore(world.database, BigInt(startMs + hourMs) * 1_000_000n),
              () => compactor.compact(world.database, null),
              () => compactor.upkeepTick(),
            ]) {
              await work().catch((error: unknown) => {
                if (!isVarveError(error, 'unavailable')) throw error;
              });
            }
            faulty = false;
            expect((await viewOf(world, 'cpu')).points).toEqual(modelOf(written));
            await world.clock.advance(2 * minuteMs);
          }
          await compactor.keepLease();
          const report = await compactor.sealBefore(world.database, BigInt(startMs + hourMs) * 1_000_000n);
          expect(report.waiting).toEqual([]);
          await compactor.compact(world.database, null);
          const view = await viewOf(world, 'cpu');
          expect(view.points).toEqual(modelOf(written));
          expect(view.settledRows).toBe(modelOf(written).size);
          expect((await compactor.verify(world.database, null)).differences).toEqual([]);
        },
      ),
      { numRuns: 25 },
    );
  });
});
