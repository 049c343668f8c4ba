import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import { VarveError } from '../../../core/std/errors.js';
import type { Wal } from '../../../ingest/wal/wal.js';
import { database, groupNumber, idsOf, makeBatch, openWal, replayIds } from './harness.js';

const started = async (disk: MemoryDisk, options = {}): Promise<Wal> => {
  const { wal } = openWal(disk, options);
  await wal.start(() => 'keep');
  return wal;
};

describe('a full log or disk', () => {
  it('refuses at bytesMax, loses nothing, and goes on when a group was released', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk, { bytesMax: 3 * 64 * 1024 });
    const acknowledged: string[] = [];
    let refused = 0;
    for (let i = 1; i <= 20; i++) {
      const batch = makeBatch(i, 20_000, i <= 4 ? 1 : 2);
      try {
        await wal.append(batch);
        acknowledged.push(...idsOf([batch]));
      } catch (error) {
        expect(error).toMatchObject({ kind: 'exhausted', retryAfterSeconds: 10 });
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(0);
    expect(wal.usage().bytes).toBeLessThanOrEqual(3 * 64 * 1024);
    await wal.release(database, groupNumber(1));
    const later = makeBatch(100, 20_000, 3);
    await wal.append(later);
    await wal.stop();
    const { ids } = await replayIds(disk);
    const kept = acknowledged.filter((id) => Number(id.split('/')[2]) > 4);
    for (const id of [...kept, ...idsOf([later])]) expect(ids).toContain(id);
  });

  it('small batches still fit where a large one does not', async () => {
    const wal = await started(new MemoryDisk(), { bytesMax: 64 * 1024 });
    await wal.append(makeBatch(1, 30_000));
    const outcomes = await Promise.allSettled([
      wal.append(makeBatch(2, 50_000)),
      wal.append(makeBatch(3, 100)),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'fulfilled']);
  });

  it('starts on a full disk, replays, and takes writes when there is space', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk);
    for (let i = 1; i <= 4; i++) await wal.append(makeBatch(i, 14_000));
    await wal.stop();
    disk.capacityBytes = disk.usedBytes;
    const { ids, wal: full } = await replayIds(disk);
    expect(ids.length).toBe(4);
    const acknowledged = [...ids];
    const fill = async (): Promise<void> => {
      for (let i = 5; i <= 20; i++) {
        const batch = makeBatch(i, 14_000);
        await full.append(batch);
        acknowledged.push(...idsOf([batch]));
      }
    };
    await expect(fill()).rejects.toMatchObject({ kind: 'exhausted' });
    disk.capacityBytes = 2 ** 30;
    const last = makeBatch(99, 14_000);
    await full.append(last);
    await full.stop();
    expect((await replayIds(disk)).ids).toEqual([...acknowledged, ...idsOf([last])]);
  });

  it('leaves the reserve of the disk alone', async () => {
    const disk = new MemoryDisk({ capacityBytes: 200_000 });
    const wal = await started(disk, { reserveBytes: 100_000 });
    const outcomes = [];
    for (let i = 1; i <= 8; i++) outcomes.push(await wal.append(makeBatch(i, 20_000)).catch((e) => e.kind));
    expect(outcomes.at(-1)).toBe('exhausted');
    expect(await disk.freeBytes()).toBeGreaterThanOrEqual(100_000);
  });

  it('a write that fails half way does not count, and what follows it does', async () => {
    const disk = new MemoryDisk();
    const wal = await started(disk, { segmentBytes: 16 * 2 ** 20 });
    const full = new VarveError('exhausted', 'no space left');
    await wal.append(makeBatch(1));
    for (const failAt of [1, 2, 3]) {
      let writes = 0;
      disk.faults = {
        fail: ({ operation }) => {
          if (operation !== 'write') return undefined;
          writes += 1;
          // Written all the same: whole blocks of the failed commit lie in the file.
          return writes === failAt ? { kind: 'answer-lost', error: full } : undefined;
        },
      };
      const lost = [0, 1, 2].map((i) => wal.append(makeBatch(failAt * 1000 + i, 2 ** 20)));
      for (const append of lost) await expect(append).rejects.toMatchObject({ kind: 'exhausted' });
      disk.faults = {};
      // Of the same size as the first block that failed: the next stale block begins right after it.
      await wal.append(makeBatch(failAt * 10, 2 ** 20));
    }
    await wal.stop();
    expect((await replayIds(disk, { segmentBytes: 16 * 2 ** 20 })).ids).toEqual(
      ['1', '10', '20', '30'].map((sequence) => `n1/1/${sequence}`),
    );
  });
});

describe('a failed sync', () => {
  it('poisons the log: this append and all later ones fail, and the owner is told once', async () => {
    const disk = new MemoryDisk();
    const { wal, fatal } = openWal(disk);
    await wal.start(() => 'keep');
    await wal.append(makeBatch(1));
    const error = new VarveError('unavailable', 'sync: input/output error');
    disk.faults = {
      fail: ({ operation }) => (operation === 'sync' ? { kind: 'refused', error } : undefined),
    };
    const outcomes = await Promise.allSettled([wal.append(makeBatch(2)), wal.append(makeBatch(3))]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable' } });
    }
    disk.faults = {};
    await expect(wal.append(makeBatch(4))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(fatal.length).toBe(1);
    expect(fatal[0]?.message).toContain('input/output error');
    await wal.stop();
    disk.crash('none');
    expect((await replayIds(disk)).ids).toEqual(['n1/1/1']);
  });

  it('loses nothing that is appended after the next start, though reads showed what was not on the disk', async () => {
    const disk = new MemoryDisk();
    const { wal } = openWal(disk);
    await wal.start(() => 'keep');
    await wal.append(makeBatch(1));
    const error = new VarveError('unavailable', 'sync: input/output error');
    disk.faults = {
      fail: ({ operation }) => (operation === 'sync' ? { kind: 'refused', error } : undefined),
    };
    await expect(wal.append(makeBatch(2))).rejects.toMatchObject({ kind: 'unavailable' });
    disk.faults = {};
    disk.kill();
    const next = openWal(disk).wal;
    const seen: number[] = [];
    await next.start((batch) => {
      seen.push(batch.id.sequence);
      return 'keep';
    });
    expect(seen).toEqual([1, 2]);
    await next.append(makeBatch(3));
    disk.crash('none');
    expect((await replayIds(disk)).ids).toEqual(['n1/1/1', 'n1/1/2', 'n1/1/3']);
  });

  it('of the directory poisons it as well', async () => {
    const disk = new MemoryDisk();
    const { wal, fatal } = openWal(disk);
    await wal.start(() => 'keep');
    for (let i = 1; i <= 5; i++) await wal.append(makeBatch(i, 20_000));
    await wal.append(makeBatch(9, 20_000, 2));
    const error = new VarveError('unavailable', 'sync of the directory failed');
    disk.faults = {
      fail: ({ operation }) => (operation === 'sync-directory' ? { kind: 'refused', error } : undefined),
    };
    await expect(wal.release(database, groupNumber(1))).rejects.toBe(error);
    expect(fatal.length).toBe(1);
    await expect(wal.append(makeBatch(10))).rejects.toMatchObject({ kind: 'unavailable' });
  });
});
