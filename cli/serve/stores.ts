import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LmdbMetaStore } from '../../core/adapters/meta-store-lmdb.js';
import { FileSystemObjectStore } from '../../core/adapters/object-store-filesystem.js';
import { countingMetaStore, countingObjectStore } from '../../core/adapters/store-counters.js';
import type { MetaStore } from '../../core/ports/meta-store.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { VarveError } from '../../core/std/errors.js';
import { openDynamoDb, openS3 } from './aws-stores.js';
import type { StoreMetrics } from './store-metrics.js';

/** Which stores a process uses, in the words of the flags. */
export interface StoreFlags {
  /** `file:PATH` or `s3://bucket/prefix`; empty for a folder in the data directory. */
  readonly objectStore: string;
  /** `lmdb:PATH` or `dynamodb://table`; empty for a folder in the data directory. */
  readonly metaStore: string;
  /** The bucket in the path of URLs; always so where an endpoint of AWS is set. */
  readonly s3PathStyle?: boolean;
  readonly dataDir: string;
}

/** The flags with the defaults put in, so that they can be handed to worker threads as they are. */
export function resolveStoreFlags(flags: StoreFlags): StoreFlags {
  return {
    dataDir: resolve(flags.dataDir),
    objectStore: flags.objectStore === '' ? `file:${resolve(flags.dataDir, 'objects')}` : flags.objectStore,
    s3PathStyle: flags.s3PathStyle ?? false,
    metaStore: flags.metaStore === '' ? `lmdb:${resolve(flags.dataDir, 'meta')}` : flags.metaStore,
  };
}

/** Opens the object store that the flag names. */
export async function openObjectStore(flags: StoreFlags, metrics?: StoreMetrics): Promise<ObjectStore> {
  const root = objectRoot(flags);
  const store =
    root === undefined
      ? await openS3(flags.objectStore, flags.s3PathStyle ?? false, metrics)
      : new FileSystemObjectStore(root);
  return metrics === undefined ? store : countingObjectStore(store, metrics.objects);
}

/** The folder that holds the objects on this machine; undefined when they are elsewhere. */
export function objectRoot(flags: StoreFlags): string | undefined {
  if (flags.objectStore.startsWith('s3://')) return undefined;
  const path = pathOf(flags.objectStore, 'file');
  if (path === undefined) {
    throw new VarveError(
      'invalid',
      `--object-store: got "${flags.objectStore}"; want file:PATH or s3://bucket/prefix`,
    );
  }
  return path;
}

/** Opens the meta store that the flag names. */
export async function openMetaStore(flags: StoreFlags, metrics?: StoreMetrics): Promise<MetaStore> {
  const store = flags.metaStore.startsWith('dynamodb://')
    ? await openDynamoDb(flags.metaStore, metrics)
    : await openLmdb(flags.metaStore);
  return metrics === undefined ? store : countingMetaStore(store, metrics.meta);
}

function openLmdb(url: string): Promise<MetaStore> {
  const path = pathOf(url, 'lmdb');
  if (path === undefined)
    throw new VarveError('invalid', `--meta-store: got "${url}"; want lmdb:PATH or dynamodb://table`);
  return LmdbMetaStore.open(path);
}

/** Where bounded caches and spill files of this process live. */
export function cacheRoot(flags: StoreFlags): string {
  return join(flags.dataDir, 'cache');
}

function pathOf(text: string, scheme: string): string | undefined {
  if (!text.startsWith(`${scheme}:`)) return undefined;
  if (text.startsWith(`${scheme}://`)) {
    return scheme === 'file' ? fileURLToPath(text) : resolve(text.slice(scheme.length + 3));
  }
  return resolve(text.slice(scheme.length + 1));
}
