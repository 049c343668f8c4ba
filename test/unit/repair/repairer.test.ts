import { describe, expect, it } from 'vitest';
import { groupsInFlux } from '../../../cli/cluster/repair-setup.js';
import type { ShardGroup } from '../../../core/catalog/types.js';
import { encodeBatch } from '../../../core/codec/batch-codec.js';
import type { NodeId } from '../../../core/model/batch.js';
import { silentLogger } from '../../../core/std/logger.js';
import { Repairer } from '../../../ingest/repair/repairer.js';
import { MemoryCluster } from '../../support/memory-cluster.js';
import { rowsOf } from '../../support/rows.js';

const three = ['n1', 'n2', 'n3'];
const graceMs = 15_000;
const hourMs = 3_600_000;

function repairerOf(cluster: MemoryCluster, name: string, limits = {}): Repairer {
  const { ingest, id } = cluster.node(name);
  return new Repairer({
    owner: ingest.owner,
    nodeOf: (node) => cluster.reach(node, id),
    groups: (signal) => groupsInFlux(cluster.catalogs, signal),
    clock: cluster.clock,
    random: cluster.random,
    logger: silentLogger,
    limits: { bytesPerSecond: Number.POSITIVE_INFINITY, ...limits },
  });
}

const batchesOf = (cluster: MemoryCluster, group: ShardGroup, name: string) =>
  cluster.node(name).ingest.owner.holdings(cluster.database.id, group.id);

