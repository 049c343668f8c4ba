import { describe, expect, it } from 'vitest';
import { rowLayoutOf } from '../../../compactor/rows/row-layout.js';
import { countSequences } from '../../../core/catalog/sequence-ranges.js';
import type { SequenceRange, ShardGroup } from '../../../core/catalog/types.js';
import type { NodeId } from '../../../core/model/batch.js';
import { VarveError } from '../../../core/std/errors.js';
import { MemoryCluster } from '../../support/memory-cluster.js';
import { pointsOfFile } from './read-points.js';

const three = ['n1', 'n2', 'n3'];
const hourMs = 3_600_000;
const dueMs = hourMs + 300_000;
const settings = { releaseGraceMs: 1000, patienceMs: 120_000, commitWithinMs: Number.POSITIVE_INFINITY };
const range = (origin: string, first: number, last: number): SequenceRange => ({
  origin: origin as NodeId,
  epoch: 1,
  first,
  last,
});

/** The values of a table that history holds, each as often as it stands there. */
async function settledValues(cluster: MemoryCluster, table = 'cpu'): Promise<number[]> {
  const record = (await cluster.catalogs.tables.get('d', table))?.value;
  if (record === undefined) throw new Error(`no table ${table}`);
  const { files } = await cluster.settled.snapshot(record);
  const values: number[] = [];
  for (const file of files) {
    for await (const point of pointsOfFile(cluster, file, rowLayoutOf(record.schema))) {
      values.push(point.fields.value as number);
    }
  }
  return values.sort((left, right) => left - right);
}

/** The summary of the table's current snapshot, as any reader of Iceberg sees it. */
async function summaryOf(cluster: MemoryCluster, table = 'cpu'): Promise<Record<string, string>> {
  const record = (await cluster.catalogs.tables.get('d', table))?.value;
  const metadata = JSON.parse(Buffer.from(await cluster.objects.get(record?.metadataKey ?? '')).toString());
  return metadata.snapshots.at(-1).summary;
}

async function digests(cluster: MemoryCluster, group: ShardGroup, names = three): Promise<string[]> {
  const reports = names.map((name) =>
    cluster.node(name).ingest.owner.reportGroup(cluster.database.id, group.id),
  );
  return (await Promise.all(reports)).map(({ digest }) => digest);
}

