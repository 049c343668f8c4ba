import { describe, expect, it } from 'vitest';
import type { Compactor } from '../../../compactor/compactor.js';
import { garbageFolder } from '../../../compactor/expire/garbage-list.js';
import { FilesInFlight } from '../../../compactor/rows/files-in-flight.js';
import type { PlainPoint } from '../../support/rows.js';
import { modelOf, viewOf } from './read-points.js';
import { dayMs, hourMs, minuteMs, startMs, World } from './world.js';

const compactorSettings = { upkeepIdleMs: 0, expiry: { graceMs: 10 * minuteMs, orphanScanMs: 0 } };

function at(ms: number): bigint {
  return BigInt(ms) * 1_000_000n;
}

function points(fromMs: number, value: number): PlainPoint[] {
  return Array.from({ length: 20 }, (_, i) => ({
    tags: { host: `h${i}` },
    timeNs: at(fromMs),
    fields: { value: value + i },
  }));
}

async function writeAndSeal(world: World, compactor: Compactor, rows: PlainPoint[]): Promise<void> {
  await world.write('cpu', rows);
  await compactor.keepLease();
  expect((await compactor.sealBefore(world.database, at(startMs + hourMs))).waiting).toEqual([]);
}

async function upkeep(world: World, compactor: Compactor, afterMs: number): Promise<void> {
  await world.clock.advance(afterMs);
  await compactor.keepLease();
  await compactor.upkeepTick();
}

async function keysOf(world: World, prefix = ''): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of world.objects.list(prefix)) keys.push(key);
  return keys;
}

