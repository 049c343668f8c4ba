import { tableFromIPC } from 'apache-arrow';
import { describe, expect, it } from 'vitest';
import type { Database } from '../../../core/catalog/types.js';
import type { GroupId } from '../../../core/model/batch.js';
import { nsPerMs } from '../../../core/model/window.js';
import { isVarveError } from '../../../core/std/errors.js';
import type { DecodedTable } from '../../../ingest/write-contract.js';
import { type MemoryNode, type MemoryWorld, makeWorld, startNode } from '../../support/memory-node.js';
import { type PlainPoint, rowsOf } from '../../support/rows.js';

const minute = 60_000;
const day = 86_400_000;

function decoded(table: string, points: readonly PlainPoint[]): DecodedTable {
  return { rows: rowsOf(table, points), lineNumbers: Int32Array.from(points, (_, index) => index + 1) };
}

function at(world: MemoryWorld, offsetMs: number, x: number, host = 'a'): PlainPoint {
  return { tags: { host }, timeNs: BigInt(world.clock.nowMs() + offsetMs) * nsPerMs, fields: { x } };
}

async function write(node: MemoryNode, points: readonly PlainPoint[], acceptPartial = true) {
  const session = await node.node.writes.begin({ database: 'db' });
  return session.commit([decoded('cpu', points)], { acceptPartial });
}

async function database(world: MemoryWorld): Promise<Database> {
  const found = await world.catalogs.databases.get('db');
  if (found === undefined) throw new Error('no database');
  return found;
}

/** Values of x in each group in flux, by kind of group. */
async function hotValues(world: MemoryWorld, node: MemoryNode): Promise<Record<string, number[]>> {
  const db = await database(world);
  const { value: list } = await world.catalogs.groups.get(db);
  const values: Record<string, number[]> = {};
  for (const group of list.groups) {
    for (let shard = 0; shard < group.shards.length; shard++) {
      const pieces: Uint8Array[] = [];
      const request = {
        database: db.id,
        group: group.id,
        shard,
        table: 'cpu',
        columns: ['x'],
        minTimeNs: null,
        maxTimeNs: null,
        tags: [],
      };
      for await (const piece of node.hotReader.scan(request)) pieces.push(piece);
      const column = tableFromIPC(Buffer.concat(pieces)).getChild('x');
      values[group.kind] = [
        ...(values[group.kind] ?? []),
        ...(column === null ? [] : Array.from(column, Number)),
      ].sort((l, r) => l - r);
    }
  }
  return values;
}

