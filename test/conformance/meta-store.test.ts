import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LmdbMetaStore } from '../../core/adapters/meta-store-lmdb.js';
import { MemoryMetaStore } from '../../core/adapters/meta-store-memory.js';
import { VarveError } from '../../core/std/errors.js';
import { canLimitFileSize, withFileSizeLimit } from './file-size-limit.js';
import { describeMetaStore } from './meta-store.js';

describeMetaStore('memory', async () => {
  const store = new MemoryMetaStore();
  return { store, close: () => store.close() };
});

describeMetaStore('LMDB', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'varve-meta-'));
  const store = await LmdbMetaStore.open(join(folder, 'a.b/meta'));
  const others: LmdbMetaStore[] = [];
  return {
    store,
    reopen: async () => {
      const other = await LmdbMetaStore.open(join(folder, 'a.b/meta'));
      others.push(other);
      return other;
    },
    close: async () => {
      await Promise.all([store, ...others].map((opened) => opened.close()));
      await rm(folder, { recursive: true });
    },
  };
});

describe('LMDB meta store', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'varve-meta-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('finds its items again when it is opened again', async () => {
    const first = await LmdbMetaStore.open(folder);
    await first.put('a/b', 'one', null);
    await first.put('a/b', 'two', 1);
    await first.close();
    const second = await LmdbMetaStore.open(folder);
    expect(await second.get('a/b')).toEqual({ key: 'a/b', value: 'two', version: 2 });
    await second.close();
  });

  it('waits for writes under way when it is closed', async () => {
    const store = await LmdbMetaStore.open(folder);
    const write = store.put('k', 'x', null);
    await store.close();
    expect(await write).toEqual({ kind: 'applied', version: 1 });
  });

  it('loses no increment among two processes, a worker thread and this one', async () => {
    const rounds = 100;
    const store = await LmdbMetaStore.open(folder);
    await store.put('n', '0', null);
    const script = fileURLToPath(new URL('./meta-store-incrementer.mjs', import.meta.url));
    const argv = [folder, `${rounds}`];
    const others = [fork(script, argv), fork(script, argv), new Worker(script, { argv })];
    const exits = Promise.all(others.map(async (other) => (await once(other, 'exit'))[0] as unknown));
    let mine = 0;
    while (mine < rounds) {
      const item = await store.get('n');
      const result = await store.put('n', `${Number(item?.value) + 1}`, item?.version ?? null);
      if (result.kind === 'applied') mine++;
    }
    expect(await exits).toEqual([0, 0, 0]);
    expect(await store.get('n')).toEqual({ key: 'n', value: `${4 * rounds}`, version: 4 * rounds + 1 });
    await store.close();
  });

  it.runIf(canLimitFileSize)(
    'is exhausted when its volume is full, loses nothing, and goes on when there is space again (needs prlimit)',
    async () => {
      const store = await LmdbMetaStore.open(folder);
      const value = 'x'.repeat(100_000);
      await store.put('k/0', value, null);
      const { size } = await stat(join(folder, 'data.mdb'));
      const full = { status: 'rejected', reason: { kind: 'exhausted' } };
      await withFileSizeLimit(size, async () => {
        const puts = [
          store.put('k/1', value, null),
          store.put('k/2', value, null),
          store.put('k/0', value, 1),
        ];
        expect(await Promise.allSettled(puts)).toMatchObject([full, full, full]);
        await expect(store.put('k/1', value, null)).rejects.toMatchObject({ kind: 'exhausted' });
      });
      expect(await store.range('k/')).toEqual([{ key: 'k/0', value, version: 1 }]);
      expect(await store.put('k/0', 'y', 1)).toEqual({ kind: 'applied', version: 2 });
      expect(await store.put('k/1', value, null)).toEqual({ kind: 'applied', version: 1 });
      await store.close();
      const again = await LmdbMetaStore.open(folder);
      expect((await again.range('k/')).map((item) => item.value)).toEqual(['y', value]);
      await again.close();
    },
  );

  it('says what to do when its folder cannot be written', async () => {
    await writeFile(join(folder, 'file'), 'x');
    await expect(LmdbMetaStore.open(join(folder, 'file/meta'))).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('want a local folder'),
    });
  });
});

describe('memory meta store', () => {
  it('suffers the faults it is told to', async () => {
    const error = new VarveError('unavailable', 'no answer');
    let kind: 'refused' | 'answer-lost' = 'refused';
    const store = new MemoryMetaStore({
      fail: (call) => (call.operation === 'put' ? { kind, error } : undefined),
    });
    await expect(store.put('k', 'x', null)).rejects.toBe(error);
    expect(await store.get('k')).toBeUndefined();
    kind = 'answer-lost';
    await expect(store.put('k', 'x', null)).rejects.toBe(error);
    expect(await store.get('k')).toMatchObject({ value: 'x', version: 1 });
  });
});
