import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EncodedBatch, GroupId, NodeId, ShardAddress } from '../../core/model/batch.js';
import type { Peer } from '../../core/ports/peer.js';

/** A node with one open group, and the way to it under test. */
export interface PeerFixture {
  readonly peer: Peer;
  /** A shard of the open group. */
  readonly address: ShardAddress;
  /** A batch of `rows` rows for that shard. */
  batch(sequence: number, rows?: number): EncodedBatch;
  /** A node that the node under test reaches; it gives back the batches of fetchable. */
  readonly source: NodeId;
  readonly fetchable: EncodedBatch[];
  /** Closes the group in the catalog and opens the late group after it. */
  openNextGroup(): Promise<GroupId>;
  stop(): Promise<void>;
}

async function fetched(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return all;
}

/** What every Peer must do, whatever lies between it and its caller. */
export function peerConformance(name: string, make: () => Promise<PeerFixture>): void {
  describe(`${name} as a Peer`, () => {
    let fixture: PeerFixture;
    let peer: Peer;
    beforeEach(async () => {
      fixture = await make();
      peer = fixture.peer;
    });
    afterEach(() => fixture.stop());

    it('applies a batch once, however often it comes', async () => {
      const { bytes } = fixture.batch(1);
      expect(await peer.append(bytes)).toEqual({ kind: 'applied' });
      expect(await peer.append(bytes)).toEqual({ kind: 'duplicate' });
      const { database, group } = fixture.address;
      const report = await peer.reportGroup(database, group);
      expect(report.chunks.map(({ rows }) => rows)).toEqual([3]);
    });

    it('reports batches, chunks and exact times, before the epoch too', async () => {
      for (const sequence of [1, 2, 4]) await peer.append(fixture.batch(sequence).bytes);
      const { database, group, shard } = fixture.address;
      const report = await peer.reportGroup(database, group);
      const origin = fixture.batch(1).id.origin;
      expect(report).toMatchObject({
        group,
        closed: false,
        batches: [
          { origin, epoch: 7, first: 1, last: 2 },
          { origin, epoch: 7, first: 4, last: 4 },
        ],
      });
      expect(report.digest).toMatch(/^[0-9a-f]+$/);
      expect(report.bytes).toBe([1, 2, 4].reduce((sum, each) => sum + fixture.batch(each).bytes.length, 0));
      expect(report.chunks).toEqual([
        {
          table: 'cpu',
          shard,
          rows: 9,
          seriesCount: 3,
          minTimeNs: -86_400_000_000_001n,
          maxTimeNs: 2n ** 60n + 1n,
          rowsByDay: [
            { day: -2, rows: 3 },
            { day: 0, rows: 3 },
            { day: 13_343, rows: 3 },
          ],
          hasTimeNs: true,
        },
      ]);
    });

    it('takes no batch once the group is closed, and closes it again alike', async () => {
      await peer.append(fixture.batch(1).bytes);
      const { database, group } = fixture.address;
      const report = await peer.closeGroup(database, group);
      expect(report.closed).toBe(true);
      expect(await peer.append(fixture.batch(2).bytes)).toEqual({ kind: 'closed' });
      expect(await peer.closeGroup(database, group)).toEqual(report);
      expect(await peer.reportGroup(database, group)).toEqual(report);
    });

    it('lists and gives back the batches of a shard, each whole', async () => {
      const batches = [fixture.batch(1), fixture.batch(2, 4000), fixture.batch(3)];
      for (const { bytes } of batches) await peer.append(bytes);
      const leaves = await peer.listBatches(fixture.address);
      const bySequence = leaves.toSorted((left, right) => left.id.sequence - right.id.sequence);
      expect(bySequence.map(({ id, hash }) => [id, Buffer.from(hash)])).toEqual(
        batches.map(({ id, hash }) => [id, Buffer.from(hash)]),
      );
      const wanted = batches.map(({ id }) => id);
      for (let round = 0; round < 2; round++) {
        const got = await fetched(peer.fetchBatches(fixture.address, wanted));
        expect(got.map((bytes) => Buffer.from(bytes).toString('hex')).sort()).toEqual(
          batches.map(({ bytes }) => Buffer.from(bytes).toString('hex')).sort(),
        );
      }
      expect(await fetched(peer.fetchBatches(fixture.address, []))).toEqual([]);
    });

    it('writes what history lacks into the late group, and releases then', async () => {
      for (const sequence of [1, 2, 3]) await peer.append(fixture.batch(sequence).bytes);
      const { database, group } = fixture.address;
      await peer.closeGroup(database, group);
      const { origin } = fixture.batch(1).id;
      const sealed = [{ origin, epoch: 7, first: 1, last: 2 }];
      // The group is the open late group itself as the catalog has it: there is no other to write into.
      await expect(peer.releaseGroup(database, group, sealed)).rejects.toMatchObject({ kind: 'unavailable' });
      expect((await peer.reportGroup(database, group)).batches).toHaveLength(1);
      const next = await fixture.openNextGroup();
      expect(await peer.releaseGroup(database, group, sealed)).toEqual({ kind: 'released' });
      expect((await peer.reportGroup(database, group)).batches).toEqual([]);
      const { batches } = await peer.reportGroup(database, next);
      expect(batches).toEqual([{ origin, epoch: 7, first: 3, last: 3 }]);
    });

    it('lets the caller leave early and goes on to answer', async () => {
      const batches = [fixture.batch(1, 4000), fixture.batch(2, 4000)];
      for (const { bytes } of batches) await peer.append(bytes);
      const ids = batches.map(({ id }) => id);
      for await (const piece of peer.fetchBatches(fixture.address, ids)) {
        expect(piece.length).toBeGreaterThan(0);
        break;
      }
      expect(await peer.listBatches(fixture.address)).toHaveLength(2);
    });

    it('releases a closed group whose batches are all sealed', async () => {
      for (const sequence of [1, 2, 3]) await peer.append(fixture.batch(sequence).bytes);
      const { database, group } = fixture.address;
      const { batches } = await peer.closeGroup(database, group);
      expect(await peer.releaseGroup(database, group, batches)).toEqual({ kind: 'released' });
      expect((await peer.reportGroup(database, group)).batches).toEqual([]);
    });

    it('fetches what it lacks from another node, before and after the group is closed', async () => {
      const { address, source, fetchable } = fixture;
      const { database, group, shard } = address;
      const { origin } = fixture.batch(1).id;
      const range = (first: number, last: number) => ({ origin, epoch: 7, first, last });
      await peer.append(fixture.batch(2).bytes);
      fetchable.push(fixture.batch(1), fixture.batch(2), fixture.batch(3), fixture.batch(5, 4000));
      expect(await peer.catchUp(address, source, [range(1, 3)])).toEqual({ fetched: 2 });
      expect(await peer.catchUp(address, source, [range(1, 3)])).toEqual({ fetched: 0 });
      const before = await peer.closeGroup(database, group);
      expect(await peer.append(fixture.batch(5, 4000).bytes)).toEqual({ kind: 'closed' });
      expect(await peer.catchUp(address, source, [range(1, 9)])).toEqual({ fetched: 1 });
      const after = await peer.reportGroup(database, group);
      expect(after.batches).toEqual([range(1, 3), range(5, 5)]);
      expect(after.shards).toEqual([{ shard, digest: expect.any(String), batches: after.batches }]);
      expect(after.digest).not.toBe(before.digest);
      expect(await fetched(peer.fetchBatches(address, [fixture.batch(5).id]))).toHaveLength(1);
    });

    it('says what kept it from catching up', async () => {
      const { address } = fixture;
      const { origin } = fixture.batch(1).id;
      const wanted = [{ origin, epoch: 7, first: 1, last: 1 }];
      await expect(peer.catchUp(address, 'nowhere' as NodeId, wanted)).rejects.toMatchObject({
        kind: 'unavailable',
        message: expect.stringContaining('node nowhere is not known'),
      });
      const { database, group } = address;
      await peer.append(fixture.batch(1).bytes);
      await peer.releaseGroup(database, group, (await peer.closeGroup(database, group)).batches);
      await expect(peer.catchUp(address, fixture.source, wanted)).rejects.toMatchObject({
        kind: 'not-found',
      });
    });

    it('fails with the kind and the words of the node', async () => {
      await peer.append(fixture.batch(1).bytes);
      const { database, group } = fixture.address;
      await expect(peer.releaseGroup(database, group, [])).rejects.toMatchObject({
        name: 'VarveError',
        kind: 'conflict',
        message: expect.stringContaining('want it closed first'),
      });
      await expect(peer.append(Uint8Array.of(1, 2, 3))).rejects.toMatchObject({ kind: 'corrupt' });
    });
  });
}
