import type { DataFile } from '../../core/iceberg/types.js';
import type { Disk } from '../../core/ports/disk.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import type { QueryMetrics } from '../query-metrics.js';

/** A data file that stays where it is until it is released. */
export interface PinnedFile {
  readonly path: string;
  release(): void;
}

export interface ParquetFilesOptions {
  readonly objects: ObjectStore;
  /** The cache's own directory, for stores whose objects have no path on this machine. */
  readonly disk: Disk;
  /** Absolute path of the disk's root; the engine may read it. */
  readonly root: string;
  readonly bytesMax: number;
  readonly metrics: QueryMetrics;
}

interface CacheEntry {
  readonly bytes: number;
  readonly loaded: Promise<void>;
  pins: number;
}

const suffix = '.parquet';
const loadingSuffix = '.loading';

/**
 * Settled files as paths that the engine reads. A file of a local object store is where it is; any other is fetched
 * into a bounded cache, least recently used out first, named by its content hash, so that it never goes stale. A file
 * that is being fetched is fetched once; one that a query reads is not removed.
 */
export class ParquetFiles {
  readonly #objects: ObjectStore;
  readonly #disk: Disk;
  readonly #root: string;
  readonly #bytesMax: number;
  readonly #metrics: QueryMetrics;
  /** By content hash, least recently used first. */
  readonly #entries = new Map<string, CacheEntry>();
  /** Removals under way: a file must not be fetched anew while its old bytes are being removed. */
  readonly #removals = new Map<string, Promise<void>>();
  #bytes = 0;

  constructor(options: ParquetFilesOptions) {
    this.#objects = options.objects;
    this.#disk = options.disk;
    this.#root = options.root;
    this.#bytesMax = options.bytesMax;
    this.#metrics = options.metrics;
  }

  /** Takes up what an earlier process left; half-fetched files go. Call once, before `pin`. */
  async start(): Promise<void> {
    await this.#disk.makeDirectory('');
    for (const name of await this.#disk.list('')) {
      if (name.endsWith(loadingSuffix)) await this.#disk.remove(name);
      if (!name.endsWith(suffix)) continue;
      const file = await this.#disk.open(name, 'existing');
      const bytes = await file.size();
      await file.close();
      this.#entries.set(name.slice(0, -suffix.length), { bytes, loaded: Promise.resolve(), pins: 0 });
      this.#bytes += bytes;
    }
    await this.#evict();
  }

  /** Pins a file, fetching it if need be. `exhausted` when the files that queries read now fill the cache. */
  async pin(file: DataFile, signal?: AbortSignal): Promise<PinnedFile> {
    const local = this.#objects.localPath(file.key);
    if (local !== undefined) return { path: local, release: () => {} };
    const hash = file.contentHash;
    const known = this.#entries.get(hash);
    const entry = known ?? { bytes: file.bytes, loaded: this.#fetch(file), pins: 0 };
    if (known === undefined) this.#metrics.cacheMiss(file.bytes);
    else this.#metrics.cacheHit(file.bytes);
    entry.pins += 1;
    this.#entries.delete(hash);
    this.#entries.set(hash, entry);
    if (known === undefined) this.#bytes += entry.bytes;
    let isPinned = true;
    const release = (): void => {
      if (isPinned) entry.pins -= 1;
      isPinned = false;
    };
    try {
      await untilAborted(entry.loaded, signal);
    } catch (error) {
      release();
      throw error;
    }
    return { path: `${this.#root}/${hash}${suffix}`, release };
  }

  /** One fetch, whoever waits for it: not tied to the signal of the query that happened to come first. */
  async #fetch(file: DataFile): Promise<void> {
    const hash = file.contentHash;
    try {
      // Leaves the caller's turn first, so that the entry stands in the map when room is made for it.
      await Promise.resolve();
      await this.#removals.get(hash);
      await this.#evict();
      if (this.#bytes > this.#bytesMax) {
        throw new VarveError(
          'exhausted',
          `query: reading ${file.key} takes ${file.bytes} bytes; the cache of ${this.#bytesMax} bytes is full of files being read`,
          { retryAfterSeconds: 1 },
        );
      }
      await this.#write(hash, await this.#objects.get(file.key));
    } catch (error) {
      if (this.#entries.delete(hash)) this.#bytes -= file.bytes;
      if (isVarveError(error)) throw error;
      throw new VarveError('unavailable', `query: fetching ${file.key}: ${errorMessage(error)}`, {
        cause: error,
      });
    }
  }

  async #write(hash: string, bytes: Uint8Array): Promise<void> {
    const loading = `${hash}${loadingSuffix}`;
    const left = await this.#disk.list('');
    if (left.includes(loading)) await this.#disk.remove(loading);
    const file = await this.#disk.open(loading, 'create');
    try {
      await file.write(bytes, 0);
    } finally {
      await file.close();
    }
    await this.#disk.rename(loading, `${hash}${suffix}`);
  }

  /** Removes files that no query reads, until the limit is kept. */
  async #evict(): Promise<void> {
    for (const [hash, entry] of this.#entries) {
      if (this.#bytes <= this.#bytesMax) return;
      if (entry.pins > 0) continue;
      this.#entries.delete(hash);
      this.#bytes -= entry.bytes;
      const removal = this.#disk.remove(`${hash}${suffix}`).finally(() => this.#removals.delete(hash));
      this.#removals.set(hash, removal);
      await removal;
    }
  }
}

async function untilAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
