import { describe, expect, it } from 'vitest';
import type { ShardGroup } from '../../../core/catalog/types.js';
import type { NodeId } from '../../../core/model/batch.js';
import { MemoryCluster } from '../../support/memory-cluster.js';

const two = ['n1', 'n2'];
const settings = { releaseGraceMs: 1000, commitWithinMs: Number.POSITIVE_INFINITY };

/** A group that was sealed and let go by all, and a batch of it. */
async function goneGroup(cluster: MemoryCluster) {
  const group = await cluster.openGroup(two);
  const batch = cluster.batch(group, 1);
  await cluster.put(batch, ...two);
  const compactor = cluster.compactor(settings);
  await cluster.advance(3_600_000 + 300_000);
  await compactor.keepLease();
  await compactor.sealTick();
  await cluster.advance(2000);
  await compactor.keepLease();
  await compactor.sealTick();
  expect(await cluster.group(group.id)).toBeUndefined();
  return { group, batch };
}

function holds(cluster: MemoryCluster, group: ShardGroup, name: string): number {
  const { ingest, wal } = cluster.node(name);
  return ingest.owner.holdings(cluster.database.id, group.id).length + wal.usage().batches;
}

describe('a group that is long gone', () => {
  it('takes no batch that comes late, before and after a restart of the node', async () => {
    const cluster = await MemoryCluster.make(two);
    const { group, batch } = await goneGroup(cluster);
    const late = cluster.batch(group, 2);
    for (const again of [false, true]) {
      if (again) for (const name of two) await cluster.start(name);
      for (const { bytes } of [batch, late]) {
        expect(await cluster.node('n1').reader.append(bytes)).toEqual({ kind: 'closed' });
      }
      expect(holds(cluster, group, 'n1')).toBe(0);
    }
  });

  it('is not made anew by a late call to close, release or catch up', async () => {
    const cluster = await MemoryCluster.make(two);
    const { group } = await goneGroup(cluster);
    const { id } = cluster.database;
    const { reader, ingest } = cluster.node('n1');
    expect(await reader.closeGroup(id, group.id)).toMatchObject({ closed: true, batches: [] });
    expect(ingest.owner.databasesHeld()).toEqual([]);
    expect(await reader.releaseGroup(id, group.id, [])).toEqual({ kind: 'released' });
    expect(ingest.owner.databasesHeld()).toEqual([]);
    const address = { database: id, group: group.id, shard: 0 };
    const wanted = [{ origin: 'n1' as NodeId, epoch: 1, first: 1, last: 1 }];
    await expect(reader.catchUp(address, 'n2' as NodeId, wanted)).rejects.toMatchObject({
      kind: 'not-found',
    });
    const again = await cluster.start('n1');
    await expect(again.reader.catchUp(address, 'n2' as NodeId, wanted)).rejects.toMatchObject({
      kind: 'not-found',
    });
    expect(again.ingest.owner.databasesHeld()).toEqual([]);
  });

  it('is no empty group to a reader, before and after a restart of the node', async () => {
    const cluster = await MemoryCluster.make(two);
    const { group } = await goneGroup(cluster);
    const request = { database: cluster.database.id, group: group.id, table: 'cpu' };
    for (const again of [false, true]) {
      if (again) await cluster.start('n1');
      const { reader } = cluster.node('n1');
      await expect(reader.describe(request)).rejects.toMatchObject({ kind: 'not-found' });
      await expect(reader.holdings(request)).rejects.toMatchObject({ kind: 'not-found' });
    }
    const next = await cluster.openGroup(two);
    const { reader } = cluster.node('n1');
    expect(await reader.describe({ ...request, group: next.id })).toEqual([]);
    expect(await reader.holdings({ ...request, group: next.id })).toEqual([]);
  });

  it('is dropped by a node that finds it in its log but no more in the list', async () => {
    const cluster = await MemoryCluster.make(two);
    const group = await cluster.openGroup(two);
    await cluster.put(cluster.batch(group, 1), ...two);
    // The process ends between dropping the group and making that durable in its log.
    const stamp = { nowMs: cluster.clock.nowMs(), epoch: 1 };
    const { database, catalogs } = cluster;
    await catalogs.groups.close(database, [group.id], stamp);
    const batches = [{ origin: 'n1' as NodeId, epoch: 1, first: 1, last: 1 }];
    await catalogs.groups.seal(database, group.id, batches, stamp);
    await catalogs.groups.release(database, group.id, ['n1' as NodeId]);
    const again = await cluster.start('n1');
    expect(again.ingest.recovery).toMatchObject({ batchesRestored: 0, batchesDropped: 1 });
    expect(await again.reader.append(cluster.batch(group, 1).bytes)).toEqual({ kind: 'closed' });
    // The other has not let go yet: it still knows the group and answers for what it holds.
    const other = await cluster.start('n2');
    expect(other.ingest.recovery).toMatchObject({ batchesRestored: 1 });
    expect(await other.reader.append(cluster.batch(group, 1).bytes)).toEqual({ kind: 'duplicate' });
    expect(await other.reader.append(cluster.batch(group, 2).bytes)).toEqual({ kind: 'closed' });
  });
});
