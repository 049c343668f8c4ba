import { afterEach, describe, expect, it } from 'vitest';
import type { Compactor } from '../../../compactor/compactor.js';
import { VarveError } from '../../../core/std/errors.js';
import { armFailpoint, disarmFailpoint, type FailpointName } from '../../../core/std/failpoint.js';
import type { PlainPoint } from '../../support/rows.js';
import { modelOf, viewOf } from './read-points.js';
import { dayMs, hourMs, minuteMs, startMs, World } from './world.js';

const tables = ['cpu', 'disk', 'mem'];

function at(ms: number): bigint {
  return BigInt(ms) * 1_000_000n;
}

function points(fromMs: number, count: number, mark: number): PlainPoint[] {
  return Array.from({ length: count }, (_, index) => ({
    tags: { host: `h${index % 4}` },
    timeNs: at(fromMs + Math.floor(index / 4) * minuteMs),
    fields: { value: index + mark },
  }));
}

const settings = {
  releaseGraceMs: 1000,
  expiry: { graceMs: 1000, orphanScanMs: 0 },
};

const sealPoints: FailpointName[] = [
  'seal.before-parquet-put',
  'seal.after-parquet-put',
  'seal.before-table-commit',
  'seal.after-table-commit',
  'seal.between-table-commits',
  'seal.before-group-sealed',
  'seal.after-group-sealed',
];

afterEach(() => disarmFailpoint());

/** Runs work that the failpoint ends; the "process" is then gone, and with it the hot tier. */
async function crashAt(name: FailpointName, count: number, work: () => Promise<unknown>): Promise<boolean> {
  let reached = false;
  armFailpoint(name, count, () => {
    reached = true;
    throw new Error(`crash at ${name}`);
  });
  await work().catch(() => {});
  disarmFailpoint();
  return reached;
}

async function sealAll(world: World, compactor: Compactor): Promise<void> {
  await compactor.keepLease();
  const report = await compactor.sealBefore(world.database, at(startMs + 2 * hourMs));
  expect(report.waiting).toEqual([]);
}

describe('a compactor that is killed', () => {
  for (const name of sealPoints) {
    for (const count of [1, 2, 3]) {
      it(`at ${name}, time ${count}, leaves every point exactly once`, async () => {
        const world = await World.make(count, { compactor: settings });
        const written = new Map<string, PlainPoint[]>();
        for (const table of tables) {
          const mine = [...points(startMs, 40, 0), ...points(startMs - 30 * dayMs, 12, 1000)];
          written.set(table, mine);
          await world.write(table, mine);
        }
        const first = world.compactor();
        await first.keepLease();
        const reached = await crashAt(name, count, async () => {
          const report = await first.sealBefore(world.database, at(startMs + hourMs));
          if (report.waiting.length > 0) throw new VarveError('internal', 'crashed inside');
        });
        // Two groups of three tables: only what is done once a group is not reached a third time.
        expect(reached).toBe(count < 3 || !name.includes('group-sealed'));
        // Whatever the moment of the crash, a query sees each point once.
        await world.startNode();
        for (const table of tables) {
          const view = await viewOf(world, table);
          expect(view.rows).toBe(52);
          expect(view.points).toEqual(modelOf(written.get(table) ?? []));
        }
        await world.clock.advance(minuteMs);
        const second = world.compactor();
        await sealAll(world, second);
        await sealAll(world, second);
        for (const table of tables) {
          const view = await viewOf(world, table);
          expect(view.settledRows).toBe(52);
          expect(view.points).toEqual(modelOf(written.get(table) ?? []));
        }
        const verified = await second.verify(world.database, null);
        expect(verified.differences).toEqual([]);
      });
    }
  }

  for (const name of ['merge.before-commit', 'merge.after-commit'] as const) {
    it(`at ${name} leaves every point exactly once`, async () => {
      const world = await World.make(1, { compactor: settings });
      const compactor = world.compactor();
      const all: PlainPoint[] = [];
      for (let round = 0; round < 5; round++) {
        const mine = points(startMs - 30 * dayMs, 40, round * 1000).filter((_, i) => i % (round + 1) === 0);
        all.push(...mine);
        await world.write('cpu', mine);
        await sealAll(world, compactor);
      }
      const before = await viewOf(world, 'cpu');
      expect(before.files).toHaveLength(5);
      expect(before.points).toEqual(modelOf(all));
      const crashed = await crashAt(name, 1, () => compactor.compact(world.database, null));
      expect(crashed).toBe(true);
      expect((await viewOf(world, 'cpu')).points).toEqual(modelOf(all));
      const second = world.compactor();
      await second.keepLease();
      await second.compact(world.database, null);
      const after = await viewOf(world, 'cpu');
      expect(after.points).toEqual(modelOf(all));
      expect(after.files).toHaveLength(1);
      expect(after.settledRows).toBe(40);
    });
  }

  for (const name of ['expire.before-delete', 'expire.during-delete'] as const) {
    it(`at ${name} deletes no file that a snapshot names, and deletes the others in the end`, async () => {
      const world = await World.make(1, { compactor: { ...settings, upkeepIdleMs: 0 } });
      const compactor = world.compactor();
      const all: PlainPoint[] = [];
      for (let round = 0; round < 3; round++) {
        all.push(...points(startMs - 30 * dayMs, 40, round));
        await world.write('cpu', all.slice(-40));
        await sealAll(world, compactor);
      }
      await compactor.compact(world.database, null);
      const files = async (): Promise<number> => {
        let count = 0;
        for await (const { key } of world.objects.list('')) if (key.endsWith('.parquet')) count += 1;
        return count;
      };
      expect(await files()).toBe(4);
      let crashes = 0;
      for (let round = 0; round < 6; round++) {
        await world.clock.advance(dayMs + minuteMs);
        await compactor.keepLease();
        await compactor.upkeepTick();
        await world.clock.advance(minuteMs);
        await compactor.keepLease();
        if (await crashAt(name, 1, () => compactor.upkeepTick())) crashes += 1;
        expect((await viewOf(world, 'cpu')).points).toEqual(modelOf(all));
      }
      expect(crashes).toBeGreaterThan(0);
      expect((await viewOf(world, 'cpu')).points).toEqual(modelOf(all));
      expect(await files()).toBe(1);
      expect((await compactor.verify(world.database, null)).differences).toEqual([]);
    });
  }
});
