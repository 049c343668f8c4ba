/**
 * Object storage. Keys are slash-separated, unique (content hash or time-ordered id) and never overwritten with
 * other bytes, so no conditional put is needed: the commit point is a compare-and-set in the MetaStore.
 *
 * Errors: `not-found` (get, getRange, head of a missing key), `unavailable` (retry later), `exhausted` (no space).
 */
export interface ObjectStore {
  /** Stores the whole object; when it resolves the object is durable. Putting the same bytes again is harmless. */
  put(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void>;
  get(key: string, signal?: AbortSignal): Promise<Uint8Array>;
  /** Bytes [offset, offset + length); shorter only where the object ends. */
  getRange(key: string, offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  head(key: string, signal?: AbortSignal): Promise<ObjectInfo>;
  /** Every object whose key starts with `prefix`, in key order. For clean-up and tools, never to decide what data is. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo>;
  /** Removes objects; missing ones are no error. */
  deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void>;
  /** The object as a path on this machine that another library may read, or undefined where there is none. */
  localPath(key: string): string | undefined;
  /** Where `key` is for other programs: file:///…, s3://bucket/…; what Iceberg metadata records. */
  uriOf(key: string): string;
  /** The key of a URI that uriOf made; `invalid` for any other. */
  keyOf(uri: string): string;
  /** Resolves when the store can be used; rejects with `unavailable`, naming the resource and the remedy. */
  check(signal?: AbortSignal): Promise<void>;
}

export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}
