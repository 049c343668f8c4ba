import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../core/adapters/clock-simulated.js';
import { FileSystemObjectStore } from '../../core/adapters/object-store-filesystem.js';
import { MemoryObjectStore } from '../../core/adapters/object-store-memory.js';
import { VarveError } from '../../core/std/errors.js';
import { canLimitFileSize, withFileSizeLimit } from './file-size-limit.js';
import { describeObjectStore } from './object-store.js';

describeObjectStore('memory', async () => ({
  store: new MemoryObjectStore({ clock: new SimulatedClock() }),
  close: async () => {},
}));

describeObjectStore('file system', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'varve-objects-'));
  return {
    store: new FileSystemObjectStore(join(folder, 'objects')),
    close: () => rm(folder, { recursive: true }),
  };
});

describe('file system object store', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'varve-objects-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('gives the path at which other libraries read an object', async () => {
    const store = new FileSystemObjectStore(folder);
    await store.put('db/t/a.parquet', Uint8Array.of(1, 2, 3));
    expect(store.localPath('db/t/a.parquet')).toBe(join(folder, 'db/t/a.parquet'));
    expect([...(await readFile(join(folder, 'db/t/a.parquet')))]).toEqual([1, 2, 3]);
    expect(store.uriOf('db/t/a.parquet')).toBe(`file://${folder}/db/t/a.parquet`);
  });

  it('leaves no upload behind, whether the put succeeded or not', async () => {
    const store = new FileSystemObjectStore(folder);
    await store.put('a', Uint8Array.of(1));
    await expect(store.put('a/b', Uint8Array.of(1))).rejects.toThrow('wants a folder');
    const abort = new AbortController();
    const put = store.put('c', new Uint8Array(8 * 2 ** 20), abort.signal);
    abort.abort(new Error('gave up'));
    await expect(put).rejects.toThrow('gave up');
    expect(await readdir(join(folder, '.uploads'))).toEqual([]);
    await expect(store.head('c')).rejects.toThrow('no such file');
  });

  it('removes folders that deletes leave empty', async () => {
    const store = new FileSystemObjectStore(folder);
    await store.put('db/t/data/a', Uint8Array.of(1));
    await store.put('db/u/data/a', Uint8Array.of(1));
    await store.deleteMany(['db/t/data/a']);
    expect(await readdir(join(folder, 'db'))).toEqual(['u']);
    await store.deleteMany(['db/u/data/a']);
    expect(await readdir(folder)).toEqual(['.uploads']);
  });

  it('does not list what a crash left among the uploads, nor symbolic links', async () => {
    const store = new FileSystemObjectStore(folder);
    await store.put('a', Uint8Array.of(1));
    await writeFile(join(folder, '.uploads/torn'), 'x');
    await symlink('/etc', join(folder, 'link'));
    const keys: string[] = [];
    for await (const object of store.list('')) keys.push(object.key);
    expect(keys).toEqual(['a']);
  });

  it.runIf(canLimitFileSize)(
    'is exhausted when its volume is full, and leaves nothing of the put behind (needs prlimit)',
    async () => {
      const store = new FileSystemObjectStore(folder);
      await withFileSizeLimit(1_500_000, async () => {
        await expect(store.put('a', new Uint8Array(2_000_000))).rejects.toMatchObject({ kind: 'exhausted' });
        await store.put('b', new Uint8Array(1_000_000));
      });
      expect(await readdir(join(folder, '.uploads'))).toEqual([]);
      expect((await readdir(folder)).sort()).toEqual(['.uploads', 'b']);
      await store.put('a', new Uint8Array(2_000_000));
    },
  );

  it('says what to do when it cannot write', async () => {
    await writeFile(join(folder, 'file'), 'x');
    const store = new FileSystemObjectStore(join(folder, 'file/objects'));
    await expect(store.check()).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(store.check()).rejects.toThrow(/want a folder that this user may write to/);
  });
});

describe('memory object store', () => {
  it('is full at its capacity, and takes objects again when space is back', async () => {
    const store = new MemoryObjectStore({ clock: new SimulatedClock(), capacityBytes: 10 });
    await store.put('a', new Uint8Array(6));
    await expect(store.put('b', new Uint8Array(5))).rejects.toMatchObject({ kind: 'exhausted' });
    await store.deleteMany(['a']);
    await store.put('b', new Uint8Array(5));
  });

  it('suffers the faults it is told to', async () => {
    const error = new VarveError('unavailable', 'no answer');
    let kind: 'refused' | 'answer-lost' = 'refused';
    const store = new MemoryObjectStore({
      clock: new SimulatedClock(),
      fail: (call) => (call.operation === 'put' ? { kind, error } : undefined),
    });
    await expect(store.put('a', Uint8Array.of(1))).rejects.toBe(error);
    await expect(store.get('a')).rejects.toMatchObject({ kind: 'not-found' });
    kind = 'answer-lost';
    await expect(store.put('a', Uint8Array.of(1))).rejects.toBe(error);
    expect(await store.get('a')).toEqual(Uint8Array.of(1));
  });
});
