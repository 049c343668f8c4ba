import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import type { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import type { Database, SequenceRange, ShardGroup } from '../../../core/catalog/types.js';
import { encodeBatch, readBatchHeader } from '../../../core/codec/batch-codec.js';
import { batchIdText, type EncodedBatch, type GroupId, type NodeId } from '../../../core/model/batch.js';
import type { AppendResult, Peer } from '../../../core/ports/peer.js';
import { VarveError } from '../../../core/std/errors.js';
import { silentLogger } from '../../../core/std/logger.js';
import { Hints, type HintsOptions } from '../../../ingest/hints/hints.js';
import { HotTier } from '../../../ingest/hot/hot-tier.js';
import { type MemoryWorld, makeWorld } from '../../support/memory-node.js';
import { rowsOf } from '../../support/rows.js';

const [n1, n2, n3] = ['n1', 'n2', 'n3'] as NodeId[] as [NodeId, NodeId, NodeId];
const stamp = { epoch: 1 };

let world: MemoryWorld;
let clock: SimulatedClock;
let disk: MemoryDisk;
let database: Database;
let hints: Hints;
/** What the peers do with a batch. */
let answer: (node: NodeId, batch: EncodedBatch) => AppendResult | Promise<AppendResult>;
/** Every batch sent, and when. */
let sent: { readonly node: NodeId; readonly id: string; readonly atMs: number }[];
let rerouted: string[];
let rerouteFailure: Error | undefined;
/** What a write into the late group waits for, and how to end the wait. */
let rerouteAnswer: Promise<void> | undefined;
let endReroute: () => void = () => {};

async function openHints(options: Partial<HintsOptions> = {}): Promise<Hints> {
  hints = await Hints.open({
    disk: disk.attach(),
    directory: 'hints',
    clock,
    random: new SeededRandom(7),
    logger: silentLogger,
    bytesMax: 2 ** 30,
    ageMsMax: 7 * 86_400_000,
    reserveBytes: 0,
    ...options,
  });
  return hints;
}

function startHints(): void {
  hints.start({
    peerOf: (node) =>
      ({
        node,
        append: async (bytes: Uint8Array) => {
          const batch = readBatchHeader(bytes);
          sent.push({ node, id: batchIdText(batch.id), atMs: clock.monotonicMs() });
          return answer(node, batch);
        },
      }) as unknown as Peer,
    catalog: {
      databaseById: (id) => world.catalogs.databases.getById(id),
      groupList: async (each) => (await world.catalogs.groups.get(each)).value,
    },
    reroute: {
      toLateGroup: async (batch) => {
        await rerouteAnswer;
        if (rerouteFailure !== undefined) throw rerouteFailure;
        rerouted.push(batchIdText(batch.id));
      },
    },
  });
}

/** An open group; all shards owned by n1, n2 and n3. */
async function openGroup(shards = 1): Promise<ShardGroup> {
  const assign = () => Array.from({ length: shards }, () => ({ owners: [n1, n2, n3] }));
  const request = { nowMs: clock.nowMs(), assign };
  return (await world.catalogs.groups.openSpillGroup(database, 'late', request)).outcome;
}

const closeGroup = (group: GroupId) =>
  world.catalogs.groups.close(database, [group], { ...stamp, nowMs: clock.nowMs() });
const sealGroup = (group: GroupId, batches: readonly SequenceRange[]) =>
  world.catalogs.groups.seal(database, group, batches, { ...stamp, nowMs: clock.nowMs() });
async function releaseByAll(group: GroupId): Promise<void> {
  await world.catalogs.groups.release(database, group, [n1, n2, n3]);
}

function batchOf(
  group: GroupId,
  sequence: number,
  more: { shard?: number; size?: number } = {},
): EncodedBatch {
  const point = { tags: { host: 'h' }, timeNs: BigInt(sequence), fields: { s: 'x'.repeat(more.size ?? 1) } };
  return encodeBatch({
    id: { origin: n1, epoch: 1, sequence },
    stamp: BigInt(sequence),
    database: database.id,
    group,
    shard: more.shard ?? 0,
    tables: [rowsOf('t', [point])],
  });
}

const range = (first: number, last: number): SequenceRange => ({ origin: n1, epoch: 1, first, last });
const statusOf = (node: NodeId) => hints.status().find((each) => each.node === node);
const sentTo = (node: NodeId): string[] => sent.filter((each) => each.node === node).map(({ id }) => id);
const away = (): never => {
  throw new VarveError('unavailable', 'it is away');
};

beforeEach(async () => {
  world = makeWorld();
  ({ clock, disk } = world);
  database = await world.catalogs.databases.ensure('plant', world.settings);
  answer = () => ({ kind: 'applied' });
  sent = [];
  rerouted = [];
  rerouteFailure = undefined;
  rerouteAnswer = undefined;
  await openHints();
});

afterEach(async () => {
  endReroute();
  await hints.close();
});

describe('Hints of a group that is open', () => {
  it('are sent to their owner, each once, and leave nothing behind', async () => {
    startHints();
    const { id } = await openGroup(2);
    const batches = Array.from({ length: 20 }, (_, index) => batchOf(id, index + 1, { shard: index % 2 }));
    await Promise.all(batches.map((batch) => hints.keep(n2, batch)));
    await clock.advance(5000);
    expect(sentTo(n2).sort()).toEqual(batches.map((batch) => batchIdText(batch.id)).sort());
    expect(statusOf(n2)).toMatchObject({ state: 'idle', hints: 0, bytes: 0, fileBytes: 0, oldestMs: null });
    expect(statusOf(n2)?.ended.replayed).toBe(20);
    expect(await disk.list('hints/to-n2')).toEqual([]);
  });

  it('wait for an owner that is away, longer each time up to the most, and go out once it answers', async () => {
    answer = away;
    startHints();
    const { id } = await openGroup();
    for (let sequence = 1; sequence <= 5; sequence++) await hints.keep(n2, batchOf(id, sequence));
    await clock.advance(2_000_000);
    const times = [...new Set(sent.map(({ atMs }) => atMs))];
    const waits = times.slice(1).map((atMs, index) => atMs - times[index]!);
    for (const [index, wait] of waits.entries()) {
      const most = Math.min(200_000, 1000 * 2 ** index);
      expect(wait).toBeGreaterThanOrEqual(most / 2);
      expect(wait).toBeLessThanOrEqual(most + 1);
    }
    expect(waits.length).toBeGreaterThan(12);
    expect(statusOf(n2)).toMatchObject({ state: 'backing-off', hints: 5, lastError: 'it is away' });
    expect(statusOf(n2)?.nextAttemptMs).toBeGreaterThan(clock.nowMs());

    answer = () => ({ kind: 'applied' });
    await clock.advance(200_000);
    expect(hints.count).toBe(0);
    // After the first success the back-off begins anew.
    answer = away;
    sent = [];
    await hints.keep(n2, batchOf(id, 6));
    await clock.advance(2100);
    expect(sent.length).toBeGreaterThanOrEqual(2);
  });

  it('go out at once when the node is seen again', async () => {
    answer = away;
    startHints();
    const { id } = await openGroup();
    await hints.keep(n2, batchOf(id, 1));
    await clock.advance(1_000_000);
    answer = () => ({ kind: 'duplicate' });
    hints.nodeIsBack(n2);
    await clock.advance(1);
    expect(hints.count).toBe(0);
  });

  it('do not wait for ever for an answer', async () => {
    answer = () => new Promise(() => {});
    startHints();
    const { id } = await openGroup();
    await hints.keep(n2, batchOf(id, 1));
    await clock.advance(11_000);
    expect(statusOf(n2)).toMatchObject({ hints: 1, lastError: expect.stringContaining('within 10000 ms') });
  });

  it('go no faster than the rate', async () => {
    await openHints({ replay: { bytesPerSecond: 10_000 } });
    startHints();
    const { id } = await openGroup();
    const batches = Array.from({ length: 50 }, (_, index) => batchOf(id, index + 1, { size: 2000 }));
    await Promise.all(batches.map((batch) => hints.keep(n2, batch)));
    const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0);
    await clock.advance((bytes / 10_000) * 500);
    expect(sent.length).toBeGreaterThan(20);
    expect(sent.length).toBeLessThan(30);
    await clock.advance((bytes / 10_000) * 600);
    expect(sent.length).toBe(50);
  });

  it('of one that its owner refuses do not hold up the others', async () => {
    answer = (_, batch) => {
      if (batch.id.sequence === 2) throw new VarveError('invalid', 'no such batch');
      return { kind: 'applied' };
    };
    startHints();
    const { id } = await openGroup();
    for (let sequence = 1; sequence <= 4; sequence++) await hints.keep(n2, batchOf(id, sequence));
    await clock.advance(5000);
    expect(statusOf(n2)).toMatchObject({ hints: 1, refused: 1, lastError: 'no such batch' });
    expect(sentTo(n2)).toHaveLength(4);
    answer = () => ({ kind: 'applied' });
    await clock.advance(700_000);
    expect(hints.count).toBe(0);
  });

  it('come back after a crash, and are sent then', async () => {
    answer = away;
    startHints();
    const { id } = await openGroup();
    for (let sequence = 1; sequence <= 3; sequence++) await hints.keep(n2, batchOf(id, sequence));
    await hints.keep(n3, batchOf(id, 3));
    await hints.stopSending();
    disk.crash('none');
    await openHints();
    expect(hints.count).toBe(4);
    answer = () => ({ kind: 'applied' });
    sent = [];
    startHints();
    await clock.advance(3000);
    expect([sentTo(n2).length, sentTo(n3).length, hints.count]).toEqual([3, 1, 0]);
  });

  it('are not sent to a node that owns the shard no more', async () => {
    startHints();
    const { id } = await openGroup();
    await hints.keep('n9' as NodeId, batchOf(id, 1));
    await clock.advance(60_000);
    expect(sent).toEqual([]);
    expect(hints.status()).toMatchObject([{ node: 'n9', state: 'waiting', hints: 1 }]);
  });
});

