import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { isVarveError } from '../../core/std/errors.js';

/** A store made for one test; `close` removes what it left. */
export interface ObjectStoreUnderTest {
  readonly store: ObjectStore;
  /** True where both `a` and `a/b` can be objects, as in S3; a file system refuses the second. */
  readonly isFlat?: boolean;
  close(): Promise<void>;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const rejectsAs = (kind: string): unknown => expect.objectContaining({ name: 'VarveError', kind });

/** What every ObjectStore does, whatever holds the bytes. */
export function describeObjectStore(name: string, open: () => Promise<ObjectStoreUnderTest>): void {
  describe(`object store: ${name}`, () => {
    let underTest: ObjectStoreUnderTest;
    let store: ObjectStore;
    beforeEach(async () => {
      underTest = await open();
      store = underTest.store;
    });
    afterEach(() => underTest.close());

    const keysBelow = async (prefix: string): Promise<string[]> => {
      const keys: string[] = [];
      for await (const object of store.list(prefix)) keys.push(object.key);
      return keys;
    };

    it('gives back the bytes that were put', async () => {
      const bytes = Uint8Array.from({ length: 3_000_017 }, (_, index) => index * 31);
      await store.put('db/t/data/a.parquet', bytes);
      expect(Buffer.compare(await store.get('db/t/data/a.parquet'), bytes)).toBe(0);
      expect(await store.head('db/t/data/a.parquet')).toMatchObject({
        key: 'db/t/data/a.parquet',
        bytes: bytes.length,
      });
    });

    it('holds an empty object', async () => {
      await store.put('empty', new Uint8Array());
      expect(await store.get('empty')).toHaveLength(0);
      expect(await store.head('empty')).toMatchObject({ bytes: 0 });
      expect(await store.getRange('empty', 0, 10)).toHaveLength(0);
    });

    it('keeps its own copy of what it was given and gives', async () => {
      const bytes = text('first');
      await store.put('k', bytes);
      bytes.fill(0);
      (await store.get('k')).fill(0);
      expect(await store.get('k')).toEqual(text('first'));
    });

    it('takes the same bytes under the same key again', async () => {
      await store.put('k', text('same'));
      await store.put('k', text('same'));
      expect(await store.get('k')).toEqual(text('same'));
      expect(await keysBelow('')).toEqual(['k']);
    });

    it('reads ranges, shorter only where the object ends', async () => {
      await store.put('k', text('0123456789'));
      expect(await store.getRange('k', 0, 4)).toEqual(text('0123'));
      expect(await store.getRange('k', 7, 3)).toEqual(text('789'));
      expect(await store.getRange('k', 8, 100)).toEqual(text('89'));
      expect(await store.getRange('k', 3, 0)).toHaveLength(0);
      expect(await store.getRange('k', 10, 5)).toHaveLength(0);
      expect(await store.getRange('k', 50, 5)).toHaveLength(0);
    });

    it.each([
      [-1, 5],
      [0, -1],
      [0.5, 1],
      [0, Number.NaN],
    ])('refuses the range %d, %d', async (offset, length) => {
      await store.put('k', text('0123456789'));
      await expect(store.getRange('k', offset, length)).rejects.toEqual(rejectsAs('invalid'));
    });

    it('answers not-found for a missing key, for one below an object and for a folder', async () => {
      await store.put('a/b', text('x'));
      for (const key of ['missing', 'a/b/c', 'a']) {
        await expect(store.get(key)).rejects.toEqual(rejectsAs('not-found'));
        await expect(store.getRange(key, 0, 1)).rejects.toEqual(rejectsAs('not-found'));
        await expect(store.head(key)).rejects.toEqual(rejectsAs('not-found'));
      }
    });

    it.each(['a/b', 'a'])(
      'refuses an object where another needs a folder, unless it has no folders (%s first)',
      async (first) => {
        const second = first === 'a' ? 'a/b' : 'a';
        await store.put(first, text('x'));
        if (underTest.isFlat === true) {
          await store.put(second, text('y'));
          expect(await keysBelow('')).toEqual(['a', 'a/b']);
          return;
        }
        await expect(store.put(second, text('y'))).rejects.toEqual(rejectsAs('invalid'));
        expect(await keysBelow('')).toEqual([first]);
        await store.deleteMany([first]);
        await store.put(second, text('y'));
        expect(await keysBelow('')).toEqual([second]);
      },
    );

    it.each([
      '',
      '/a',
      'a/',
      'a//b',
      '.',
      '..',
      '../a',
      'a/../b',
      'a/./b',
      'a\u0000b',
      'a\nb',
      'a\\b',
      `a/${'x'.repeat(256)}`,
      Array(6).fill('x'.repeat(200)).join('/'),
      '.uploads/a',
      'a\ud800',
    ])('refuses the key %j', async (key) => {
      await expect(store.put(key, text('x'))).rejects.toEqual(rejectsAs('invalid'));
      await expect(store.get(key)).rejects.toEqual(rejectsAs('invalid'));
      await expect(store.head(key)).rejects.toEqual(rejectsAs('invalid'));
      await expect(store.deleteMany([key])).rejects.toEqual(rejectsAs('invalid'));
      expect(() => store.uriOf(key)).toThrowError(rejectsAs('invalid') as Error);
      expect(await keysBelow('')).toEqual([]);
    });

    it('lists in the byte order of whole keys, however folders are nested', async () => {
      const keys = ['a', 'b/c', 'b-c', 'b.c', 'b0', 'b/c.d', 'b/d/e', 'é/x', 'z', '\u{1f30d}', '\uff5e'];
      for (const key of keys) await store.put(key, text(key));
      const sorted = [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
      expect(await keysBelow('')).toEqual(sorted);
      expect(await keysBelow('b')).toEqual(sorted.filter((key) => key.startsWith('b')));
      expect(await keysBelow('b/')).toEqual(['b/c', 'b/c.d', 'b/d/e']);
      expect(await keysBelow('b/c')).toEqual(['b/c', 'b/c.d']);
      expect(await keysBelow('b/d/e')).toEqual(['b/d/e']);
      expect(await keysBelow('nothing/here')).toEqual([]);
    });

    it.each(['../', '/', 'a//b', '.uploads/'])('refuses to list %j', async (prefix) => {
      await expect(keysBelow(prefix)).rejects.toEqual(rejectsAs('invalid'));
    });

    it('tells size and time of what it lists', async () => {
      await store.put('x/y', text('12345'));
      for await (const object of store.list('x/')) expect(object).toEqual(await store.head('x/y'));
    });

    it('deletes many, and minds no missing ones', async () => {
      for (const key of ['a/1', 'a/2', 'a/3']) await store.put(key, text(key));
      await store.deleteMany(['a/1', 'a/3', 'a/9', 'other/none']);
      expect(await keysBelow('')).toEqual(['a/2']);
      await store.deleteMany([]);
      await store.deleteMany(['a/2', 'a/2']);
      expect(await keysBelow('')).toEqual([]);
      await expect(store.get('a/2')).rejects.toEqual(rejectsAs('not-found'));
    });

    it('puts into folders that concurrent deletes empty', async () => {
      for (let round = 0; round < 20; round++) {
        await store.put(`f/g/old-${round}`, text('old'));
        await Promise.all([
          store.deleteMany([`f/g/old-${round}`]),
          store.put(`f/g/new-${round}`, text(`${round}`)),
        ]);
        expect(await store.get(`f/g/new-${round}`)).toEqual(text(`${round}`));
        await store.deleteMany([`f/g/new-${round}`]);
      }
    });

    it('names objects by URI and finds the key of a URI again', async () => {
      for (const key of ['db/t/data/0f.parquet', 'with space/ü%2F?#', 'a']) {
        const uri = store.uriOf(key);
        expect(uri).toMatch(/^[a-z0-9]+:\/\/\S+$/);
        expect(store.keyOf(uri)).toBe(key);
      }
      for (const uri of [
        'ftp://elsewhere/x',
        'file:///etc/passwd',
        'x',
        '',
        's3://other-bucket-of-nobody/a',
      ]) {
        expect(() => store.keyOf(uri)).toThrowError(rejectsAs('invalid') as Error);
      }
    });

    it('does nothing once its signal is aborted', async () => {
      const signal = AbortSignal.abort(new Error('gave up'));
      await expect(store.put('k', text('x'), signal)).rejects.toThrow('gave up');
      await expect(store.get('k', signal)).rejects.toThrow('gave up');
      await expect(store.check(signal)).rejects.toThrow('gave up');
      expect(await keysBelow('')).toEqual([]);
      await expect(store.list('', signal)[Symbol.asyncIterator]().next()).rejects.toThrow('gave up');
    });

    it('passes its check without leaving objects', async () => {
      await store.check();
      expect(await keysBelow('')).toEqual([]);
    });

    it('tells errors by kind', async () => {
      const error = await store.get('missing').catch((caught: unknown) => caught);
      expect(isVarveError(error, 'not-found')).toBe(true);
      expect(String(error)).toContain('missing');
    });
  });
}
