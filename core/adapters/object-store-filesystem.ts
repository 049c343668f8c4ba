import { randomUUID } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { compareUtf8 } from '../model/schema.js';
import type { ObjectInfo, ObjectStore } from '../ports/object-store.js';
import { errorMessage, isVarveError, VarveError } from '../std/errors.js';
import { checkObjectKey, checkObjectPrefix, checkRange, uploadsFolder } from './object-key.js';

/** Bytes of one write call; larger ones stall the disk's queue. */
const writeBytesMax = 2 ** 20;
/** Times that a put makes its folder again after a concurrent delete has removed it. */
const placeAttemptsMax = 8;

/**
 * Objects as files below a folder. A put writes `.uploads/<uuid>`, syncs it, renames it into place and syncs every
 * folder whose entries changed: an object is there whole and durable, or not at all. Folders that become empty are
 * removed. Symbolic links and special files are not objects.
 */
export class FileSystemObjectStore implements ObjectStore {
  readonly #root: string;

  /** @param root folder of the objects; made at the first put or check if it is missing */
  constructor(root: string) {
    this.#root = resolve(root);
  }

  async put(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    checkObjectKey(key);
    signal?.throwIfAborted();
    await this.#guard(`put ${key}`, async () => {
      const uploads = join(this.#root, uploadsFolder);
      await makeFolder(uploads);
      const upload = join(uploads, randomUUID());
      try {
        await writeDurably(upload, bytes, signal);
        await this.#place(upload, this.#pathOf(key));
      } catch (error) {
        await unlink(upload).catch(() => {});
        if (isOutOfPlace(error))
          throw new VarveError('invalid', `put ${key}: got an object where it wants a folder`);
        throw error;
      }
    });
  }

  get(key: string, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#read(key, signal, async (file, size) => readFully(file, 0, size, signal));
  }

  async getRange(key: string, offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange(key, offset, length);
    return this.#read(key, signal, async (file, size) =>
      readFully(file, offset, Math.max(0, Math.min(length, size - offset)), signal),
    );
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo> {
    checkObjectKey(key);
    signal?.throwIfAborted();
    return this.#guard(`head ${key}`, async () => {
      const status = await stat(this.#pathOf(key));
      if (!status.isFile()) throw notFound(key);
      return { key, bytes: status.size, modifiedMs: Math.floor(status.mtimeMs) };
    });
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo> {
    checkObjectPrefix(prefix);
    yield* this.#walk(prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, signal);
  }

  async deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    keys.forEach(checkObjectKey);
    for (const key of keys) {
      signal?.throwIfAborted();
      await this.#guard(`delete ${key}`, () => this.#delete(this.#pathOf(key)));
    }
  }

  localPath(key: string): string {
    checkObjectKey(key);
    return this.#pathOf(key);
  }

  uriOf(key: string): string {
    return pathToFileURL(this.localPath(key)).href;
  }

  keyOf(uri: string): string {
    const path = filePathOf(uri);
    const key = path === undefined ? '' : relative(this.#root, path).split(sep).join('/');
    if (path === undefined || key === '' || key.startsWith('../')) {
      const wanted = `${pathToFileURL(this.#root).href}/…`;
      throw new VarveError('invalid', `got object URI ${uri}; want one of this store, ${wanted}`);
    }
    checkObjectKey(key);
    return key;
  }

  async check(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const probe = join(this.#root, uploadsFolder, randomUUID());
    try {
      await makeFolder(dirname(probe));
      await writeDurably(probe, new Uint8Array(1), signal);
      await unlink(probe);
    } catch (error) {
      signal?.throwIfAborted();
      throw new VarveError(
        'unavailable',
        `object store ${this.#root}: cannot write there (${errorMessage(error)}); ` +
          'want a folder that this user may write to, on a volume with free space',
        { cause: error },
      );
    }
  }

  #pathOf(key: string): string {
    return join(this.#root, ...key.split('/'));
  }

  /** Moves a finished upload to its name. */
  async #place(upload: string, path: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await makeFolder(dirname(path));
      try {
        await rename(upload, path);
        await syncFolder(dirname(path));
        return;
      } catch (error) {
        // A concurrent delete may have removed the folder, empty until now, under our feet.
        if (systemErrorCode(error) !== 'ENOENT' || attempt === placeAttemptsMax) throw error;
      }
    }
  }

  async #read(
    key: string,
    signal: AbortSignal | undefined,
    read: (file: FileHandle, size: number) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    checkObjectKey(key);
    signal?.throwIfAborted();
    return this.#guard(`get ${key}`, async () => {
      const file = await open(this.#pathOf(key), 'r');
      try {
        const status = await file.stat();
        if (!status.isFile()) throw notFound(key);
        return await read(file, status.size);
      } finally {
        await file.close();
      }
    });
  }

  /** Objects below `folder` (a key prefix that is empty or ends in a slash) whose keys start with `prefix`. */
  async *#walk(folder: string, prefix: string, signal: AbortSignal | undefined): AsyncGenerator<ObjectInfo> {
    signal?.throwIfAborted();
    const entries = await this.#entries(folder);
    for (const entry of entries) {
      const key = folder + entry.name;
      if (key === uploadsFolder) continue;
      if (entry.isDirectory()) {
        const inner = `${key}/`;
        if (inner.startsWith(prefix) || prefix.startsWith(inner)) yield* this.#walk(inner, prefix, signal);
      } else if (entry.isFile() && key.startsWith(prefix)) {
        const found = await this.head(key, signal).catch(ignoreNotFound);
        if (found !== undefined) yield found;
      }
    }
  }

  /** Entries in the order of the keys below them: a folder stands where its name and a slash stand. */
  #entries(folder: string): Promise<Dirent[]> {
    return this.#guard(`list ${folder}`, async () => {
      try {
        const entries = await readdir(join(this.#root, folder), { withFileTypes: true });
        const sortKey = (entry: Dirent): string => (entry.isDirectory() ? `${entry.name}/` : entry.name);
        return entries.sort((left, right) => compareUtf8(sortKey(left), sortKey(right)));
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
    });
  }

  /** Removes the file and then each folder above it that is empty. */
  async #delete(path: string): Promise<void> {
    try {
      await unlink(path);
    } catch (error) {
      if (isMissing(error) || systemErrorCode(error) === 'EISDIR') return;
      throw error;
    }
    for (let folder = dirname(path); folder !== this.#root; folder = dirname(folder)) {
      try {
        await rmdir(folder);
      } catch {
        return;
      }
    }
  }

  /** Gives failures of system calls their kind. */
  async #guard<T>(doing: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      throw new VarveError(kindOf(code), `${doing} in ${this.#root}: ${errorMessage(error)}`, {
        cause: error,
      });
    }
  }
}