describe('Hints of a group that takes no more', () => {
  it('wait until it is sealed; what history holds then is dropped, the rest goes into the late group', async () => {
    answer = away;
    startHints();
    const { id } = await openGroup();
    for (let sequence = 1; sequence <= 6; sequence++) await hints.keep(n2, batchOf(id, sequence));
    await hints.keep(n3, batchOf(id, 6));
    await closeGroup(id);
    answer = () => ({ kind: 'closed' });
    await clock.advance(300_000);
    const tries = sent.length;
    await clock.advance(300_000);
    expect([sent.length, hints.count]).toEqual([tries, 7]);
    await sealGroup(id, [range(1, 2), range(4, 4)]);
    await clock.advance(3000);
    expect(rerouted.sort()).toEqual(['n1/1/3', 'n1/1/5', 'n1/1/6']);
    expect(hints.count).toBe(0);
    expect(statusOf(n2)?.ended).toMatchObject({ sealed: 3, rerouted: 3, replayed: 0 });
    expect(statusOf(n3)?.ended).toMatchObject({ rerouted: 1 });
  });

  it('are tried again until the late group takes them', async () => {
    const { id } = await openGroup();
    await hints.keep(n2, batchOf(id, 1));
    await closeGroup(id);
    await sealGroup(id, []);
    rerouteFailure = new VarveError('unavailable', 'level not met');
    startHints();
    await clock.advance(10_000);
    expect([rerouted, hints.count]).toEqual([[], 1]);
    rerouteFailure = undefined;
    await clock.advance(3000);
    expect([rerouted, hints.count]).toEqual([['n1/1/1'], 0]);
  });

  it('end at once when history holds them, though others wait long for the late group', async () => {
    answer = away;
    const first = await openGroup();
    await hints.keep(n2, batchOf(first.id, 1));
    await closeGroup(first.id);
    await sealGroup(first.id, []);
    rerouteAnswer = new Promise((resolve) => {
      endReroute = resolve;
    });
    startHints();
    await clock.advance(3000);
    const second = await openGroup();
    await hints.keep(n2, batchOf(second.id, 2));
    await closeGroup(second.id);
    await sealGroup(second.id, [range(2, 2)]);
    await clock.advance(3000);
    expect(statusOf(n2)).toMatchObject({ hints: 1, ended: { sealed: 1, rerouted: 0 } });
  });

  it('go into the late group when it has left the list', async () => {
    const { id } = await openGroup();
    await hints.keep(n2, batchOf(id, 1));
    await closeGroup(id);
    await sealGroup(id, [range(1, 1)]);
    await releaseByAll(id);
    startHints();
    await clock.advance(3000);
    expect([rerouted, hints.count]).toEqual([['n1/1/1'], 0]);
  });

  it('are dropped and counted when the database is', async () => {
    const { id } = await openGroup();
    await hints.keep(n2, batchOf(id, 1));
    await world.catalogs.databases.delete('plant');
    startHints();
    await clock.advance(3000);
    expect([rerouted, sent, hints.count]).toEqual([[], [], 0]);
    expect(statusOf(n2)?.ended.dropped).toBe(1);
  });

  it('are dropped and counted when they grow too old', async () => {
    await openHints({ ageMsMax: 3_600_000 });
    answer = away;
    startHints();
    const { id } = await openGroup();
    await hints.keep(n2, batchOf(id, 1));
    await clock.advance(3_000_000);
    await hints.keep(n2, batchOf(id, 2));
    await clock.advance(700_000);
    expect(statusOf(n2)).toMatchObject({ hints: 1, ended: { expired: 1 } });
  });
});

