import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import { MemoryObjectStore } from '../../../core/adapters/object-store-memory.js';
import type { DataFile } from '../../../core/iceberg/types.js';
import { VarveError } from '../../../core/std/errors.js';
import { ParquetFiles } from '../../../query/cache/parquet-files.js';
import { pinFiles } from '../../../query/cache/pinned-files.js';
import { noQueryMetrics } from '../../../query/query-metrics.js';

let objects: MemoryObjectStore;
let disk: MemoryDisk;
let gets: string[];
let hits: number;
let misses: number;

beforeEach(() => {
  gets = [];
  hits = 0;
  misses = 0;
  objects = new MemoryObjectStore({ clock: new SimulatedClock() });
  disk = new MemoryDisk();
  const get = objects.get.bind(objects);
  objects.get = (key, signal) => {
    gets.push(key);
    return get(key, signal);
  };
});

async function open(bytesMax: number): Promise<ParquetFiles> {
  const metrics = { ...noQueryMetrics, cacheHit: () => hits++, cacheMiss: () => misses++ };
  const files = new ParquetFiles({ objects, disk, root: '/cache', bytesMax, metrics });
  await files.start();
  return files;
}

/** A file of ten bytes in the object store. */
async function stored(name: string): Promise<DataFile> {
  const bytes = Buffer.from(name.padEnd(10));
  const contentHash = createHash('sha256').update(bytes).digest('hex');
  await objects.put(`data/${name}`, bytes);
  return { key: `data/${name}`, contentHash, bytes: bytes.length } as DataFile;
}

const held = (): Promise<readonly string[]> => disk.list('');
const never = new AbortController().signal;

describe('the cache of data files', () => {
  test('fetches a file once and names it by its content', async () => {
    const files = await open(100);
    const a = await stored('a');
    const pins = await Promise.all([files.pin(a), files.pin(a)]);
    expect(pins.map((pin) => pin.path)).toEqual(Array(2).fill(`/cache/${a.contentHash}.parquet`));
    await files.pin(a);
    expect([gets, hits, misses]).toEqual([['data/a'], 2, 1]);
    expect(await held()).toEqual([`${a.contentHash}.parquet`]);
  });

  test('lets the least recently used go, never one that is read', async () => {
    const files = await open(20);
    const [a, b, c, d] = await Promise.all(['a', 'b', 'c', 'd'].map(stored));
    const reading = await files.pin(a!);
    for (const file of [b!, c!, d!]) (await files.pin(file)).release();
    expect(await held()).toEqual([a!, d!].map((file) => `${file.contentHash}.parquet`).sort());
    reading.release();
    reading.release();
    (await files.pin(b!)).release();
    (await files.pin(c!)).release();
    expect(await held()).toEqual([b!, c!].map((file) => `${file.contentHash}.parquet`).sort());
    expect(misses).toBe(6);
  });

  test('says so when what is read fills it, and serves again afterwards', async () => {
    const files = await open(20);
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map(stored));
    const pinned = await pinFiles(files, [a!, b!], never);
    await expect(files.pin(c!)).rejects.toMatchObject({ kind: 'exhausted' });
    await expect(pinFiles(files, [c!], never)).rejects.toMatchObject({ kind: 'exhausted' });
    pinned.release();
    expect((await files.pin(c!)).path).toContain(c!.contentHash);
  });

  test('a failed fetch leaves nothing behind and is tried again', async () => {
    const files = await open(100);
    const a = await stored('a');
    const get = objects.get;
    objects.get = async () => {
      throw new VarveError('unavailable', 'the store is away');
    };
    await expect(Promise.all([files.pin(a), files.pin(a)])).rejects.toMatchObject({ kind: 'unavailable' });
    objects.get = get;
    (await files.pin(a)).release();
    expect(await held()).toEqual([`${a.contentHash}.parquet`]);
  });

  test('a missing file is not found, and files pinned with it are let go', async () => {
    const files = await open(20);
    const [a, b] = await Promise.all(['a', 'b'].map(stored));
    const gone = { ...b!, key: 'data/gone', contentHash: 'ff' } as DataFile;
    await expect(pinFiles(files, [a!, gone], never)).rejects.toMatchObject({ kind: 'not-found' });
    const both = await pinFiles(files, [b!, await stored('c')], never);
    both.release();
  });

  test('a caller that goes away does not end the fetch for the others', async () => {
    const files = await open(100);
    const a = await stored('a');
    const abort = new AbortController();
    const leaving = files.pin(a, abort.signal);
    const staying = files.pin(a);
    abort.abort(new VarveError('cancelled', 'gone'));
    await expect(leaving).rejects.toMatchObject({ kind: 'cancelled' });
    expect((await staying).path).toContain(a.contentHash);
  });

  test('a start takes up what is there, removes what was half fetched, and keeps the limit', async () => {
    const files = await open(100);
    const all = await Promise.all(['a', 'b', 'c'].map(stored));
    for (const file of all) (await files.pin(file)).release();
    const half = await disk.open('ab.loading', 'create');
    await half.close();
    gets = [];
    const again = await open(25);
    expect((await held()).length).toBe(2);
    expect(await held()).not.toContain('ab.loading');
    for (const file of all) (await again.pin(file)).release();
    expect(gets.length).toBeGreaterThan(0);
  });

  test('a file that has a path is read where it is', async () => {
    const files = await open(100);
    const a = await stored('a');
    Object.assign(objects, { localPath: (key: string) => `/settled/${key}` });
    const pin = await files.pin(a);
    expect(pin.path).toBe('/settled/data/a');
    expect([gets, await held()]).toEqual([[], []]);
  });
});
