import type { MetaStore } from '../ports/meta-store.js';
import type { ObjectInfo, ObjectStore } from '../ports/object-store.js';

/**
 * Told of the work that stores are given. Operations are the names of the ports' calls (`put`, `getRange`, …);
 * requests are what a cloud store would be sent for them when nothing fails, large objects in one request.
 */
export interface StoreCounter {
  /** A call begins. */
  readonly request: (operation: string, requests: number) => void;
  /** Bytes of content, keys left out: `sent` to the store or `received` from it. */
  readonly bytes: (operation: string, direction: 'sent' | 'received', bytes: number) => void;
}

/** What one operation has added up to. */
export interface StoreTally {
  readonly requests: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

const nothing: StoreTally = { requests: 0, bytesSent: 0, bytesReceived: 0 };
/** Keys that one request lists or deletes. */
const batchMax = 1000;

/** Adds up in memory, for benches and tests. */
export class StoreTallies implements StoreCounter {
  readonly #tallies = new Map<string, StoreTally>();

  readonly request = (operation: string, requests: number): void => {
    const tally = this.of(operation);
    this.#tallies.set(operation, { ...tally, requests: tally.requests + requests });
  };

  readonly bytes = (operation: string, direction: 'sent' | 'received', bytes: number): void => {
    const tally = this.of(operation);
    this.#tallies.set(
      operation,
      direction === 'sent'
        ? { ...tally, bytesSent: tally.bytesSent + bytes }
        : { ...tally, bytesReceived: tally.bytesReceived + bytes },
    );
  };

  /** What an operation has added up to so far. */
  of(operation: string): StoreTally {
    return this.#tallies.get(operation) ?? nothing;
  }

  /** Requests by operation, operations without any left out. */
  requests(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#tallies].map(([operation, tally]) => [operation, tally.requests]));
  }
}

/** The store, with every call counted. */
export function countingObjectStore(store: ObjectStore, counter: StoreCounter): ObjectStore {
  const received = (operation: string, bytes: Uint8Array): Uint8Array => {
    counter.bytes(operation, 'received', bytes.length);
    return bytes;
  };
  return {
    put: async (key, bytes, signal) => {
      counter.request('put', 1);
      await store.put(key, bytes, signal);
      counter.bytes('put', 'sent', bytes.length);
    },
    get: async (key, signal) => {
      counter.request('get', 1);
      return received('get', await store.get(key, signal));
    },
    getRange: async (key, offset, length, signal) => {
      counter.request('getRange', 1);
      return received('getRange', await store.getRange(key, offset, length, signal));
    },
    head: (key, signal) => {
      counter.request('head', 1);
      return store.head(key, signal);
    },
    list: (prefix, signal) => countPages(store.list(prefix, signal), counter),
    deleteMany: (keys, signal) => {
      counter.request('deleteMany', Math.ceil(keys.length / batchMax));
      return store.deleteMany(keys, signal);
    },
    localPath: (key) => store.localPath(key),
    uriOf: (key) => store.uriOf(key),
    keyOf: (uri) => store.keyOf(uri),
    check: (signal) => {
      counter.request('check', 1);
      return store.check(signal);
    },
  };
}

async function* countPages(
  objects: AsyncIterable<ObjectInfo>,
  counter: StoreCounter,
): AsyncGenerator<ObjectInfo> {
  let seen = 0;
  counter.request('list', 1);
  for await (const object of objects) {
    if (seen > 0 && seen % batchMax === 0) counter.request('list', 1);
    seen++;
    yield object;
  }
}

/** The store, with every call counted. */
export function countingMetaStore(store: MetaStore, counter: StoreCounter): MetaStore {
  return {
    get: async (key, signal) => {
      counter.request('get', 1);
      const item = await store.get(key, signal);
      counter.bytes('get', 'received', item === undefined ? 0 : Buffer.byteLength(item.value));
      return item;
    },
    range: async (prefix, signal) => {
      counter.request('range', 1);
      const items = await store.range(prefix, signal);
      const bytes = items.reduce((sum, item) => sum + Buffer.byteLength(item.value), 0);
      counter.bytes('range', 'received', bytes);
      return items;
    },
    put: async (key, value, expectedVersion, signal) => {
      counter.request('put', 1);
      const result = await store.put(key, value, expectedVersion, signal);
      counter.bytes('put', 'sent', Buffer.byteLength(value));
      return result;
    },
    delete: (key, expectedVersion, signal) => {
      counter.request('delete', 1);
      return store.delete(key, expectedVersion, signal);
    },
    check: (signal) => {
      counter.request('check', 1);
      return store.check(signal);
    },
    close: () => store.close(),
  };
}
