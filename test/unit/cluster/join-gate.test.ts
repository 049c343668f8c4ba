import { describe, expect, it } from 'vitest';
import { JoinGate } from '../../../cli/cluster/join-gate.js';
import type { NodeId } from '../../../core/model/batch.js';
import { silentLogger } from '../../../core/std/logger.js';
import { MemoryCluster } from '../../support/memory-cluster.js';

const three = ['n1', 'n2', 'n3'];

async function setUp(patienceMs: number) {
  const cluster = await MemoryCluster.make(three);
  await cluster.openGroup(three);
  const { catalogs, clock } = cluster;
  const gate = new JoinGate({ catalogs, clock, logger: silentLogger, nodeSilenceMs: 10_000, patienceMs });
  return { cluster, gate };
}

describe('a node that joins', () => {
  it('has joined at once where it was not told to wait, but not before it has recovered', async () => {
    const { gate } = await setUp(0);
    expect(await gate.waitsFor()).toBe('recovering');
    gate.recovered();
    expect(await gate.waitsFor()).toBeNull();
  });

  it('waits until all in flux has live owners that hold all, and never goes back', async () => {
    const { cluster, gate } = await setUp(300_000);
    cluster.cut.add('n3' as NodeId);
    gate.recovered();
    await cluster.advance(9999);
    expect(await gate.waitsFor()).toBe('seeing who lives');
    await cluster.advance(5000);
    expect(await gate.waitsFor()).toBe('1 groups in flux lack a copy');
    cluster.cut.clear();
    await cluster.advance(1000);
    expect(await gate.waitsFor()).toBeNull();
    cluster.cut.add('n3' as NodeId);
    await cluster.advance(60_000);
    expect(await gate.waitsFor()).toBeNull();
  });

  it('waits for owners that are being filled, and no longer than its patience', async () => {
    const { cluster, gate } = await setUp(60_000);
    await cluster.start('n4');
    await cluster.catalogs.nodes.forget('n3' as NodeId);
    gate.recovered();
    const { database, clock } = cluster;
    const [lost, live] = [['n3'], ['n4']] as [NodeId[], NodeId[]];
    const stamp = { nowMs: clock.nowMs(), epoch: 1 };
    const replacement = { databaseId: database.id, lost, live, replication: 3 };
    await cluster.catalogs.groups.replaceLost(database, replacement, stamp);
    await cluster.advance(59_000);
    expect(await gate.waitsFor()).toBe('1 groups in flux lack a copy');
    await cluster.advance(1000);
    expect(await gate.waitsFor()).toBeNull();
  });
});
