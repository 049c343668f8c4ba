import { mkdir, open as openFile, statfs } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, resolve } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import type { MetaDeleteResult, MetaItem, MetaPutResult, MetaStore } from '../ports/meta-store.js';
import { errorMessage, isVarveError, VarveError } from '../std/errors.js';
import { checkMetaKey, checkMetaPrefix, checkMetaValue } from './meta-key.js';

/** With less than this left on the volume, a write that did not fit is the likely cause of a failed commit. */
const spareBytesMin = 4 * 2 ** 20;

type Items = RootDatabase<string, Buffer>;

/**
 * Items in an LMDB file, shared by the threads and processes of one machine.
 *
 * Atomic: comparison and write are one conditional write, carried out by LMDB's writer under its lock, which is
 * common to all processes. Durable: with `overlappingSync` off a write resolves after the data pages were
 * fdatasynced and the meta page was written through O_DSYNC. Fresh: each read drops the read transaction of the
 * event turn first, so that it sees what other processes committed before it began.
 */
export class LmdbMetaStore implements MetaStore {
  readonly #folder: string;
  readonly #items: Items;
  readonly #writes = new Set<Promise<unknown>>();
  #closed = false;

  private constructor(folder: string, items: Items) {
    this.#folder = folder;
    this.#items = items;
  }

  /** Opens or makes the store in `folder`. Fails with `unavailable` when that cannot be written. */
  static async open(folder: string): Promise<LmdbMetaStore> {
    const path = resolve(folder);
    try {
      const first = await mkdir(path, { recursive: true });
      const items: Items = open({
        path,
        noSubdir: false,
        encoding: 'string',
        keyEncoding: 'binary',
        useVersions: true,
        overlappingSync: false,
        // Batches by turns leave a promise that nobody hears when a commit fails, which would end the process.
        eventTurnBatching: false,
        cache: false,
      });
      await syncFolders(path, first === undefined ? path : dirname(first));
      return new LmdbMetaStore(path, items);
    } catch (error) {
      throw new VarveError(
        'unavailable',
        `meta store ${path}: cannot open it (${errorMessage(error)}); want a local folder that this user may write to`,
        { cause: error },
      );
    }
  }

  async get(key: string, signal?: AbortSignal): Promise<MetaItem | undefined> {
    checkMetaKey(key);
    signal?.throwIfAborted();
    return this.#guard(`get ${key}`, () => {
      this.#items.resetReadTxn();
      const entry = this.#items.getEntry(Buffer.from(key));
      return entry === undefined ? undefined : toItem(key, entry);
    });
  }

  async range(prefix: string, signal?: AbortSignal): Promise<readonly MetaItem[]> {
    checkMetaPrefix(prefix);
    signal?.throwIfAborted();
    return this.#guard(`range ${prefix}`, () => {
      this.#items.resetReadTxn();
      const start = Buffer.from(prefix);
      const entries = this.#items.getRange({ start, end: afterPrefix(start), versions: true });
      return Array.from(entries, (entry) => toItem(entry.key.toString(), entry));
    });
  }

  async put(
    key: string,
    value: string,
    expectedVersion: number | null,
    signal?: AbortSignal,
  ): Promise<MetaPutResult> {
    checkMetaKey(key);
    checkMetaValue(key, value);
    signal?.throwIfAborted();
    const bytes = Buffer.from(key);
    const version = (expectedVersion ?? 0) + 1;
    const applied = await this.#write(`put ${key}`, () =>
      expectedVersion === null
        ? this.#items.ifNoExists(bytes, () => {
            this.#items.put(bytes, value, version);
          })
        : this.#items.put(bytes, value, version, expectedVersion),
    );
    return applied ? { kind: 'applied', version } : { kind: 'conflict' };
  }

  async delete(key: string, expectedVersion: number, signal?: AbortSignal): Promise<MetaDeleteResult> {
    checkMetaKey(key);
    signal?.throwIfAborted();
    const applied = await this.#write(`delete ${key}`, () =>
      this.#items.remove(Buffer.from(key), expectedVersion),
    );
    return applied ? { kind: 'applied' } : { kind: 'conflict' };
  }

  /** Takes the writers' lock and gives it back, which fails when the file or its folder is gone. */
  async check(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await this.#write('check', () => this.#items.transaction(() => true));
  }

  /** Waits for writes under way; every later call fails with `unavailable`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#writes);
    await this.#items.close();
  }

  async #write(doing: string, start: () => Promise<boolean>): Promise<boolean> {
    return this.#guard(doing, async () => {
      const write = start();
      this.#writes.add(write);
      try {
        return await write;
      } finally {
        this.#writes.delete(write);
      }
    });
  }

  async #guard<T>(doing: string, action: () => T | Promise<T>): Promise<T> {
    if (this.#closed)
      throw new VarveError('unavailable', `${doing}: the meta store ${this.#folder} is closed`);
    try {
      return await action();
    } catch (error) {
      if (isVarveError(error)) throw error;
      const cause = await causeOf(error);
      const kind = (await this.#isFull(cause)) ? 'exhausted' : 'unavailable';
      throw new VarveError(kind, `${doing} in meta store ${this.#folder}: ${errorMessage(cause)}`, { cause });
    }
  }

  /** Whether the volume is full. LMDB reports a write that fits in part as an input/output error. */
  async #isFull(cause: unknown): Promise<boolean> {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    const { ENOSPC, EDQUOT, EFBIG, EIO } = constants.errno;
    if (code === ENOSPC || code === EDQUOT || code === EFBIG) return true;
    if (code !== EIO) return false;
    const volume = await statfs(this.#folder).catch(() => undefined);
    return volume !== undefined && volume.bavail * volume.bsize < spareBytesMin;
  }
}

/** What made a commit fail: LMDB hands it on as a promise of its own, which rejects in the same turn of the event loop. */
async function causeOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  const cause = Promise.resolve(error.commitError).catch((rejected: unknown) => rejected);
  const turn = new Promise((resolve) => setImmediate(() => resolve(error)));
  return Promise.race([cause, turn]);
}

function toItem(key: string, entry: { readonly value: string; readonly version?: number }): MetaItem {
  if (entry.version === undefined) throw new VarveError('corrupt', `meta store item ${key} has no version`);
  return { key, value: entry.value, version: entry.version };
}

/** The first byte string after all those that begin with `prefix`; UTF-8 has no byte 0xff, so the last one can grow. */
function afterPrefix(prefix: Buffer): Buffer {
  const after = Buffer.from(prefix);
  const last = after.length - 1;
  after[last] = (after[last] ?? 0) + 1;
  return after;
}

/** Makes the entries from `folder` up to `last` durable, LMDB's new files among them. */
async function syncFolders(folder: string, last: string): Promise<void> {
  for (let at = folder; ; at = dirname(at)) {
    const handle = await openFile(at, 'r');
    await handle.sync().finally(() => handle.close());
    if (at === last) return;
  }
}