function kindOf(code: string): 'not-found' | 'exhausted' | 'unavailable' {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'not-found';
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return 'exhausted';
    default:
      return 'unavailable';
  }
}

/** The error code of a failed system call, such as `ENOENT`. */
function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function isMissing(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** A put met an object where its key wants a folder, or the other way round. */
function isOutOfPlace(error: unknown): boolean {
  return ['ENOTDIR', 'EEXIST', 'EISDIR', 'ENOTEMPTY'].includes(systemErrorCode(error) ?? '');
}

function notFound(key: string): VarveError {
  return new VarveError('not-found', `object ${key} does not exist`);
}

function ignoreNotFound(error: unknown): undefined {
  if (!isVarveError(error, 'not-found')) throw error;
  return undefined;
}

function filePathOf(uri: string): string | undefined {
  try {
    return fileURLToPath(uri);
  } catch {
    return undefined;
  }
}

/** Makes the folder and its parents; what was made is durable. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === first) return;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeDurably(path: string, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  const file = await open(path, 'wx');
  try {
    for (let at = 0; at < bytes.length; ) {
      signal?.throwIfAborted();
      const { bytesWritten } = await file.write(bytes, at, Math.min(writeBytesMax, bytes.length - at));
      at += bytesWritten;
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

async function readFully(
  file: FileHandle,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const into = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(into, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return into.subarray(0, filled);
}
