import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Disk } from '../../core/ports/disk.js';
import type { ErrorKind } from '../../core/std/errors.js';

/** A fresh, empty disk for each test. */
export interface DiskUnderTest {
  readonly disk: Disk;
  readonly dispose: () => Promise<void>;
}

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);

/** What every Disk does, whatever it is made of. */
export function describeDisk(name: string, make: () => Promise<DiskUnderTest>): void {
  describe(`disk: ${name}`, () => {
    let disk: Disk;
    let dispose: () => Promise<void>;

    beforeEach(async () => {
      ({ disk, dispose } = await make());
    });
    afterEach(() => dispose());

    const content = async (path: string): Promise<Uint8Array> => {
      const file = await disk.open(path, 'existing');
      const into = new Uint8Array(await file.size());
      expect(await file.read(into, 0)).toBe(into.length);
      await file.close();
      return into;
    };
    const create = async (path: string, data: Uint8Array): Promise<void> => {
      const file = await disk.open(path, 'create');
      await file.write(data, 0);
      await file.sync();
      await file.close();
    };
    const refuses = (promise: Promise<unknown>, kind: ErrorKind): Promise<void> =>
      expect(promise).rejects.toMatchObject({ name: 'VarveError', kind });

    it('a directory that does not exist lists as empty', async () => {
      expect(await disk.list('nowhere')).toEqual([]);
    });

    it('makeDirectory makes all of a path and may be repeated', async () => {
      await disk.makeDirectory('a/b/c');
      await disk.makeDirectory('a/b/c');
      expect(await disk.list('a')).toEqual(['b']);
      await disk.syncDirectory('a/b');
    });

    it('lists names, sorted, of this directory only', async () => {
      await disk.makeDirectory('d/inner');
      for (const name of ['b', 'a', 'inner/c']) await create(`d/${name}`, bytes(1));
      expect(await disk.list('d')).toEqual(['a', 'b', 'inner']);
      expect(await disk.list('d/inner')).toEqual(['c']);
    });

    it('the empty path is the root', async () => {
      await disk.makeDirectory('');
      await create('top', bytes(1));
      expect(await disk.list('')).toEqual(['top']);
      await disk.syncDirectory('');
    });

    it('a created file is empty and may be written past its end, the gap reading as zeros', async () => {
      await disk.makeDirectory('d');
      const file = await disk.open('d/f', 'create');
      expect(await file.size()).toBe(0);
      await file.write(bytes(7, 8), 3);
      expect(await file.size()).toBe(5);
      await file.close();
      expect(await content('d/f')).toEqual(bytes(0, 0, 0, 7, 8));
    });

    it('writes overwrite in place', async () => {
      await disk.makeDirectory('d');
      await create('d/f', bytes(1, 2, 3, 4));
      const file = await disk.open('d/f', 'existing');
      await file.write(bytes(9, 9), 1);
      await file.sync();
      await file.close();
      expect(await content('d/f')).toEqual(bytes(1, 9, 9, 4));
    });

    it('a write takes the bytes as they were when it was called and resolved', async () => {
      await disk.makeDirectory('d');
      const file = await disk.open('d/f', 'create');
      const data = bytes(1, 2);
      await file.write(data, 0);
      data.fill(0);
      await file.close();
      expect(await content('d/f')).toEqual(bytes(1, 2));
    });

    it('reads are short only at the end of the file', async () => {
      await disk.makeDirectory('d');
      await create('d/f', bytes(1, 2, 3));
      const file = await disk.open('d/f', 'existing');
      const into = new Uint8Array(2);
      expect(await file.read(into, 0)).toBe(2);
      expect(into).toEqual(bytes(1, 2));
      expect(await file.read(into, 2)).toBe(1);
      expect(into[0]).toBe(3);
      expect(await file.read(into, 3)).toBe(0);
      expect(await file.read(into, 99)).toBe(0);
      await file.close();
    });

    it('truncate shortens and lengthens, with zeros', async () => {
      await disk.makeDirectory('d');
      await create('d/f', bytes(1, 2, 3));
      const file = await disk.open('d/f', 'existing');
      await file.truncate(1);
      await file.truncate(3);
      await file.sync();
      await file.close();
      expect(await content('d/f')).toEqual(bytes(1, 0, 0));
    });

    it('rename moves and replaces', async () => {
      await disk.makeDirectory('d');
      await create('d/a', bytes(1));
      await create('d/b', bytes(2));
      await disk.rename('d/a', 'd/b');
      await disk.syncDirectory('d');
      expect(await disk.list('d')).toEqual(['b']);
      expect(await content('d/b')).toEqual(bytes(1));
    });

    it('an open file outlives its name', async () => {
      await disk.makeDirectory('d');
      await create('d/a', bytes(5));
      const file = await disk.open('d/a', 'existing');
      await disk.remove('d/a');
      const into = new Uint8Array(1);
      expect(await file.read(into, 0)).toBe(1);
      expect(into).toEqual(bytes(5));
      await file.close();
      expect(await disk.list('d')).toEqual([]);
    });

    it('what is missing is not-found', async () => {
      await disk.makeDirectory('d');
      await refuses(disk.open('d/none', 'existing'), 'not-found');
      await refuses(disk.open('none/f', 'create'), 'not-found');
      await refuses(disk.remove('d/none'), 'not-found');
      await refuses(disk.rename('d/none', 'd/other'), 'not-found');
      await refuses(disk.syncDirectory('none'), 'not-found');
    });

    it('creating what is there is a conflict', async () => {
      await disk.makeDirectory('d');
      await create('d/f', bytes(1));
      await refuses(disk.open('d/f', 'create'), 'conflict');
      expect(await content('d/f')).toEqual(bytes(1));
    });

    it('a closed file refuses calls with unavailable', async () => {
      await disk.makeDirectory('d');
      const file = await disk.open('d/f', 'create');
      await file.close();
      await refuses(file.write(bytes(1), 0), 'unavailable');
      await refuses(file.read(new Uint8Array(1), 0), 'unavailable');
      await refuses(file.sync(), 'unavailable');
    });

    it.each(['../out', '/etc', 'a//b', 'a/./b', 'a\\b', 'a\0b'])('refuses path %j', async (path) => {
      await refuses(disk.list(path), 'invalid');
      await refuses(disk.open(path, 'create'), 'invalid');
    });

    it('tells how much can still be written', async () => {
      await disk.makeDirectory('');
      expect(await disk.freeBytes()).toBeGreaterThan(0);
    });
  });
}
