import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import { decodeBatch } from '../../../core/codec/batch-codec.js';
import { armFailpoint, disarmFailpoint, type FailpointName } from '../../../core/std/failpoint.js';
import type { Wal } from '../../../ingest/wal/wal.js';
import {
  copyDisk,
  database,
  directory,
  groupNumber,
  idsOf,
  makeBatch,
  openWal,
  replayIds,
} from './harness.js';

const started = async (disk: MemoryDisk, options = {}): Promise<Wal> => {
  const { wal } = openWal(disk, options);
  await wal.start(() => 'keep');
  return wal;
};

/** Holds back every call of an operation until let go. */
function hold(disk: MemoryDisk, operation: string): { release(): void; waiting(): Promise<void> } {
  let release = (): void => {};
  let arrived = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const waiting = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  disk.faults = {
    delay: async (call) => {
      if (call.operation !== operation) return;
      arrived();
      await gate;
    },
  };
  return { release, waiting: () => waiting };
}

describe('appending and replaying', () => {
  it('replays what was appended, byte for byte and in order', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    const batches = [1, 2, 3, 4, 5].map((sequence) => makeBatch(sequence, sequence * 1000));
    for (const batch of batches) await wal.append(batch);
    await wal.stop();
    const replayed: Uint8Array[] = [];
    const { wal: again } = openWal(disk);
    const summary = await again.start((batch) => {
      replayed.push(batch.bytes);
      expect(decodeBatch(batch.bytes).id.sequence).toBe(replayed.length);
      return 'keep';
    });
    expect(replayed).toEqual(batches.map((batch) => batch.bytes));
    expect(summary).toMatchObject({ segments: 1, blocks: 5, batches: 5, kept: 5, tornBytes: 0 });
  });

  it('gives replayed batches at multiples of 8 in their buffer, so that columns decode as views', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    await Promise.all([3, 5, 7].map((size) => wal.append(makeBatch(size, size))));
    await wal.stop();
    const { wal: again } = openWal(disk);
    await again.start((batch) => {
      expect(batch.bytes.byteOffset % 8).toBe(0);
      return 'keep';
    });
  });

  it('goes on in the same segment after a restart, many times over', async () => {
    const disk = new MemoryDisk();
    const expected: string[] = [];
    for (let run = 1; run <= 20; run++) {
      const { ids, wal } = await replayIds(disk);
      expect(ids).toEqual(expected);
      const batch = makeBatch(run);
      await wal.append(batch);
      expected.push(...idsOf([batch]));
      await wal.stop();
    }
    // Twenty blocks of a page each in segments of sixteen pages, and one segment made ahead.
    expect((await disk.list(directory)).length).toBeLessThanOrEqual(3);
  });

  it('spreads over segments, and a batch may nearly fill one', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    const batches = [1, 2, 3, 4].map((sequence) => makeBatch(sequence, 64 * 1024 - 2 * 4096 - 400));
    for (const batch of batches) await wal.append(batch);
    await wal.stop();
    expect(wal.usage().segments).toBe(4);
    expect((await replayIds(disk)).ids).toEqual(idsOf(batches));
  });

  it('refuses a batch that no segment can hold', async () => {
    const wal = await started(new MemoryDisk());
    await expect(wal.append(makeBatch(1, 64 * 1024))).rejects.toMatchObject({ kind: 'too-large' });
    await wal.append(makeBatch(2));
  });

  it('replays batches that the caller drops without holding them', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    for (let i = 1; i <= 4; i++) await wal.append(makeBatch(i, 8, i));
    await wal.stop();
    const { wal: again } = openWal(disk);
    await again.start(async ({ id }) => (id.sequence % 2 === 0 ? 'keep' : 'drop'));
    expect(again.usage()).toMatchObject({ batches: 2 });
    expect(again.list({ database, group: groupNumber(1), shard: 0 })).toEqual([]);
    expect(again.list({ database, group: groupNumber(2), shard: 0 }).length).toBe(1);
  });

  it('takes nothing before start and after stop', async () => {
    const { wal } = openWal(new MemoryDisk());
    await expect(wal.append(makeBatch(1))).rejects.toMatchObject({ kind: 'unavailable' });
    await wal.start(() => 'keep');
    const last = wal.append(makeBatch(2));
    await wal.stop();
    await last;
    await expect(wal.append(makeBatch(3))).rejects.toMatchObject({ kind: 'unavailable' });
  });
});

