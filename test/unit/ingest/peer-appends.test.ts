import { describe, expect, it } from 'vitest';
import { encodeBatch, readBatchHeader } from '../../../core/codec/batch-codec.js';
import type { BatchId, EncodedBatch, NodeId } from '../../../core/model/batch.js';
import { type MemoryNode, type MemoryWorld, makeWorld, startNode } from '../../support/memory-node.js';
import { rowsOf } from '../../support/rows.js';

/** A batch that another node made at `stampedMs`, for the late group, which is opened for it. */
async function batchOf(
  world: MemoryWorld,
  stampedMs: number,
  options: { sequence?: number; rows?: number; origin?: string } = {},
): Promise<EncodedBatch> {
  const database = await world.catalogs.databases.ensure('db', world.settings);
  const { outcome: group } = await world.catalogs.groups.openSpillGroup(database, 'late', {
    nowMs: world.clock.nowMs(),
    assign: () => [{ owners: ['n1' as NodeId] }],
  });
  const points = Array.from({ length: options.rows ?? 1 }, (_, row) => ({
    tags: {},
    timeNs: BigInt(row),
    fields: { x: 1 },
  }));
  const origin = (options.origin ?? 'n2') as NodeId;
  const id: BatchId = { origin, epoch: 1, sequence: options.sequence ?? 1 };
  const address = { database: database.id, group: group.id, shard: 0 };
  return encodeBatch({ ...address, id, stamp: BigInt(stampedMs) << 16n, tables: [rowsOf('cpu', points)] });
}

/** When, by its stamp, the next batch that the node makes was written. */
async function nextStampMs(world: MemoryWorld, node: MemoryNode): Promise<number> {
  const database = await world.catalogs.databases.ensure('db', world.settings);
  const session = await node.node.writes.begin({ database: 'db' });
  const rows = rowsOf('cpu', [{ tags: {}, timeNs: 5n, fields: { x: 2 } }]);
  await session.commit([{ rows, lineNumbers: Int32Array.of(1) }], { acceptPartial: true });
  const { value: list } = await world.catalogs.groups.get(database);
  const address = { database: database.id, group: list.groups[0]?.id ?? ('' as never), shard: 0 };
  const own = (await node.node.owner.listBatches(address)).filter(({ id }) => id.origin === 'n1');
  const last = own.at(-1);
  if (last === undefined) throw new Error('the write made no batch');
  for await (const bytes of node.node.owner.fetchBatches(address, [last.id])) {
    return Number(readBatchHeader(bytes).stamp >> 16n);
  }
  throw new Error('the batch is not held');
}

describe('an owner', () => {
  it('refuses what other nodes send at the limit of its memory, so that they keep it, and takes it when there is room', async () => {
    const world = makeWorld();
    const node = await startNode(world, { hotBytesMax: 100_000 });
    const room = node.hot.reserve(99_000);
    const batch = await batchOf(world, world.clock.nowMs(), { rows: 500 });
    await expect(node.node.owner.append(batch.bytes)).rejects.toMatchObject({
      kind: 'unavailable',
      retryAfterSeconds: 5,
    });
    expect(await node.node.owner.listBatches(batch)).toEqual([]);
    room.release();
    expect(await node.node.owner.append(batch.bytes)).toEqual({ kind: 'applied' });
    expect(await node.node.owner.append(batch.bytes)).toEqual({ kind: 'duplicate' });
    expect(node.hot.usage().reservedBytes).toBe(0);
  });

  it('writes later than what other nodes wrote and sent, though its clock is behind theirs', async () => {
    const world = makeWorld();
    const node = await startNode(world);
    const aheadMs = world.clock.nowMs() + 20_000;
    await node.node.owner.append((await batchOf(world, aheadMs)).bytes);
    expect(await nextStampMs(world, node)).toBe(aheadMs);
    await node.node.stop();
    expect(await nextStampMs(world, await startNode(world))).toBe(aheadMs);
  });

  it('takes a batch stamped far ahead without following its clock, also when it comes back at a start', async () => {
    const world = makeWorld();
    const node = await startNode(world);
    const yearAheadMs = world.clock.nowMs() + 365 * 86_400_000;
    const batch = await batchOf(world, yearAheadMs);
    expect(await node.node.owner.append(batch.bytes)).toEqual({ kind: 'applied' });
    expect(await nextStampMs(world, node)).toBe(world.clock.nowMs());
    await node.node.stop();
    const again = await startNode(world);
    expect(await again.node.owner.append(batch.bytes)).toEqual({ kind: 'duplicate' });
    expect(await nextStampMs(world, again)).toBe(world.clock.nowMs());
  });

  it('goes beyond its own stamps at a start, however far ahead its clock was before', async () => {
    const world = makeWorld();
    const node = await startNode(world);
    world.clock.stepWall(86_400_000);
    const beforeMs = await nextStampMs(world, node);
    await node.node.stop();
    world.clock.stepWall(-86_400_000);
    expect(await nextStampMs(world, await startNode(world))).toBe(beforeMs);
  });
});
