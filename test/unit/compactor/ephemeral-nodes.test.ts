import { describe, expect, it } from 'vitest';
import { countGroupsThatNeed } from '../../../core/catalog/owned-groups.js';
import { countSequences } from '../../../core/catalog/sequence-ranges.js';
import type { NodeId } from '../../../core/model/batch.js';
import { MemoryCluster } from '../../support/memory-cluster.js';

const three = ['n1', 'n2', 'n3'];
const settings = {
  releaseGraceMs: 60_000,
  ephemeralSilenceMs: 60_000,
  commitWithinMs: Number.POSITIVE_INFINITY,
};

async function makeCluster(names: readonly string[], replication = 3): Promise<MemoryCluster> {
  const cluster = await MemoryCluster.make([], { replication });
  for (const name of names) await cluster.start(name, true);
  return cluster;
}

async function stateOf(cluster: MemoryCluster, name: string): Promise<string | undefined> {
  return (await cluster.catalogs.nodes.list()).find(({ node }) => node === name)?.state;
}

/** As a node does that leaves: first it takes nothing more, then it says so. */
async function handOver(cluster: MemoryCluster, name: string): Promise<void> {
  await cluster.node(name).ingest.owner.retire();
  await cluster.catalogs.nodes.handOver(name as NodeId, 1);
}

const needed = (cluster: MemoryCluster, name: string): Promise<number> =>
  countGroupsThatNeed(name as NodeId, cluster.catalogs);

describe('a node that hands over', () => {
  it('gives its place to another, which is filled with what it alone holds, and is needed no more', async () => {
    const cluster = await makeCluster(['n1', 'n2', 'n3', 'n4']);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n2');
    await cluster.put(cluster.batch(group, 2), 'n3');
    const compactor = cluster.compactor(settings);
    await handOver(cluster, 'n3');
    expect(await needed(cluster, 'n3')).toBe(1);
    await cluster.advance(1000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect((await cluster.group(group.id))?.shards).toEqual([{ owners: ['n1', 'n2', 'n4'] }]);
    const { batches } = await cluster.node('n4').ingest.owner.reportGroup(cluster.database.id, group.id);
    expect(countSequences(batches)).toBe(2);
    expect(await needed(cluster, 'n3')).toBe(0);
  });

  it('acknowledges nothing from then on, not even what it holds, and still gives it', async () => {
    const cluster = await makeCluster(three);
    const group = await cluster.openGroup(three);
    const batch = cluster.batch(group, 1);
    await cluster.put(batch, 'n3');
    await handOver(cluster, 'n3');
    await expect(cluster.put(batch, 'n3')).rejects.toThrow(/n3 leaves the cluster/);
    await expect(cluster.put(cluster.batch(group, 2), 'n3')).rejects.toThrow(/n3 leaves the cluster/);
    const { batches } = await cluster.node('n3').ingest.owner.reportGroup(cluster.database.id, group.id);
    expect(countSequences(batches)).toBe(1);
  });

  it('is waited for as long as it lives and does not answer', async () => {
    const cluster = await makeCluster(['n1', 'n2', 'n3', 'n4']);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n3');
    await handOver(cluster, 'n3');
    await cluster.advance(1000);
    cluster.cut.add('n3' as NodeId);
    const compactor = cluster.compactor(settings);
    await compactor.keepLease();
    await compactor.sealTick();
    expect((await cluster.group(group.id))?.shards).toEqual([
      { owners: ['n1', 'n2', 'n4'], filling: ['n4'], lost: ['n3'] },
    ]);
    expect(await needed(cluster, 'n3')).toBe(1);
    cluster.cut.clear();
    await cluster.advance(6000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect((await cluster.group(group.id))?.shards).toEqual([{ owners: ['n1', 'n2', 'n4'] }]);
  });

  it('stays named as missing when it dies before it was heard', async () => {
    const cluster = await makeCluster(['n1', 'n2', 'n3', 'n4']);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n2');
    await handOver(cluster, 'n3');
    cluster.cut.add('n3' as NodeId);
    const compactor = cluster.compactor(settings);
    await cluster.advance(20_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect((await cluster.group(group.id))?.shards).toEqual([{ owners: ['n1', 'n2', 'n4'], lost: ['n3'] }]);
  });

  it('lets a sealed group go at once, while the others keep it for queries', async () => {
    const cluster = await makeCluster(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), ...three);
    const compactor = cluster.compactor(settings);
    await cluster.advance(3_900_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({ state: 'sealed', released: [] });
    await handOver(cluster, 'n3');
    expect(await needed(cluster, 'n3')).toBe(1);
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({ state: 'sealed', released: ['n3'] });
    expect(await needed(cluster, 'n3')).toBe(0);
  });

  it('keeps its place where no other node is left to take it', async () => {
    const cluster = await makeCluster(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), ...three);
    await handOver(cluster, 'n3');
    const compactor = cluster.compactor(settings);
    await compactor.keepLease();
    await compactor.sealTick();
    expect((await cluster.group(group.id))?.shards).toEqual([{ owners: three }]);
    expect(await needed(cluster, 'n3')).toBe(1);
  });
});

describe('an ephemeral node that died', () => {
  it('is declared lost after its silence, and another takes its place', async () => {
    const cluster = await makeCluster(['n1', 'n2', 'n3', 'n4']);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n3');
    cluster.cut.add('n3' as NodeId);
    const compactor = cluster.compactor(settings);
    await cluster.advance(59_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await stateOf(cluster, 'n3')).toBe('live');
    await cluster.advance(5000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await stateOf(cluster, 'n3')).toBe('lost');
    expect((await cluster.group(group.id))?.shards).toEqual([{ owners: ['n1', 'n2', 'n4'], lost: ['n3'] }]);
    expect(await needed(cluster, 'n3')).toBe(1);
  });

  it('is kept while it answers, whatever the catalog lacks of its heartbeats', async () => {
    const cluster = await makeCluster(three);
    await cluster.openGroup(three);
    cluster.cut.add('n3' as NodeId);
    await cluster.advance(120_000);
    cluster.cut.clear();
    const compactor = cluster.compactor(settings);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await stateOf(cluster, 'n3')).toBe('live');
  });

  it('is left to an operator where the others are no quorum of a shard, of any database', async () => {
    const cluster = await makeCluster(three);
    const other = await cluster.catalogs.databases.ensure('e', { ...cluster.database, replication: 1 });
    const nowMs = cluster.clock.nowMs();
    await cluster.catalogs.groups.openWindowGroup(other, BigInt(nowMs) * 1_000_000n, {
      nowMs,
      assign: () => [{ owners: ['n3' as NodeId] }],
    });
    await cluster.openGroup(three);
    for (const name of ['n2', 'n3']) cluster.cut.add(name as NodeId);
    const compactor = cluster.compactor(settings);
    await cluster.advance(120_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await stateOf(cluster, 'n2')).toBe('live');
    // A quorum of three is there again, but the only owner of the other database's shard is still away.
    cluster.cut.delete('n2' as NodeId);
    await cluster.advance(10_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await stateOf(cluster, 'n3')).toBe('live');
  });

  it('is waited for when its disk outlives it', async () => {
    const cluster = await MemoryCluster.make(three);
    await cluster.openGroup(three);
    cluster.cut.add('n3' as NodeId);
    const compactor = cluster.compactor(settings);
    await cluster.advance(600_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await stateOf(cluster, 'n3')).toBe('live');
  });
});
