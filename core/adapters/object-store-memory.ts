import { compareUtf8 } from '../model/schema.js';
import type { Clock } from '../ports/clock.js';
import type { ObjectInfo, ObjectStore } from '../ports/object-store.js';
import { VarveError } from '../std/errors.js';
import { type FaultInjection, type StoreCall, underFaults } from './fault.js';
import { checkObjectKey, checkObjectPrefix, checkRange } from './object-key.js';

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly modifiedMs: number;
}

export interface MemoryObjectStoreOptions extends FaultInjection {
  readonly clock: Clock;
  /** `exhausted` once the objects together would take more; default no limit. */
  readonly capacityBytes?: number;
}

const uriPrefix = 'memory:///';

/** Objects in memory, for tests and simulations. Refuses what the file system store refuses. */
export class MemoryObjectStore implements ObjectStore {
  readonly #objects = new Map<string, StoredObject>();
  /** Objects below each folder. */
  readonly #folders = new Map<string, number>();
  readonly #options: MemoryObjectStoreOptions;

  constructor(options: MemoryObjectStoreOptions) {
    this.#options = options;
  }

  put(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#call({ operation: 'put', key }, signal, () => {
      checkObjectKey(key);
      this.#checkPlace(key);
      this.#checkSpace(key, bytes.length);
      if (!this.#objects.has(key)) this.#countInFolders(key, 1);
      this.#objects.set(key, { bytes: bytes.slice(), modifiedMs: this.#options.clock.nowMs() });
    });
  }

  get(key: string, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#call({ operation: 'get', key }, signal, () => this.#find(key).bytes.slice());
  }

  getRange(key: string, offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#call({ operation: 'getRange', key }, signal, () => {
      checkRange(key, offset, length);
      return this.#find(key).bytes.slice(offset, offset + length);
    });
  }

  head(key: string, signal?: AbortSignal): Promise<ObjectInfo> {
    return this.#call({ operation: 'head', key }, signal, () => info(key, this.#find(key)));
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo> {
    const keys = await this.#call({ operation: 'list', key: prefix }, signal, () => {
      checkObjectPrefix(prefix);
      return [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort(compareUtf8);
    });
    for (const key of keys) {
      signal?.throwIfAborted();
      const stored = this.#objects.get(key);
      if (stored !== undefined) yield info(key, stored);
    }
  }

  deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    return this.#call({ operation: 'deleteMany', key: keys[0] ?? '' }, signal, () => {
      keys.forEach(checkObjectKey);
      for (const key of keys) if (this.#objects.delete(key)) this.#countInFolders(key, -1);
    });
  }

  localPath(_key: string): undefined {
    return undefined;
  }

  uriOf(key: string): string {
    checkObjectKey(key);
    return uriPrefix + key.split('/').map(encodeURIComponent).join('/');
  }

  keyOf(uri: string): string {
    if (!uri.startsWith(uriPrefix)) {
      throw new VarveError('invalid', `got object URI ${uri}; want one that begins with ${uriPrefix}`);
    }
    const key = uri.slice(uriPrefix.length).split('/').map(decodeURIComponent).join('/');
    checkObjectKey(key);
    return key;
  }

  check(signal?: AbortSignal): Promise<void> {
    return this.#call({ operation: 'check', key: '' }, signal, () => {});
  }

  #call<T>(call: StoreCall, signal: AbortSignal | undefined, action: () => T): Promise<T> {
    return underFaults(this.#options, call, signal, action);
  }

  #find(key: string): StoredObject {
    checkObjectKey(key);
    const stored = this.#objects.get(key);
    if (stored === undefined) throw new VarveError('not-found', `object ${key} does not exist`);
    return stored;
  }

  /** A file system cannot hold both `a` and `a/b`, so neither does this store. */
  #checkPlace(key: string): void {
    const file = foldersOf(key).find((folder) => this.#objects.has(folder));
    if (file !== undefined) throw new VarveError('invalid', `put ${key}: ${file} is an object, not a folder`);
    if (this.#folders.has(key)) throw new VarveError('invalid', `put ${key}: objects exist below it`);
  }

  #countInFolders(key: string, change: 1 | -1): void {
    for (const folder of foldersOf(key)) {
      const count = (this.#folders.get(folder) ?? 0) + change;
      if (count === 0) this.#folders.delete(folder);
      else this.#folders.set(folder, count);
    }
  }

  #checkSpace(key: string, bytes: number): void {
    const { capacityBytes } = this.#options;
    if (capacityBytes === undefined) return;
    let used = bytes;
    for (const [other, stored] of this.#objects) if (other !== key) used += stored.bytes.length;
    if (used > capacityBytes) {
      throw new VarveError(
        'exhausted',
        `put ${key}: got ${bytes} bytes; the store holds ${capacityBytes} in all`,
      );
    }
  }
}

function info(key: string, stored: StoredObject): ObjectInfo {
  return { key, bytes: stored.bytes.length, modifiedMs: stored.modifiedMs };
}

/** `a` and `a/b` for `a/b/c`. */
function foldersOf(key: string): string[] {
  const segments = key.split('/');
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join('/'));
}
