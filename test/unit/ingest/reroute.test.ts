import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../../core/catalog/types.js';
import { decodeBatch, encodeBatch } from '../../../core/codec/batch-codec.js';
import { type Batch, batchIdText, type GroupId, type NodeId } from '../../../core/model/batch.js';
import { LateGroupReroute, partId, readdressBatch } from '../../../ingest/replicate/reroute.js';
import { type MemoryNode, type MemoryWorld, makeWorld, startNode } from '../../support/memory-node.js';
import { type PlainPoint, pointsOf, rowsOf } from '../../support/rows.js';

const origin = 'n9' as NodeId;

function batchOf(points: readonly PlainPoint[], more: Partial<Batch> = {}): Batch {
  const group = 'w000000000001' as GroupId;
  const id = { origin, epoch: 3, sequence: 7 };
  return { id, stamp: 5n, database: 'db', group, shard: 0, tables: [rowsOf('t', points)], ...more };
}

const manySeries = Array.from({ length: 60 }, (_, index) => ({
  tags: { host: `h${index}` },
  timeNs: BigInt(index),
  fields: { x: index },
}));

const sortedPoints = (batches: readonly Batch[]): number[] =>
  batches
    .flatMap((batch) => batch.tables.flatMap(pointsOf))
    .map((point) => Number(point.fields.x))
    .sort((left, right) => left - right);

describe('readdressBatch', () => {
  const late = 'l000000000009' as GroupId;

  it('keeps id, stamp and rows when the number of shards is the same', () => {
    for (const shards of [1, 2, 5]) {
      for (const { tables, shard } of readdressBatch(batchOf(manySeries), late, shards)) {
        const one = batchOf([], { tables, shard });
        expect(readdressBatch(one, late, shards)).toEqual([{ ...one, group: late }]);
      }
    }
  });

  it('parts the rows when it is another, into ids that are one each and the same every time', () => {
    const whole = batchOf(manySeries);
    const parts = readdressBatch(whole, late, 4);
    expect(parts.map(({ shard }) => shard).sort()).toEqual([0, 1, 2, 3]);
    expect(new Set([whole, ...parts].map(({ id }) => batchIdText(id))).size).toBe(5);
    expect(parts.every(({ stamp, group }) => stamp === 5n && group === late)).toBe(true);
    expect(sortedPoints(parts)).toEqual(manySeries.map((_, index) => index));
    expect(readdressBatch(decodeBatch(encodeBatch(whole).bytes), late, 4)).toEqual(parts);
  });
});

describe('partId', () => {
  const shard = fc.integer({ min: 0, max: 1023 });
  const path = fc.array(shard, { maxLength: 2 });
  const epoch = fc.integer({ min: 1, max: 2 ** 32 - 1 });

  it('is another id for every batch and every way of parting it', () => {
    fc.assert(
      fc.property(epoch, path, epoch, path, (epochA, pathA, epochB, pathB) => {
        const idOf = (first: number, shards: readonly number[]) =>
          shards.reduce(partId, { origin, epoch: first, sequence: 1 });
        const same = epochA === epochB && pathA.join() === pathB.join();
        expect(idOf(epochA, pathA).epoch === idOf(epochB, pathB).epoch).toBe(same);
      }),
    );
  });

  it('refuses what has no room in an id', () => {
    const twice = [1023, 1023].reduce(partId, { origin, epoch: 1, sequence: 1 });
    expect(() => partId(twice, 1023)).toThrow(/parted twice before/);
  });
});

describe('LateGroupReroute', () => {
  let world: MemoryWorld;
  let node: MemoryNode;
  let database: Database;
  beforeEach(async () => {
    world = makeWorld({ settings: { shards: 3 } });
    node = await startNode(world);
    database = await world.catalogs.databases.ensure('plant', world.settings);
  });

  const lateGroups = async () => (await world.catalogs.groups.get(database)).value.groups;
  const held = (group: GroupId) => node.hot.report(database.id, group);
  const stranded = () => encodeBatch(batchOf(manySeries, { database: database.id }));

  it('writes the rows once, however often it is told', async () => {
    for (let time = 0; time < 3; time++) await node.node.reroute.toLateGroup(stranded());
    const [group, ...others] = await lateGroups();
    expect(others).toEqual([]);
    expect(group?.kind).toBe('late');
    const report = held(group!.id);
    expect(report.chunks.reduce((sum, chunk) => sum + chunk.rows, 0)).toBe(60);
    expect(report.batches.every((range) => range.origin === origin && range.first === 7)).toBe(true);
  });

  it('goes on to the next late group when the one it knew has closed', async () => {
    await node.node.reroute.toLateGroup(stranded());
    const [first] = await lateGroups();
    await world.catalogs.groups.close(database, [first!.id], { nowMs: world.clock.nowMs(), epoch: 1 });
    await node.node.owner.closeGroup(database.id, first!.id);
    const other = batchOf(manySeries, {
      database: database.id,
      id: { origin, epoch: 3, sequence: 8 },
    });
    await node.node.reroute.toLateGroup(encodeBatch(other));
    const second = (await lateGroups()).find((group) => group.state === 'open');
    expect(second?.id).not.toBe(first?.id);
    expect(held(second!.id).chunks.reduce((sum, chunk) => sum + chunk.rows, 0)).toBe(60);
  });

  it('says so when the database has been dropped', async () => {
    const gone = encodeBatch(batchOf(manySeries, { database: 'another' }));
    await expect(node.node.reroute.toLateGroup(gone)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('rejects when the level is not met, and says which', async () => {
    const reroute = new LateGroupReroute({
      catalog: { databaseById: async () => ({ ...database, consistency: 'quorum' }) },
      router: {
        forget: () => {},
        lateGroup: async () => ({
          ...(
            await world.catalogs.groups.openSpillGroup(database, 'late', {
              nowMs: 0,
              assign: () => [{ owners: ['a', 'b', 'c'] as NodeId[] }],
            })
          ).outcome,
        }),
      },
      replicator: {
        replicate: async (batch, _encoded, { owners }, level) => ({
          kind: 'outcome',
          cause: new Error('b is away'),
          outcome: {
            group: batch.group,
            shard: batch.shard,
            level,
            required: 2,
            acknowledged: owners.slice(0, 1),
            hinted: owners.slice(1),
            failed: [],
          },
        }),
      },
    });
    await expect(reroute.toLateGroup(stranded())).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(
        /batch n9\/3\/7 .*level quorum not met in shard 0.*got 1.*want 2: b is away/,
      ),
    });
  });
});