describe('sealing by agreement', () => {
  it('has owners that lack batches fetch them from each other, and seals the union', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n2', 'n3');
    for (const [sequence, name] of [
      [2, 'n1'],
      [3, 'n2'],
      [4, 'n3'],
    ] as const) {
      await cluster.put(cluster.batch(group, sequence), name);
    }
    await cluster.put(cluster.batch(group, 5), 'n1', 'n3');
    const compactor = cluster.compactor(settings);
    await compactor.keepLease();
    await cluster.advance(dueMs);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1, 2, 3, 4, 5]);
    expect(await cluster.group(group.id)).toMatchObject({
      state: 'sealed',
      sealedBatches: [range('n1', 1, 5)],
    });
    expect(new Set(await digests(cluster, group)).size).toBe(1);
    expect(await summaryOf(cluster)).not.toHaveProperty('varve.seal-exception');
    await cluster.advance(2000);
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toBeUndefined();
  });

  it('agrees shard by shard where nodes own different shards', async () => {
    const cluster = await MemoryCluster.make(['n1', 'n2', 'n3', 'n4']);
    const opened = await cluster.catalogs.groups.openWindowGroup(
      cluster.database,
      BigInt(cluster.clock.nowMs()) * 1_000_000n,
      {
        nowMs: cluster.clock.nowMs(),
        assign: () => [['n1', 'n2'], ['n2', 'n3'], ['n4']].map((owners) => ({ owners: owners as NodeId[] })),
      },
    );
    if (opened.outcome.kind !== 'open') throw new Error('not open');
    const group = opened.outcome.group;
    await cluster.openGroup([]);
    await cluster.put(cluster.batch(group, 1, { shard: 0 }), 'n1');
    await cluster.put(cluster.batch(group, 2, { shard: 1 }), 'n2');
    await cluster.put(cluster.batch(group, 3, { shard: 1 }), 'n3');
    await cluster.put(cluster.batch(group, 4, { shard: 2 }), 'n4');
    const compactor = cluster.compactor(settings);
    await cluster.advance(dueMs);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1, 2, 3, 4]);
  });

  it('waits for an owner that cannot be reached, says so, and after the patience seals without it', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n3');
    await cluster.put(cluster.batch(group, 2), 'n3');
    const compactor = cluster.compactor(settings);
    await cluster.advance(dueMs);
    cluster.cut.add('n3' as NodeId);
    await compactor.keepLease();
    await compactor.sealTick();
    await cluster.advance(100_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({ state: 'closing', sealedBatches: null });
    expect((await compactor.status('d')).groups).toMatchObject([
      { group: group.id, reason: expect.stringContaining('owner n3: node n3 cannot be reached') },
    ]);

    await cluster.advance(20_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1]);
    expect(await cluster.group(group.id)).toMatchObject({
      state: 'sealed',
      sealedBatches: [range('n1', 1, 1)],
      sealExceptions: [{ shard: 0, missing: ['n3'] }],
    });
    expect(await summaryOf(cluster)).toMatchObject({ 'varve.seal-exception': 'shard 0 without n3' });
    expect((await compactor.status('d')).exceptions).toEqual([
      { group: group.id, exception: 'shard 0 without n3' },
    ]);
  });

  it('brings what an owner took alone, and was never told to close, into history by the late group', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n2', 'n3');
    const compactor = cluster.compactor(settings);
    await cluster.advance(dueMs);
    cluster.cut.add('n3' as NodeId);
    await compactor.keepLease();
    await compactor.sealTick();
    await cluster.advance(120_000);
    await compactor.keepLease();
    await compactor.sealTick();
    // Cut off, it still takes batches: nobody has told it.
    await cluster.put(cluster.batch(group, 2), 'n3');
    await cluster.advance(2000);
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({ state: 'sealed', released: ['n1', 'n2'] });

    cluster.cut.clear();
    await cluster.advance(2000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toBeUndefined();
    await cluster.advance(70_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1, 2]);
    await cluster.advance(2000);
    await compactor.sealTick();
    expect((await cluster.list()).groups).toEqual([]);
    for (const name of three) expect(cluster.node(name).wal.usage().batches).toBe(0);
  });

  it('goes on waiting below a quorum, whatever the patience', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n2');
    const compactor = cluster.compactor(settings);
    for (const node of ['n2', 'n3']) cluster.cut.add(node as NodeId);
    await cluster.advance(dueMs);
    await compactor.keepLease();
    await compactor.sealTick();
    await cluster.advance(10 * 120_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({ state: 'closing' });
    expect((await compactor.status('d')).groups[0]?.reason).toMatch(
      /^shard 0: 1 of 2 owners agree; want n2, n3 back, or declared lost by `varve nodes forget`;/,
    );
    cluster.cut.clear();
    await cluster.advance(30_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1]);
  });

  it('means the same batches after a crash between two commits, whoever can be reached then', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1, { tables: ['cpu', 'mem'] }), 'n1', 'n2');
    await cluster.put(cluster.batch(group, 2, { tables: ['cpu', 'mem'] }), 'n3');
    cluster.cut.add('n3' as NodeId);
    // Dies after the first table's scan, before the second's.
    let scans = 0;
    const dying = cluster.compactor(settings, (node) => {
      const peer = cluster.reach(node);
      return {
        ...peer,
        scan: (...args) => {
          scans += 1;
          if (scans > 1) throw new VarveError('internal', 'the compactor is gone');
          return peer.scan(...args);
        },
      };
    });
    await cluster.advance(dueMs);
    await dying.keepLease();
    await dying.sealTick();
    await cluster.advance(120_000);
    await dying.keepLease();
    await dying.sealTick();
    expect(await settledValues(cluster, 'cpu')).toEqual([1]);
    expect(await settledValues(cluster, 'mem')).toEqual([]);

    cluster.cut.clear();
    const compactor = cluster.compactor(settings);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({ sealedBatches: [range('n1', 1, 1)] });
    for (const ms of [2000, 70_000, 2000, 2000]) {
      await cluster.advance(ms);
      await compactor.keepLease();
      await compactor.sealTick();
    }
    expect(new Set(await settledValues(cluster, 'cpu'))).toEqual(new Set([1, 2]));
    expect(new Set(await settledValues(cluster, 'mem'))).toEqual(new Set([1, 2]));
    expect((await cluster.list()).groups).toEqual([]);
  });

  it('reads from another owner when one fails in the middle of a scan', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    for (const sequence of [1, 2, 3]) await cluster.put(cluster.batch(group, sequence), 'n1', 'n2', 'n3');
    const scanned: NodeId[] = [];
    const compactor = cluster.compactor(settings, (node) => {
      const peer = cluster.reach(node);
      return {
        ...peer,
        scan: async function* (...args) {
          scanned.push(node);
          for await (const piece of peer.scan(...args)) {
            yield piece;
            if (node !== 'n3') throw new VarveError('unavailable', `node ${node} went away`);
          }
        },
      };
    });
    await cluster.advance(dueMs);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1, 2, 3]);
    expect(scanned).toEqual(['n1', 'n2', 'n3']);
    expect(await cluster.group(group.id)).toMatchObject({ state: 'sealed' });
  });
});

