import { describe, expect, it } from 'vitest';
import { type RecordCodec, RecordStore } from '../../../core/catalog/record-store.js';
import { openCatalog } from './fixture.js';

const counter: RecordCodec<number> = { encode: String, decode: (_, text) => Number(text) };

describe('a record under compare-and-set', () => {
  it('loses no increment among many at once', async () => {
    const records = new RecordStore(openCatalog());
    const increments = Array.from({ length: 20 }, () =>
      records.change('n', counter, (current) => ({ next: (current?.value ?? 0) + 1, outcome: undefined })),
    );
    const versions = (await Promise.all(increments)).map((changed) => changed.record?.version);
    expect(new Set(versions).size).toBe(20);
    expect(await records.read('n', counter)).toEqual({ value: 20, version: 20 });
  });

  it('writes nothing when there is nothing to change', async () => {
    const records = new RecordStore(openCatalog());
    const kept = await records.change('n', counter, () => ({ next: undefined, outcome: 'kept' }));
    expect(kept).toEqual({ outcome: 'kept', record: undefined });
    expect(await records.read('n', counter)).toBeUndefined();
  });

  it('gives up when others keep coming first, and says so', async () => {
    const fixture = openCatalog();
    const records = new RecordStore(fixture);
    const interloper = new RecordStore(fixture);
    let attempts = 0;
    // Each look at the record is followed by another writer's change before the put.
    const { store } = fixture;
    const racing = new RecordStore({
      ...fixture,
      store: {
        get: async (key) => {
          const item = await store.get(key);
          attempts++;
          await interloper.change(key, counter, (current) => ({
            next: (current?.value ?? 0) + 1,
            outcome: null,
          }));
          return item;
        },
        range: (prefix) => store.range(prefix),
        put: (key, value, version) => store.put(key, value, version),
        delete: (key, version) => store.delete(key, version),
        check: () => store.check(),
        close: () => store.close(),
      },
    });
    await expect(racing.change('n', counter, () => ({ next: -1, outcome: undefined }))).rejects.toMatchObject(
      { kind: 'unavailable', retryAfterSeconds: 1 },
    );
    expect(attempts).toBe(30);
    expect((await records.read('n', counter))?.value).toBe(30);
    expect(fixture.clock.monotonicMs()).toBeGreaterThan(0);
  });

  it('stops waiting when its signal is aborted', async () => {
    const fixture = openCatalog();
    const records = new RecordStore(fixture);
    const signal = AbortSignal.abort(new Error('gave up'));
    await expect(
      records.change('n', counter, () => ({ next: 1, outcome: undefined }), signal),
    ).rejects.toThrow('gave up');
  });
});