describe('group commit', () => {
  it('gathers what comes during a sync and makes it durable with one more', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    const gate = hold(disk, 'sync');
    const first = wal.append(makeBatch(1));
    await gate.waiting();
    let syncs = 0;
    disk.faults = {
      fail: ({ operation }) => {
        if (operation === 'sync') syncs += 1;
        return undefined;
      },
    };
    const rest = Array.from({ length: 50 }, (_, i) => wal.append(makeBatch(i + 2)));
    gate.release();
    await Promise.all([first, ...rest]);
    expect(syncs).toBe(2);
    await wal.stop();
    expect((await replayIds(disk)).ids).toEqual(
      idsOf(Array.from({ length: 51 }, (_, i) => makeBatch(i + 1))),
    );
  });

  it('does not resolve before the sync', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    const gate = hold(disk, 'sync');
    let resolved = false;
    const append = wal.append(makeBatch(1)).then(() => {
      resolved = true;
    });
    await gate.waiting();
    await new Promise((resolve) => setImmediate(resolve));
    expect(resolved).toBe(false);
    gate.release();
    await append;
  });

  it('writes at most 1 MiB at once, however large the commit', async () => {
    const disk = new MemoryDisk();
    const sizes: number[] = [];
    const wal = await started(disk, { segmentBytes: 16 * 2 ** 20 });
    const file = await disk.open(`${directory}/000000000001.wal`, 'existing');
    const prototype = Object.getPrototypeOf(file) as typeof file;
    const write = prototype.write;
    prototype.write = function (this: typeof file, bytes, offset) {
      sizes.push(bytes.length);
      return write.call(this, bytes, offset);
    };
    try {
      const batches = [makeBatch(1, 3 * 2 ** 20), ...[2, 3, 4, 5].map((i) => makeBatch(i, 700_000))];
      await Promise.all(batches.map((batch) => wal.append(batch)));
      await wal.stop();
      expect((await replayIds(disk, { segmentBytes: 16 * 2 ** 20 })).ids).toEqual(idsOf(batches));
    } finally {
      prototype.write = write;
    }
    expect(Math.max(...sizes)).toBe(2 ** 20);
  });

  it('bounds what waits for the disk', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk, { queueBytesMax: 1000 });
    const gate = hold(disk, 'sync');
    const first = wal.append(makeBatch(1));
    await gate.waiting();
    const second = wal.append(makeBatch(2, 900));
    await expect(wal.append(makeBatch(3, 900))).rejects.toMatchObject({
      kind: 'unavailable',
      retryAfterSeconds: 1,
    });
    gate.release();
    await Promise.all([first, second]);
    await wal.append(makeBatch(3, 900));
  });
});

describe('listing and fetching', () => {
  it('lists the leaves of a shard and fetches what it has of the ids asked for', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    const batches = Array.from({ length: 12 }, (_, i) => makeBatch(i + 1, 9000, 1, i % 2));
    for (const batch of batches) await wal.append(batch);
    const address = { database, group: groupNumber(1), shard: 1 };
    const mine = batches.filter((batch) => batch.shard === 1);
    expect(wal.list(address)).toEqual(mine.map(({ id, hash }) => ({ id, hash })));
    const fetched: Uint8Array[] = [];
    const wanted = [mine[4]!.id, mine[1]!.id, batches[0]!.id, makeBatch(99).id];
    for await (const bytes of wal.fetch(address, wanted)) fetched.push(bytes);
    expect(fetched).toEqual([mine[1]!.bytes, mine[4]!.bytes]);
  });

  it('lists and fetches a batch once that was appended twice', async () => {
    const wal = await started(new MemoryDisk());
    const batch = makeBatch(1);
    await Promise.all([wal.append(batch), wal.append(batch)]);
    expect(wal.list(batch).length).toBe(1);
    let fetched = 0;
    for await (const bytes of wal.fetch(batch, [batch.id, batch.id])) fetched += bytes.length;
    expect(fetched).toBe(batch.bytes.length);
  });

  it('keeps a segment that is being read until the reader has done, or gone', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    const batches = [1, 2, 3].map((i) => makeBatch(i, 15_000));
    for (const batch of batches) await wal.append(batch);
    await wal.append(makeBatch(4, 40_000, 2));
    const reading = wal.fetch(
      batches[0]!,
      batches.map((batch) => batch.id),
    );
    await reading.next();
    await wal.release(database, groupNumber(1));
    expect(wal.usage().segments).toBe(2);
    expect((await reading.next()).value).toEqual(batches[1]!.bytes);
    await reading.return(undefined);
    await wal.release(database, groupNumber(9));
    expect(wal.usage().segments).toBe(1);
  });

  it('notices that the disk gives back other bytes', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    const batch = makeBatch(1, 100);
    await wal.append(batch);
    const file = await disk.open(`${directory}/000000000001.wal`, 'existing');
    await file.write(Uint8Array.of(1), 4096 + 48 + 8 + 120);
    const read = async (): Promise<void> => {
      for await (const _ of wal.fetch(batch, [batch.id]));
    };
    await expect(read()).rejects.toMatchObject({ kind: 'corrupt' });
  });
});