describe('the write path', () => {
  it('puts rows of open windows into window groups, older ones into the late and later ones into the ahead group', async () => {
    const world = makeWorld();
    const node = await startNode(world);
    const report = await write(node, [
      at(world, 0, 1),
      at(world, -400 * day, 2),
      at(world, 3 * day, 3),
      at(world, -30_000, 4),
    ]);
    expect(report).toEqual({ written: 4, rejected: [] });
    const values = await hotValues(world, node);
    expect(values['late']).toEqual([2]);
    expect(values['ahead']).toEqual([3]);
    expect(values['window']).toEqual([1, 4]);
  });

  it('routes rows anew when their group has been closed meanwhile, losing none', async () => {
    const world = makeWorld();
    const node = await startNode(world);
    await write(node, [at(world, 0, 1)]);
    const db = await database(world);
    const { value: list } = await world.catalogs.groups.get(db);
    const ids = list.groups.map((group) => group.id);
    await world.catalogs.groups.close(db, ids, { nowMs: world.clock.nowMs(), epoch: 1 });
    for (const id of ids) await node.node.owner.closeGroup(db.id, id);
    await write(node, [at(world, 1, 2)]);
    expect(await hotValues(world, node)).toEqual({ window: [1], late: [2] });
  });

  it('never takes rows for a group that was sealed and dropped while the node remembered it as open', async () => {
    const world = makeWorld();
    const node = await startNode(world);
    await write(node, [at(world, -400 * day, 1)]);
    const db = await database(world);
    const group = (await world.catalogs.groups.get(db)).value.groups[0]?.id as GroupId;
    const stamp = { nowMs: world.clock.nowMs(), epoch: 1 };
    await world.catalogs.groups.close(db, [group], stamp);
    const report = await node.node.owner.closeGroup(db.id, group);
    await world.catalogs.groups.seal(db, group, report.batches, stamp);
    expect(await node.node.owner.releaseGroup(db.id, group, report.batches)).toEqual({ kind: 'released' });
    await world.catalogs.groups.release(db, group, [node.node.owner.node]);
    await write(node, [at(world, -400 * day, 2)]);
    const { value: list } = await world.catalogs.groups.get(db);
    expect(list.groups.map((other) => other.id)).not.toContain(group);
    expect(await hotValues(world, node)).toEqual({ late: [2] });
  });

  it('writes what the sealed set lacks into the late group before it lets a group go', async () => {
    const world = makeWorld();
    const node = await startNode(world);
    await write(node, [at(world, 0, 1)]);
    const db = await database(world);
    const group = (await world.catalogs.groups.get(db)).value.groups[0]?.id as GroupId;
    const { batches } = await node.node.owner.closeGroup(db.id, group);
    expect(await node.node.owner.releaseGroup(db.id, group, [])).toEqual({ kind: 'released' });
    const late = (await world.catalogs.groups.get(db)).value.groups.find(({ kind }) => kind === 'late');
    expect((await node.node.owner.reportGroup(db.id, late?.id as GroupId)).batches).toEqual(batches);
    const again = await startNode(world);
    expect((await again.node.owner.reportGroup(db.id, late?.id as GroupId)).batches).toEqual(batches);
  });

  it('has every acknowledged row after a crash, and none twice', async () => {
    const world = makeWorld();
    let node = await startNode(world);
    await write(node, [at(world, 0, 1), at(world, -400 * day, 2)]);
    await Promise.all([
      write(node, [at(world, 1, 3)]),
      write(node, [at(world, 2, 4)]),
      write(node, [at(world, 3, 5)]),
    ]);
    world.disk.crash('none');
    node = await startNode(world);
    expect(await hotValues(world, node)).toEqual({ window: [1, 3, 4, 5], late: [2] });
    expect(node.node.recovery.batchesRestored).toBeGreaterThanOrEqual(3);
    await write(node, [at(world, 4, 6)]);
    expect((await hotValues(world, node))['window']).toEqual([1, 3, 4, 5, 6]);
  });

  it('lets what is written after a restart win, even if the clock was set back meanwhile', async () => {
    const world = makeWorld();
    let node = await startNode(world);
    const point = at(world, 0, 1);
    await write(node, [point]);
    world.disk.crash('none');
    world.clock.stepWall(-minute);
    node = await startNode(world);
    await write(node, [{ ...point, fields: { x: 2 } }]);
    expect((await hotValues(world, node))['window']).toEqual([2]);
  });

  it('drops at start what belongs to groups that are in history, and to databases that are gone', async () => {
    const world = makeWorld();
    let node = await startNode(world);
    await write(node, [at(world, 0, 1)]);
    expect(await world.catalogs.databases.delete('db')).toBe(true);
    world.disk.crash('none');
    node = await startNode(world);
    expect(node.node.recovery).toMatchObject({ batchesRestored: 0, batchesDropped: 1 });
    await write(node, [at(world, 0, 7)]);
    expect(await hotValues(world, node)).toEqual({ window: [7] });
  });

  it('lets go of what it holds of a dropped database while it runs', async () => {
    const world = makeWorld();
    const node = await startNode(world);
    await write(node, [at(world, 0, 1), at(world, -400 * day, 2)]);
    expect(node.hot.usage().groups).toBe(2);
    await world.catalogs.databases.delete('db');
    await world.clock.advance(10_000);
    expect(node.hot.usage()).toMatchObject({ groups: 0, rows: 0, bytes: 0 });
    expect(node.wal.usage().batches).toBe(0);
    await write(node, [at(world, 0, 3)]);
    expect(await hotValues(world, node)).toEqual({ window: [3] });
  });

  it('refuses with a time to retry when the hot tier is full, and writes nothing of it', async () => {
    const world = makeWorld();
    const node = await startNode(world, { hotBytesMax: 1000 });
    await expect(
      write(
        node,
        Array.from({ length: 500 }, (_, i) => at(world, 0, i, `h${i}`)),
      ),
    ).rejects.toSatisfy(
      (error) => isVarveError(error, 'unavailable') && error.retryAfterSeconds !== undefined,
    );
    expect(node.hot.usage().rows).toBe(0);
  });

  it('rejects rows of another type than the table has, alone or with all others as asked', async () => {
    const world = makeWorld();
    const node = await startNode(world);
    await write(node, [at(world, 0, 1)]);
    const wrong: PlainPoint = { ...at(world, 1, 2), fields: { x: 'text' } };
    const points = (): PlainPoint[] => [wrong];
    const report = await write(node, points());
    expect(report.written).toBe(0);
    expect(report.rejected).toHaveLength(1);
    expect(report.rejected[0]?.message).toMatch(/x.*string.*double|x.*double.*string/s);
    expect(await hotValues(world, node)).toEqual({ window: [1] });
  });

  it('spreads series over shards and keeps each in one', async () => {
    const world = makeWorld({ settings: { shards: 4 } });
    const node = await startNode(world);
    await write(
      node,
      Array.from({ length: 200 }, (_, i) => at(world, 0, i, `h${i}`)),
    );
    await write(
      node,
      Array.from({ length: 200 }, (_, i) => at(world, 0, i + 1000, `h${i}`)),
    );
    expect((await hotValues(world, node))['window']).toEqual(Array.from({ length: 200 }, (_, i) => i + 1000));
    expect(node.hot.usage().groups).toBe(1);
  });
});
