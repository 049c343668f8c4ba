import { describe, expect, it } from 'vitest';
import type { PlainPoint } from '../../support/rows.js';
import { modelOf, viewOf } from './read-points.js';
import { dayMs, hourMs, minuteMs, startMs, World } from './world.js';

function at(ms: number): bigint {
  return BigInt(Math.round(ms)) * 1_000_000n;
}

/** One point a minute and host. */
function minutes(fromMs: number, count: number, hosts = 3): PlainPoint[] {
  const points: PlainPoint[] = [];
  for (let minute = 0; minute < count; minute++) {
    for (let host = 0; host < hosts; host++) {
      points.push({
        tags: { host: `h${host}`, region: host % 2 === 0 ? 'eu' : 'us' },
        timeNs: at(fromMs + minute * minuteMs),
        fields: { usage: minute + host / 8, count: BigInt(minute) },
      });
    }
  }
  return points;
}

async function settledThrough(world: World): Promise<bigint> {
  return (await world.catalogs.groups.get(await world.databaseRecord())).value.settledThroughNs;
}

describe('sealing', () => {
  it('seals a window after its deadline, into one file a table, and moves the watermark', async () => {
    const world = await World.make(1);
    const compactor = world.compactor();
    const points = minutes(startMs, 60);
    await world.write('cpu', points);
    await compactor.keepLease();
    await compactor.sealTick();
    expect((await viewOf(world, 'cpu')).settledRows).toBe(0);

    await world.clock.advance(hourMs + 5 * minuteMs);
    await compactor.keepLease();
    await compactor.sealTick();
    const view = await viewOf(world, 'cpu');
    expect(view.settledRows).toBe(180);
    expect(view.rows).toBe(180);
    expect(view.points).toEqual(modelOf(points));
    expect(view.files).toHaveLength(1);
    expect(view.files[0]?.day).toBe(startMs / dayMs);
    expect(view.files[0]?.sortedBy).toEqual(['host', 'region']);
    expect(await settledThrough(world)).toBe(at(startMs + hourMs));
  });

  it('cuts a window that crosses midnight into a file a day', async () => {
    const world = await World.make(2, { database: { windowMs: 2 * dayMs } });
    const compactor = world.compactor();
    const points = minutes(startMs - 30 * minuteMs, 60);
    await world.write('cpu', points);
    await compactor.keepLease();
    await compactor.sealBefore(world.database, at(startMs + 4 * dayMs));
    const view = await viewOf(world, 'cpu');
    expect(view.points).toEqual(modelOf(points));
    expect(view.files.map(({ day }) => day).sort()).toEqual([startMs / dayMs - 1, startMs / dayMs]);
  });

  it('puts late rows over many days into few files, and busy days into their own', async () => {
    const world = await World.make(3, {
      compactor: { filePlan: { dayRowsMin: 100, dayFilesMin: 4 } },
    });
    const compactor = world.compactor();
    const sparse = Array.from({ length: 1000 }, (_, day) => minutes(startMs - (day + 2) * dayMs, 1)).flat();
    const busy = minutes(startMs - 500 * dayMs - 6 * hourMs, 60);
    await world.write('cpu', [...sparse, ...busy]);
    await world.clock.advance(2 * minuteMs);
    await compactor.keepLease();
    await compactor.sealTick();
    const view = await viewOf(world, 'cpu');
    expect(view.points).toEqual(modelOf([...sparse, ...busy]));
    expect(view.rows).toBe(3180);
    expect(view.files.map(({ day }) => day)).toEqual([startMs / dayMs - 501, null]);
  });

  it('closes a late group that holds as many bytes as it may', async () => {
    const world = await World.make(4, { database: { lateBytesMax: 1000, lateDelayMs: dayMs } });
    const compactor = world.compactor();
    await compactor.keepLease();
    await world.write('cpu', minutes(startMs - 9 * dayMs, 1, 1));
    await compactor.sealTick();
    expect((await viewOf(world, 'cpu')).settledRows).toBe(0);
    await world.write('cpu', minutes(startMs - 8 * dayMs, 100));
    await compactor.sealTick();
    expect((await viewOf(world, 'cpu')).settledRows).toBe(301);
  });

  it('keeps exact nanoseconds, integers, strings, booleans and what NaN and -0 are', async () => {
    const world = await World.make(5);
    const compactor = world.compactor();
    const points: PlainPoint[] = [
      { tags: {}, timeNs: at(startMs) + 1n, fields: { f: Number.NaN, s: 'ä\u0000\u{1f600}', b: true } },
      { tags: {}, timeNs: at(startMs) + 999n, fields: { f: -0, i: -(2n ** 63n), s: '' } },
      { tags: { a: 'x' }, timeNs: at(startMs) + 1000n, fields: { f: Infinity, i: 2n ** 63n - 1n } },
      { tags: { z: 'y' }, timeNs: at(startMs), fields: { b: false } },
    ];
    await world.write('t', points);
    await compactor.keepLease();
    await compactor.sealBefore(world.database, at(startMs + hourMs));
    const view = await viewOf(world, 't');
    expect(view.points).toEqual(modelOf(points));
    expect(view.settledRows).toBe(4);
    const values = [...view.points.values()].map((fields) => fields['f']);
    expect(values.some((value) => Object.is(value, -0))).toBe(true);
  });

  it('lets the later sealed value of a point win, before and after sealing alike', async () => {
    const world = await World.make(6);
    const compactor = world.compactor();
    await compactor.keepLease();
    const first = minutes(startMs, 10);
    await world.write('cpu', first);
    await compactor.sealBefore(world.database, at(startMs + hourMs));
    const again = first.map((point) => ({ ...point, fields: { usage: -1, extra: 'late' } }));
    await world.write('cpu', again);
    const before = await viewOf(world, 'cpu');
    expect(before.points).toEqual(modelOf([...first, ...again]));
    await compactor.sealBefore(world.database, at(startMs + hourMs));
    const after = await viewOf(world, 'cpu');
    expect(after.settledRows).toBe(60);
    expect(after.points).toEqual(before.points);
  });

  it('releases a group after the grace, and forgets it in the tables once it left the list', async () => {
    const world = await World.make(7);
    const compactor = world.compactor();
    const points = minutes(startMs, 30);
    await world.write('cpu', points);
    await world.clock.advance(hourMs + 5 * minuteMs);
    await compactor.keepLease();
    await compactor.sealTick();
    const groups = async (): Promise<number> =>
      (await world.catalogs.groups.get(await world.databaseRecord())).value.groups.length;
    expect(await groups()).toBe(1);
    for (let round = 0; round < 4; round++) {
      await world.clock.advance(61_000);
      await compactor.keepLease();
      await compactor.sealTick();
    }
    expect(await groups()).toBe(0);
    expect((await world.catalogs.tables.get(world.database, 'cpu'))?.value.sealedGroups).toEqual([]);
    const view = await viewOf(world, 'cpu');
    expect(view.rows).toBe(90);
    expect(view.points).toEqual(modelOf(points));
  });

  it('makes a group wait, visibly, while an owner cannot be reached, and later groups with it', async () => {
    const world = await World.make(8);
    let reachable = false;
    const compactor = world.compactor({
      peers: () => {
        if (reachable) return world.owner;
        return { ...world.owner, closeGroup: () => Promise.reject(new Error('connection refused')) };
      },
    });
    await compactor.keepLease();
    await world.write('cpu', minutes(startMs, 5));
    await world.write('cpu', minutes(startMs - 9 * dayMs, 5));
    const stuck = await compactor.sealBefore(world.database, at(startMs + hourMs));
    expect(stuck.sealed).toEqual([]);
    expect(stuck.waiting).toHaveLength(2);
    expect(stuck.waiting[0]?.reason).toContain('owner n1: connection refused');
    const status = await compactor.status(world.database);
    expect(status.groups.map(({ state, reason }) => [state, reason?.includes('connection refused')])).toEqual(
      [
        ['closing', true],
        ['closing', true],
      ],
    );
    reachable = true;
    const done = await compactor.sealBefore(world.database, at(startMs + hourMs));
    expect(done.sealed).toHaveLength(2);
    expect(done.waiting).toEqual([]);
  });
});
