import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../core/adapters/disk-memory.js';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import type { DiskFile } from '../../core/ports/disk.js';
import { VarveError } from '../../core/std/errors.js';

/** The simulated disk is only worth something if it is as cruel as a real one may be. */
describe('what a crash of the memory disk leaves', () => {
  const durableFile = async (disk: MemoryDisk, size: number, fill: number): Promise<DiskFile> => {
    await disk.makeDirectory('d');
    await disk.syncDirectory('');
    const file = await disk.open('d/f', 'create');
    await file.write(new Uint8Array(size).fill(fill), 0);
    await file.sync();
    await disk.syncDirectory('d');
    return file;
  };

  it('synced bytes under a synced name stay', async () => {
    const disk = new MemoryDisk();
    await durableFile(disk, 4, 7);
    disk.crash('none');
    expect(disk.contentOf('d/f')).toEqual(Uint8Array.of(7, 7, 7, 7));
  });

  it('unsynced bytes go, or stay, or are torn by sectors', async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 40; seed++) {
      const disk = new MemoryDisk();
      const file = await durableFile(disk, 1536, 1);
      await file.write(new Uint8Array(1536).fill(2), 0);
      disk.crash(new SeededRandom(seed));
      const content = disk.contentOf('d/f');
      expect(content.length).toBe(1536);
      const sectors = [0, 512, 1024].map((at) => content.subarray(at, at + 512));
      for (const sector of sectors) expect(new Set(sector).size).toBe(1);
      outcomes.add(sectors.map((sector) => sector[0]).join(''));
    }
    expect(outcomes.size).toBe(8);
  });

  it('a name not synced goes with the crash, synced bytes or not', async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory('d');
    await disk.syncDirectory('');
    const file = await disk.open('d/f', 'create');
    await file.write(Uint8Array.of(1), 0);
    await file.sync();
    disk.crash('none');
    expect(await disk.list('d')).toEqual([]);
  });

  it('a directory not synced takes all below it along', async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory('d');
    await (await disk.open('d/f', 'create')).sync();
    await disk.syncDirectory('d');
    disk.crash('none');
    expect(await disk.list('')).toEqual([]);
    expect(await disk.list('d')).toEqual([]);
  });

  it.each(['none', 'all'] as const)('renames and removals not synced: %s kept', async (keep) => {
    const disk = new MemoryDisk();
    await durableFile(disk, 1, 1);
    await disk.rename('d/f', 'd/g');
    disk.crash(keep);
    expect(await disk.list('d')).toEqual([keep === 'all' ? 'g' : 'f']);
    await disk.remove(keep === 'all' ? 'd/g' : 'd/f');
    disk.crash(keep);
    expect((await disk.list('d')).length).toBe(keep === 'all' ? 0 : 1);
  });

  it('handles of before are dead; a kill keeps what was written, a crash after it does not', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, 1, 1);
    await file.write(Uint8Array.of(2), 0);
    disk.kill();
    await expect(file.write(Uint8Array.of(3), 0)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(disk.contentOf('d/f')).toEqual(Uint8Array.of(2));
    disk.crash('none');
    expect(disk.contentOf('d/f')).toEqual(Uint8Array.of(1));
  });

  it('a failed sync has lost its bytes, though reads go on showing them', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, 1, 1);
    await file.write(Uint8Array.of(2), 0);
    disk.faults = {
      fail: ({ operation }) =>
        operation === 'sync'
          ? { kind: 'refused', error: new VarveError('unavailable', 'sync: input/output error') }
          : undefined,
    };
    await expect(file.sync()).rejects.toMatchObject({ kind: 'unavailable' });
    disk.faults = {};
    await file.sync();
    expect(disk.contentOf('d/f')).toEqual(Uint8Array.of(2));
    disk.crash('all');
    expect(disk.contentOf('d/f')).toEqual(Uint8Array.of(1));
  });

  it('at a full disk a write keeps what fitted and says exhausted', async () => {
    const disk = new MemoryDisk({ capacityBytes: 10 });
    const file = await durableFile(disk, 8, 1);
    await expect(file.write(new Uint8Array(4), 8)).rejects.toMatchObject({ kind: 'exhausted' });
    expect(await file.size()).toBe(10);
    expect(await disk.freeBytes()).toBe(0);
    await file.write(new Uint8Array(10), 0);
    disk.capacityBytes = 12;
    await file.write(new Uint8Array(2), 10);
    expect(await disk.freeBytes()).toBe(0);
  });

  it('when the power goes the operation happens, a sync does not, and nothing answers any more', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, 1, 1);
    disk.losePowerAt(1);
    await expect(file.write(Uint8Array.of(2), 0)).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(file.sync()).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(disk.list('d')).rejects.toMatchObject({ kind: 'unavailable' });
    expect(disk.powerLost).toBe(true);
    disk.crash('all');
    expect(disk.powerLost).toBe(false);
    expect(disk.contentOf('d/f')).toEqual(Uint8Array.of(2));
  });
});