describe('repair', () => {
  it('fetches what others hold once it has been missing for the grace, until all owners are alike', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n2', 'n3');
    for (let sequence = 2; sequence <= 300; sequence++) {
      await cluster.put(cluster.batch(group, sequence), three[sequence % 3] ?? '');
    }
    const repairers = three.map((name) => repairerOf(cluster, name));
    for (const repairer of repairers) {
      expect(await repairer.round()).toMatchObject({ groups: 1, young: 1, diverged: 0 });
    }
    await cluster.advance(graceMs - 1);
    await cluster.put(cluster.batch(group, 301), 'n1');
    expect(await repairers[1]?.round()).toMatchObject({ young: 1, diverged: 0 });
    await cluster.advance(1);
    expect(await repairers[1]?.round()).toMatchObject({ young: 0, diverged: 1 });
    // What came later is younger, though it is missing like the others.
    expect(batchesOf(cluster, group, 'n2')[0]?.batches).toEqual([
      { origin: 'n1', epoch: 1, first: 1, last: 300 },
    ]);
    await cluster.advance(graceMs);
    for (const repairer of repairers) await repairer.round();
    await cluster.advance(graceMs);
    for (const repairer of repairers) await repairer.round();
    for (const repairer of repairers) {
      expect(await repairer.round()).toMatchObject({ groups: 1, young: 0, diverged: 0, conflicting: 0 });
    }
    const [first, ...others] = three.map((name) => batchesOf(cluster, group, name));
    for (const other of others) expect(other).toEqual(first);
    expect(first?.[0]?.batches).toEqual([{ origin: 'n1', epoch: 1, first: 1, last: 301 }]);
    // Durable as well: it is there after a crash.
    const again = await cluster.start('n3');
    expect(again.ingest.owner.holdings(cluster.database.id, group.id)).toEqual(first);
  });

  it('goes on with the others while an owner is cut off, and mends that one when it is back', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    cluster.cut.add('n3' as NodeId);
    await cluster.put(cluster.batch(group, 1), 'n1');
    await cluster.put(cluster.batch(group, 2), 'n3');
    const repairers = new Map(three.map((name) => [name, repairerOf(cluster, name, { graceMs: 0 })]));
    await repairers.get('n2')?.round();
    expect(batchesOf(cluster, group, 'n2')).toEqual(batchesOf(cluster, group, 'n1'));
    await repairers.get('n3')?.round();
    expect(batchesOf(cluster, group, 'n3')[0]?.batches).toMatchObject([{ first: 2, last: 2 }]);
    cluster.cut.clear();
    for (const repairer of repairers.values()) await repairer.round();
    for (const name of three) {
      expect(batchesOf(cluster, group, name)).toEqual(batchesOf(cluster, group, 'n1'));
    }
    expect(batchesOf(cluster, group, 'n1')[0]?.batches).toMatchObject([{ first: 1, last: 2 }]);
  });

  it('mends closing groups, and leaves those alone whose content has been agreed on', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1');
    await cluster.put(cluster.batch(group, 2), 'n2');
    const stamp = { nowMs: cluster.clock.nowMs(), epoch: 1 };
    await cluster.catalogs.groups.close(cluster.database, [group.id], stamp);
    const { database } = cluster;
    for (const name of ['n1', 'n2']) await cluster.node(name).ingest.owner.closeGroup(database.id, group.id);
    const repairer = repairerOf(cluster, 'n3', { graceMs: 0 });
    expect(await repairer.round()).toMatchObject({ groups: 1, diverged: 1 });
    expect(batchesOf(cluster, group, 'n3')[0]?.batches).toMatchObject([{ first: 1, last: 2 }]);
    const batches = [{ origin: 'n1' as NodeId, epoch: 1, first: 1, last: 2 }];
    await cluster.catalogs.groups.agree(database, group.id, { batches, exceptions: [] }, stamp);
    const other = repairerOf(cluster, 'n1', { graceMs: 0 });
    expect(await other.round()).toMatchObject({ groups: 0 });
    expect(batchesOf(cluster, group, 'n1')[0]?.batches).toMatchObject([{ first: 1, last: 1 }]);
  });

  it('replaces a batch whose bytes on the disk are damaged by that of another owner', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    for (const sequence of [1, 2, 3]) await cluster.put(cluster.batch(group, sequence), 'n1', 'n2');
    const address = { database: cluster.database.id, group: group.id, shard: 0 };
    const damaged = cluster.batch(group, 2);
    await damageOnDisk(cluster, 'n1', damaged.bytes);
    const repairers = three.map((name) => repairerOf(cluster, name, { graceMs: 0 }));
    // The third lacks all; from the first it cannot have the damaged one, and the first learns of it.
    await repairers[2]?.round();
    await repairers[0]?.round();
    await repairers[2]?.round();
    const read: string[] = [];
    for await (const bytes of cluster.node('n1').ingest.owner.fetchBatches(address, [damaged.id])) {
      read.push(Buffer.from(bytes).toString('hex'));
    }
    expect(read).toEqual([Buffer.from(damaged.bytes).toString('hex')]);
    expect(batchesOf(cluster, group, 'n3')).toEqual(batchesOf(cluster, group, 'n2'));
    expect(cluster.node('n1').ingest.owner.takeSuspect(address)).toBe(false);
  });

  it('tells of two batches under one id, and changes neither', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    const one = cluster.batch(group, 1);
    const point = { tags: { host: 'other' }, timeNs: group.startNs ?? 0n, fields: { value: 7 } };
    const other = encodeBatch({ ...one, tables: [rowsOf('cpu', [point])] });
    await cluster.put(one, 'n1');
    await cluster.put(other, 'n2');
    for (const name of ['n1', 'n2']) {
      const before = batchesOf(cluster, group, name);
      expect(await repairerOf(cluster, name, { graceMs: 0 }).round()).toMatchObject({ conflicting: 1 });
      expect(batchesOf(cluster, group, name)).toEqual(before);
    }
  });

  it('compares several groups at a time, each of them once, and not all at once', async () => {
    const cluster = await MemoryCluster.make(three);
    const groups: ShardGroup[] = [];
    for (let window = 0; window < 10; window++) {
      const group = await cluster.openGroup(three);
      await cluster.put(cluster.batch(group, window), 'n1');
      groups.push(group);
      await cluster.advance(hourMs);
    }
    const { ingest, id } = cluster.node('n2');
    const asked: string[] = [];
    let atATime = 0;
    let most = 0;
    const repairer = new Repairer({
      owner: ingest.owner,
      nodeOf: (node) => ({
        ...cluster.reach(node, id),
        holdings: async (request) => {
          asked.push(`${node} ${request.group}`);
          atATime += 1;
          most = Math.max(most, atATime);
          await cluster.clock.sleep(100);
          atATime -= 1;
          return cluster.reach(node, id).holdings(request);
        },
      }),
      groups: (signal) => groupsInFlux(cluster.catalogs, signal),
      clock: cluster.clock,
      random: cluster.random,
      logger: silentLogger,
      limits: { graceMs: 0 },
    });
    const round = repairer.round();
    await cluster.clock.advance(60_000);
    expect(await round).toMatchObject({ groups: 10, diverged: 10 });
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked).toHaveLength(20);
    // Of each group two other owners are asked.
    expect(most).toBe(8);
    for (const group of groups)
      expect(batchesOf(cluster, group, 'n2')).toEqual(batchesOf(cluster, group, 'n1'));
  });

  it('keeps to its rate', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    let bytes = 0;
    for (let sequence = 1; sequence <= 400; sequence++) {
      const batch = cluster.batch(group, sequence);
      bytes += batch.bytes.length;
      await cluster.put(batch, 'n1');
    }
    const repairer = repairerOf(cluster, 'n2', { graceMs: 0, bytesPerSecond: bytes / 100 });
    const startedMs = cluster.clock.monotonicMs();
    let isDone = false;
    const round = repairer.round().finally(() => {
      isDone = true;
    });
    while (!isDone) await cluster.clock.advance(1000);
    await round;
    expect(batchesOf(cluster, group, 'n2')[0]?.batches).toMatchObject([{ first: 1, last: 400 }]);
    const seconds = (cluster.clock.monotonicMs() - startedMs) / 1000;
    // The last part is not waited for.
    expect(seconds).toBeGreaterThan(60);
  });
});

/** Turns one bit of the bytes where they lie in the node's log. */
async function damageOnDisk(cluster: MemoryCluster, name: string, bytes: Uint8Array): Promise<void> {
  const { disk } = cluster.node(name);
  for (const file of await disk.list('wal')) {
    const path = `wal/${file}`;
    const content = disk.contentOf(path);
    const at = Buffer.from(content).indexOf(Buffer.from(bytes));
    if (at < 0) continue;
    const changed = Uint8Array.from(content);
    changed[at + bytes.length - 1] = (changed[at + bytes.length - 1] ?? 0) ^ 1;
    const open = await disk.open(path, 'existing');
    await open.write(changed.subarray(at, at + bytes.length), at);
    await open.close();
    return;
  }
  throw new Error('the batch is not on the disk');
}