describe('releasing', () => {
  const fill = async (wal: Wal, group: number, first: number): Promise<void> => {
    for (let i = 0; i < 6; i++) await wal.append(makeBatch(first + i, 20_000, group));
  };

  it('gives segments back, keeps two as spares and reuses them under a new salt', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    for (let group = 1; group <= 3; group++) await fill(wal, group, group * 10);
    const before = wal.usage();
    for (let group = 1; group <= 3; group++) await wal.release(database, groupNumber(group));
    expect(wal.usage()).toMatchObject({ batches: 0, batchBytes: 0, segments: 1, spares: 2, oldestMs: null });
    expect(wal.usage().bytes).toBeLessThan(before.bytes);
    const names = await disk.list(directory);
    expect(names.filter((name) => name.startsWith('spare-')).length).toBe(2);
    await fill(wal, 4, 40);
    await wal.stop();
    const { ids } = await replayIds(disk);
    // The active segment still held the end of group 3 when it was released; the rest is gone.
    expect(ids.filter((id) => Number(id.split('/')[2]) >= 40).length).toBe(6);
    expect(ids.filter((id) => Number(id.split('/')[2]) < 30)).toEqual([]);
  });

  it('never takes the stale content of a reused file for its own', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    // Batches of one size: old and new blocks begin at the same offsets, with the same sequences and commits.
    for (let round = 1; round <= 30; round++) {
      const batches = [0, 1, 2, 3, 4].map((i) => makeBatch(round * 100 + i, 12_000, round));
      for (const batch of batches) await wal.append(batch);
      await wal.release(database, groupNumber(round - 1));
      const { ids, wal: copy } = await replayIds(await copyDisk(disk));
      await copy.stop();
      expect(ids.slice(-5)).toEqual(idsOf(batches));
      for (const id of ids) expect(Number(id.split('/')[2])).toBeGreaterThanOrEqual((round - 1) * 100);
    }
    expect(wal.usage().bytes).toBeLessThanOrEqual(6 * 64 * 1024);
  });

  it('frees segments in any order: one that is still needed does not hold the others', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    await fill(wal, 1, 10);
    await wal.append(makeBatch(1, 8, 7));
    await fill(wal, 2, 20);
    await fill(wal, 3, 30);
    const all = wal.usage().segments;
    await wal.release(database, groupNumber(2));
    await wal.release(database, groupNumber(1));
    expect(wal.usage().segments).toBeLessThan(all);
    await wal.stop();
    const { ids } = await replayIds(disk);
    expect(ids).toContain('n1/1/1');
    for (let i = 30; i < 36; i++) expect(ids).toContain(`n1/1/${i}`);
  });
});

describe('failpoints', () => {
  const names: readonly FailpointName[] = [
    'wal.before-sync',
    'wal.after-sync',
    'wal.before-truncate',
    'wal.during-truncate',
  ];
  it.each(names)('%s is passed by a life with appends and a release', async (name) => {
    const wal = await started(new MemoryDisk());
    let reached = 0;
    armFailpoint(name, 1, () => {
      reached += 1;
    });
    try {
      for (let i = 1; i <= 4; i++) await wal.append(makeBatch(i, 20_000, i < 4 ? 1 : 2));
      await wal.release(database, groupNumber(1));
    } finally {
      disarmFailpoint();
    }
    expect(reached).toBe(1);
    await wal.stop();
  });
});
