import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MetaStore } from '../../core/ports/meta-store.js';

/** A store made for one test. `reopen` gives another handle on the same items, as another process would have. */
export interface MetaStoreUnderTest {
  readonly store: MetaStore;
  reopen?(): Promise<MetaStore>;
  close(): Promise<void>;
}

const rejectsAs = (kind: string): unknown => expect.objectContaining({ name: 'VarveError', kind });

/** What every MetaStore does, whatever holds the items. */
export function describeMetaStore(name: string, open: () => Promise<MetaStoreUnderTest>): void {
  describe(`meta store: ${name}`, () => {
    let underTest: MetaStoreUnderTest;
    let store: MetaStore;
    beforeEach(async () => {
      underTest = await open();
      store = underTest.store;
    });
    afterEach(() => underTest.close());

    const keysBelow = async (prefix: string): Promise<string[]> =>
      (await store.range(prefix)).map((item) => item.key);
    const create = async (key: string, value: string): Promise<number> => {
      const result = await store.put(key, value, null);
      if (result.kind !== 'applied') throw new Error(`${key} exists`);
      return result.version;
    };

    it('creates only what is not there', async () => {
      expect(await store.get('a/b')).toBeUndefined();
      expect(await store.put('a/b', 'one', null)).toEqual({ kind: 'applied', version: 1 });
      expect(await store.put('a/b', 'two', null)).toEqual({ kind: 'conflict' });
      expect(await store.get('a/b')).toEqual({ key: 'a/b', value: 'one', version: 1 });
    });

    it('replaces only the expected version, and versions grow', async () => {
      const first = await create('k', 'one');
      const replaced = await store.put('k', 'two', first);
      expect(replaced).toEqual({ kind: 'applied', version: first + 1 });
      expect(await store.put('k', 'three', first)).toEqual({ kind: 'conflict' });
      expect(await store.put('k', 'three', first + 2)).toEqual({ kind: 'conflict' });
      expect(await store.get('k')).toEqual({ key: 'k', value: 'two', version: first + 1 });
    });

    it('counts a put of the same value as a change', async () => {
      const first = await create('k', 'same');
      expect(await store.put('k', 'same', first)).toMatchObject({ kind: 'applied' });
      expect(await store.put('k', 'same', first)).toEqual({ kind: 'conflict' });
    });

    it('does not create when a version is expected', async () => {
      expect(await store.put('k', 'one', 1)).toEqual({ kind: 'conflict' });
      expect(await store.get('k')).toBeUndefined();
    });

    it('deletes only the expected version', async () => {
      const version = await create('k', 'one');
      expect(await store.delete('k', version + 1)).toEqual({ kind: 'conflict' });
      expect(await store.delete('k', version)).toEqual({ kind: 'applied' });
      expect(await store.delete('k', version)).toEqual({ kind: 'conflict' });
      expect(await store.get('k')).toBeUndefined();
      expect(await store.put('k', 'again', null)).toMatchObject({ kind: 'applied' });
    });

    it('ranges by prefix in byte order of keys', async () => {
      const keys = ['t/a', 't/b', 't/b/c', 't/B', 't/é', 't/\u{1f30d}', 't/\uff5e', 't0', 's', 't'];
      for (const key of keys) await create(key, `value of ${key}`);
      const sorted = [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
      expect(await keysBelow('t/')).toEqual(sorted.filter((key) => key.startsWith('t/')));
      expect(await keysBelow('t/b')).toEqual(['t/b', 't/b/c']);
      expect(await keysBelow('x/')).toEqual([]);
      expect((await store.range('t/B'))[0]).toEqual({ key: 't/B', value: 'value of t/B', version: 1 });
    });

    it('holds values of any text up to 350 KiB of UTF-8', async () => {
      const large = 'é'.repeat(175 * 1024);
      await create('large', large);
      await create('empty', '');
      await create('text', '{"a":"\\u0000 \u0000 \u{1f30d}"}');
      expect((await store.get('large'))?.value).toBe(large);
      expect((await store.get('empty'))?.value).toBe('');
      expect((await store.get('text'))?.value).toBe('{"a":"\\u0000 \u0000 \u{1f30d}"}');
      await expect(store.put('more', `${large}x`, null)).rejects.toEqual(rejectsAs('too-large'));
      expect(await store.get('more')).toBeUndefined();
    });

    it('holds keys up to 1,024 bytes', async () => {
      const key = `k/${'é'.repeat(511)}`;
      await create(key, 'x');
      expect(await keysBelow('k/')).toEqual([key]);
    });

    it.each(['', `k${'é'.repeat(512)}`, 'a\ud800'])('refuses the key %j', async (key) => {
      await expect(store.get(key)).rejects.toEqual(rejectsAs('invalid'));
      await expect(store.put(key, 'x', null)).rejects.toEqual(rejectsAs('invalid'));
      await expect(store.delete(key, 1)).rejects.toEqual(rejectsAs('invalid'));
      await expect(store.range(key)).rejects.toEqual(rejectsAs('invalid'));
    });

    it.each(['k', '/', '/k'])('refuses to range over %j, which names no first segment', async (prefix) => {
      await expect(store.range(prefix)).rejects.toEqual(rejectsAs('invalid'));
    });

    it('lets exactly one of concurrent puts win', async () => {
      const created = await Promise.all(
        Array.from({ length: 20 }, (_, index) => store.put('k', `${index}`, null)),
      );
      expect(created.filter((result) => result.kind === 'applied')).toHaveLength(1);
      const winner = created.findIndex((result) => result.kind === 'applied');
      expect((await store.get('k'))?.value).toBe(`${winner}`);
      const replaced = await Promise.all(
        Array.from({ length: 20 }, (_, index) => store.put('k', `${index}`, 1)),
      );
      expect(replaced.filter((result) => result.kind === 'applied')).toHaveLength(1);
    });

    it('loses no increment among concurrent writers', async () => {
      await create('n', '0');
      const increment = async (): Promise<void> => {
        for (;;) {
          const item = await store.get('n');
          if (item === undefined) throw new Error('n is gone');
          const result = await store.put('n', `${Number(item.value) + 1}`, item.version);
          if (result.kind === 'applied') return;
        }
      };
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          for (let i = 0; i < 10; i++) await increment();
        }),
      );
      expect(await store.get('n')).toMatchObject({ value: '80', version: 81 });
    });

    it('shows every handle what another has written, and lets them exclude each other', async () => {
      const other = (await underTest.reopen?.()) ?? store;
      const version = await create('k/a', 'one');
      expect(await other.get('k/a')).toMatchObject({ value: 'one' });
      expect(await other.put('k/a', 'two', version)).toMatchObject({ kind: 'applied' });
      expect(await store.get('k/a')).toMatchObject({ value: 'two' });
      expect(await store.put('k/a', 'three', version)).toEqual({ kind: 'conflict' });
      expect((await other.range('k/')).map((item) => item.value)).toEqual(['two']);
    });

    it('does nothing once its signal is aborted', async () => {
      const signal = AbortSignal.abort(new Error('gave up'));
      await expect(store.put('k', 'x', null, signal)).rejects.toThrow('gave up');
      await expect(store.get('k', signal)).rejects.toThrow('gave up');
      await expect(store.range('k/', signal)).rejects.toThrow('gave up');
      await expect(store.delete('k', 1, signal)).rejects.toThrow('gave up');
      await expect(store.check(signal)).rejects.toThrow('gave up');
      expect(await store.get('k')).toBeUndefined();
    });

    it('answers its check, and unavailable once it is closed', async () => {
      await store.check();
      const write = store.put('k', 'x', null);
      await write;
      await store.close();
      await store.close();
      await expect(store.get('k')).rejects.toEqual(rejectsAs('unavailable'));
      await expect(store.put('k', 'x', null)).rejects.toEqual(rejectsAs('unavailable'));
      await expect(store.check()).rejects.toEqual(rejectsAs('unavailable'));
    });
  });
}