describe('expiry', () => {
  it('deletes objects of expired snapshots only a grace after nothing names them', async () => {
    const world = await World.make(1, { compactor: compactorSettings, database: { historyMs: hourMs } });
    const compactor = world.compactor();
    for (let round = 0; round < 3; round++)
      await writeAndSeal(world, compactor, points(startMs - dayMs, round));
    await compactor.compact(world.database, null);
    const old = (await keysOf(world)).filter((key) => key.endsWith('.parquet'));
    expect(old).toHaveLength(4);
    await upkeep(world, compactor, 30 * minuteMs);
    expect(await keysOf(world)).toEqual(expect.arrayContaining(old));
    await upkeep(world, compactor, 31 * minuteMs);
    const lists = (await keysOf(world)).filter((key) => key.includes('/garbage/'));
    expect(lists.length).toBeGreaterThan(0);
    expect(await keysOf(world)).toEqual(expect.arrayContaining(old));
    await upkeep(world, compactor, 9 * minuteMs);
    expect(await keysOf(world)).toEqual(expect.arrayContaining(old));
    await upkeep(world, compactor, 2 * minuteMs);
    const left = await keysOf(world);
    expect(left.filter((key) => key.endsWith('.parquet'))).toHaveLength(1);
    expect(left.filter((key) => key.includes('/garbage/'))).toEqual([]);
    const view = await viewOf(world, 'cpu');
    expect(view.points).toEqual(modelOf(points(startMs - dayMs, 2)));
  });

  it('finds what crashes left behind, and leaves what is young alone', async () => {
    const world = await World.make(2, { compactor: compactorSettings });
    const compactor = world.compactor();
    await writeAndSeal(world, compactor, points(startMs, 0));
    const record = (await world.catalogs.tables.get(world.database, 'cpu'))?.value;
    const folder = `${(await world.databaseRecord()).id}/${record?.tableUuid}`;
    const orphan = `${folder}/data/${'0'.repeat(64)}.parquet`;
    await world.objects.put(orphan, Buffer.from('left'));
    const live = (await keysOf(world)).filter((key) => key !== orphan);
    await upkeep(world, compactor, 5 * minuteMs);
    expect(await keysOf(world, garbageFolder(folder))).toEqual([]);
    await upkeep(world, compactor, 6 * minuteMs);
    expect(await keysOf(world, garbageFolder(folder))).toHaveLength(1);
    expect(await keysOf(world)).toContain(orphan);
    await upkeep(world, compactor, 11 * minuteMs);
    expect(await keysOf(world)).toEqual(live);
  });

  it('does not delete what is named again by the time of deletion', async () => {
    const world = await World.make(3, { compactor: compactorSettings });
    const compactor = world.compactor();
    await writeAndSeal(world, compactor, points(startMs, 0));
    const record = (await world.catalogs.tables.get(world.database, 'cpu'))?.value;
    const folder = `${(await world.databaseRecord()).id}/${record?.tableUuid}`;
    const before = await keysOf(world);
    const list = { version: 1, firstSeenMs: startMs, keys: before };
    await world.objects.put(`${garbageFolder(folder)}${startMs}-x.json`, Buffer.from(JSON.stringify(list)));
    await upkeep(world, compactor, hourMs);
    expect(await keysOf(world)).toEqual(before);
  });

  it('refuses a garbage list that names objects of others', async () => {
    const world = await World.make(4, { compactor: compactorSettings });
    const compactor = world.compactor();
    await writeAndSeal(world, compactor, points(startMs, 0));
    const record = (await world.catalogs.tables.get(world.database, 'cpu'))?.value;
    const folder = `${(await world.databaseRecord()).id}/${record?.tableUuid}`;
    await world.objects.put('elsewhere/x', Buffer.from('keep'));
    const list = { version: 1, firstSeenMs: startMs, keys: ['elsewhere/x'] };
    await world.objects.put(`${garbageFolder(folder)}${startMs}-x.json`, Buffer.from(JSON.stringify(list)));
    await upkeep(world, compactor, hourMs);
    expect(await keysOf(world)).toContain('elsewhere/x');
  });

  it('removes files wholly beyond retention, and only those', async () => {
    const world = await World.make(5, {
      compactor: compactorSettings,
      database: { retentionMs: 10 * dayMs, historyMs: hourMs },
    });
    const compactor = world.compactor();
    await writeAndSeal(world, compactor, points(startMs - 9 * dayMs, 0));
    await writeAndSeal(world, compactor, points(startMs, 0));
    await upkeep(world, compactor, 2 * dayMs);
    const view = await viewOf(world, 'cpu');
    expect(view.points).toEqual(modelOf(points(startMs, 0)));
    await upkeep(world, compactor, 2 * hourMs);
    await upkeep(world, compactor, hourMs);
    expect((await keysOf(world)).filter((key) => key.endsWith('.parquet'))).toHaveLength(1);
  });

  it('clears the objects of a dropped database after a grace, and nothing of others', async () => {
    const world = await World.make(6, { compactor: compactorSettings });
    const compactor = world.compactor();
    await writeAndSeal(world, compactor, points(startMs, 0));
    const { id } = await world.databaseRecord();
    await world.catalogs.databases.delete(world.database);
    await world.objects.put(`${id}x/other`, Buffer.from('keep'));
    await upkeep(world, compactor, minuteMs);
    expect(await keysOf(world, `${id}/`)).not.toEqual([]);
    await upkeep(world, compactor, 10 * minuteMs);
    expect(await keysOf(world)).toEqual([`${id}x/other`]);
    expect(await world.catalogs.databases.listDropped()).toEqual([]);
  });
});

describe('files in flight', () => {
  it('are not deleted while held by anyone, nor held while they are being deleted', async () => {
    const files = new FilesInFlight();
    const [first, second] = [files.open(), files.open()];
    first.hold('k');
    second.hold('k');
    first.letGo();
    const deleted: string[] = [];
    const remove = async (keys: readonly string[]): Promise<void> => {
      for (const key of keys) expect(() => files.hold(key)).toThrow(/being deleted/);
      deleted.push(...keys);
    };
    await files.deleteUnheld(['k', 'other'], remove);
    expect(deleted).toEqual(['other']);
    second.letGo();
    await files.deleteUnheld(['k'], remove);
    expect(deleted).toEqual(['other', 'k']);
    files.hold('k');
    expect(files.isHeld('k')).toBe(true);
  });
});