describe('Hints as sealing sees them', () => {
  it('tell what is kept of a group with the digests that an owner of the same batches has', async () => {
    const { id } = await openGroup(2);
    const batches = Array.from({ length: 10 }, (_, index) => batchOf(id, index + 1, { shard: index % 2 }));
    const hot = new HotTier({ bytesMax: 2 ** 26, logger: silentLogger });
    for (const batch of batches) {
      hot.apply({ ...batch, tables: [] }, batch.hash, batch.bytes.length);
      await hints.keep(batch.id.sequence % 3 === 0 ? n3 : n2, batch);
    }
    await hints.keep(n3, batches[0]!);
    expect(await hints.holdings(database.id, id)).toEqual(hot.holdings(database.id, id));
    expect(await hints.holdings(database.id, 'l999999999999' as GroupId)).toEqual([]);
  });

  it('give back the batches that are asked for and kept', async () => {
    const { id } = await openGroup();
    for (let sequence = 1; sequence <= 4; sequence++) await hints.keep(n2, batchOf(id, sequence));
    await hints.keep(n3, batchOf(id, 2));
    const ids = [2, 3, 9].map((sequence) => ({ origin: n1, epoch: 1, sequence }));
    const got: string[] = [];
    for await (const bytes of hints.fetch({ database: database.id, group: id, shard: 0 }, ids)) {
      got.push(batchIdText(readBatchHeader(bytes).id));
    }
    expect(got).toEqual(['n1/1/2', 'n1/1/3']);
  });

  it('are let go by a release: sealed ones at once, others when they are written, and it tells of the rest', async () => {
    const { id } = await openGroup();
    answer = away;
    startHints();
    for (let sequence = 1; sequence <= 3; sequence++) await hints.keep(n2, batchOf(id, sequence));
    rerouteFailure = new VarveError('unavailable', 'level not met');
    const left = await hints.release(database.id, id, [range(1, 2)]);
    expect(left.map(batchIdText)).toEqual(['n1/1/3']);
    rerouteFailure = undefined;
    expect(await hints.release(database.id, id, [range(1, 2)])).toEqual([]);
    expect([rerouted, hints.count]).toEqual([['n1/1/3'], 0]);
  });
});

describe('Hints of a node that leaves', () => {
  it('go to their owners whatever the back-off; of others it is told that they are left', async () => {
    answer = away;
    startHints();
    const { id } = await openGroup();
    await hints.keep(n2, batchOf(id, 1));
    await hints.keep(n3, batchOf(id, 2));
    await clock.advance(1_000_000);
    answer = (node) => (node === n2 ? { kind: 'applied' } : away());
    const over = hints.handOver(new AbortController().signal);
    await clock.advance(1000);
    await over;
    expect([statusOf(n2)?.hints, statusOf(n3)?.hints]).toEqual([0, 1]);
  });

  it('are still kept while it stops, and not after', async () => {
    startHints();
    const { id } = await openGroup();
    await hints.stopSending();
    await hints.keep(n2, batchOf(id, 1));
    await hints.close();
    await expect(hints.keep(n2, batchOf(id, 2))).rejects.toMatchObject({ kind: 'unavailable' });
    disk.kill();
    await openHints();
    expect(hints.count).toBe(1);
  });
});