describe('lost nodes', () => {
  it('give way to live ones, which are filled: nothing acknowledged at quorum is lost', async () => {
    const cluster = await MemoryCluster.make(['n1', 'n2', 'n3', 'n4']);
    const group = await cluster.openGroup(three);
    const quorums = [
      ['n1', 'n2'],
      ['n2', 'n3'],
      ['n1', 'n3'],
    ];
    for (let sequence = 1; sequence <= 9; sequence++) {
      await cluster.put(cluster.batch(group, sequence), ...(quorums[sequence % 3] ?? []));
    }
    cluster.cut.add('n3' as NodeId);
    cluster.nodes.delete('n3' as NodeId);
    await cluster.catalogs.nodes.forget('n3' as NodeId);
    const compactor = cluster.compactor(settings);
    await cluster.advance(1000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({
      state: 'open',
      shards: [{ owners: ['n1', 'n2', 'n4'], lost: ['n3'] }],
    });
    const names = ['n1', 'n2', 'n4'];
    expect(new Set(await digests(cluster, group, names)).size).toBe(1);
    const report = await cluster.node('n4').ingest.owner.reportGroup(cluster.database.id, group.id);
    expect(countSequences(report.batches)).toBe(9);

    // Redundancy is back: another may fail.
    cluster.cut.add('n1' as NodeId);
    await cluster.advance(dueMs);
    await compactor.keepLease();
    await compactor.sealTick();
    await cluster.advance(120_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect((await cluster.group(group.id))?.sealExceptions).toEqual([{ shard: 0, missing: ['n1', 'n3'] }]);
  });

  it('leave a new owner that was not filled out of the count', async () => {
    const cluster = await MemoryCluster.make(['n1', 'n2', 'n3', 'n4']);
    const group = await cluster.openGroup(three);
    // Acknowledged by n1 and n3, of which one is lost and one cannot be reached when the others would seal.
    await cluster.put(cluster.batch(group, 1), 'n1', 'n3');
    cluster.nodes.delete('n3' as NodeId);
    cluster.cut.add('n1' as NodeId);
    await cluster.catalogs.nodes.forget('n3' as NodeId);
    const compactor = cluster.compactor(settings);
    await cluster.advance(1000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({
      shards: [{ owners: ['n1', 'n2', 'n4'], filling: ['n4'], lost: ['n3'] }],
    });
    await cluster.advance(dueMs);
    await compactor.keepLease();
    await compactor.sealTick();
    await cluster.advance(600_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({ state: 'closing' });
    expect((await compactor.status('d')).groups[0]?.reason).toMatch(
      /^shard 0: 1 of 2 owners agree; want n1 back, or declared lost by `varve nodes forget` \(n4 does not count until it is filled\);/,
    );
    cluster.cut.clear();
    await cluster.advance(30_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1]);
  });

  it('leave what is written after them to a quorum of the new owners', async () => {
    const cluster = await MemoryCluster.make(['n1', 'n2', 'n3', 'n4', 'n5']);
    const group = await cluster.openGroup(three);
    for (const node of ['n2', 'n3']) {
      cluster.nodes.delete(node as NodeId);
      await cluster.catalogs.nodes.forget(node as NodeId);
    }
    const compactor = cluster.compactor(settings);
    cluster.cut.add('n1' as NodeId);
    await cluster.advance(1000);
    await compactor.keepLease();
    await compactor.sealTick();
    await cluster.put(cluster.batch(group, 1), 'n4', 'n5');
    cluster.cut = new Set(['n4', 'n5'] as NodeId[]);
    await cluster.advance(dueMs);
    await compactor.keepLease();
    await compactor.sealTick();
    await cluster.advance(600_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({
      state: 'closing',
      shards: [{ owners: expect.arrayContaining(['n1', 'n4', 'n5']), lost: ['n2', 'n3'] }],
    });
    cluster.cut.clear();
    await cluster.advance(30_000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1]);
  });

  it('are not waited for when a sealed group is let go', async () => {
    const cluster = await MemoryCluster.make(three);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n2', 'n3');
    const compactor = cluster.compactor(settings);
    await cluster.advance(dueMs);
    await compactor.keepLease();
    await compactor.sealTick();
    cluster.nodes.delete('n3' as NodeId);
    await cluster.advance(2000);
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({ state: 'sealed', released: ['n1', 'n2'] });
    await cluster.catalogs.nodes.forget('n3' as NodeId);
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toBeUndefined();
  });
});

describe('groups made while too few nodes lived', () => {
  it('get the owners they lack as nodes join, which are filled, sealed with the others and let go', async () => {
    const cluster = await MemoryCluster.make(['n1']);
    const group = await cluster.openGroup(['n1']);
    await cluster.put(cluster.batch(group, 1), 'n1');
    const compactor = cluster.compactor(settings);
    await compactor.keepLease();
    await compactor.sealTick();
    expect((await cluster.group(group.id))?.shards).toEqual([{ owners: ['n1'] }]);

    await cluster.start('n2');
    await cluster.start('n3');
    await cluster.advance(5000);
    await compactor.keepLease();
    await compactor.sealTick();
    const [shard] = (await cluster.group(group.id))?.shards ?? [];
    expect(shard?.owners.toSorted()).toEqual(three);
    expect(shard).not.toHaveProperty('filling');
    expect(new Set(await digests(cluster, group)).size).toBe(1);

    // What two of them acknowledge since then is a quorum's, whichever two.
    await cluster.put(cluster.batch(group, 2), 'n2', 'n3');
    cluster.cut.add('n3' as NodeId);
    await cluster.advance(dueMs);
    await compactor.keepLease();
    await compactor.sealTick();
    await cluster.advance(settings.patienceMs);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1, 2]);
    cluster.cut.clear();
    await cluster.advance(2000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toBeUndefined();
  });

  it('wait, once closed, for the owners that they had before, as long as the new ones are not filled', async () => {
    const cluster = await MemoryCluster.make(['n1']);
    const group = await cluster.openGroup(['n1']);
    await cluster.put(cluster.batch(group, 1), 'n1');
    await cluster.start('n2');
    await cluster.start('n3');
    cluster.cut.add('n1' as NodeId);
    const compactor = cluster.compactor(settings);
    await compactor.keepLease();
    await compactor.sealTick();
    expect((await cluster.group(group.id))?.shards).toMatchObject([{ filling: expect.anything() }]);
    await cluster.put(cluster.batch(group, 2), 'n2', 'n3');
    await cluster.advance(dueMs + settings.patienceMs);
    await compactor.keepLease();
    await compactor.sealTick();
    await cluster.advance(settings.patienceMs);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toMatchObject({ state: 'closing', sealedBatches: null });
    cluster.cut.clear();
    await cluster.advance(5000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await settledValues(cluster)).toEqual([1, 2]);
    await cluster.advance(2000);
    await compactor.keepLease();
    await compactor.sealTick();
    expect(await cluster.group(group.id)).toBeUndefined();
  });

  it('get no owner that began to leave a moment ago', async () => {
    const cluster = await MemoryCluster.make(['n1', 'n2']);
    const compactor = cluster.compactor(settings);
    await compactor.keepLease();
    // Reads who there is.
    await compactor.sealTick();
    await cluster.catalogs.nodes.drain('n2' as NodeId);
    const group = await cluster.openGroup(['n1']);
    await compactor.sealTick();
    expect((await cluster.group(group.id))?.shards).toEqual([{ owners: ['n1'] }]);
  });
});
