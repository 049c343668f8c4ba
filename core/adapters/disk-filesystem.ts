import { type FileHandle, mkdir, open, readdir, rename, statfs, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Disk, DiskFile } from '../ports/disk.js';
import { type ErrorKind, errorMessage, VarveError } from '../std/errors.js';
import { checkDiskPath } from './disk-path.js';

/** A folder of the machine's file system as a Disk. */
export class FileSystemDisk implements Disk {
  readonly #root: string;

  /** @param root folder that all paths lie below; makeDirectory makes it with what it makes */
  constructor(root: string) {
    this.#root = resolve(root);
  }

  async makeDirectory(path: string): Promise<void> {
    const full = this.#pathOf(path);
    await guard(`making directory ${full}`, async () => {
      const first = await mkdir(full, { recursive: true });
      if (first !== undefined) await this.#syncAboveRoot(first);
    });
  }

  async list(path: string): Promise<readonly string[]> {
    const full = this.#pathOf(path);
    return guard(`listing ${full}`, async () => {
      const names = await readdir(full).catch((error: unknown) => {
        if (codeOf(error) === 'ENOENT') return [];
        throw error;
      });
      return names.sort();
    });
  }

  async open(path: string, mode: 'existing' | 'create'): Promise<DiskFile> {
    const full = this.#pathOf(path);
    const handle = await guard(`opening ${full}`, () => open(full, mode === 'create' ? 'wx+' : 'r+'));
    return new FileSystemDiskFile(full, handle);
  }

  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [this.#pathOf(from), this.#pathOf(to)];
    await guard(`renaming ${source} to ${target}`, () => rename(source, target));
  }

  async remove(path: string): Promise<void> {
    const full = this.#pathOf(path);
    await guard(`removing ${full}`, () => unlink(full));
  }

  async syncDirectory(path: string): Promise<void> {
    const full = this.#pathOf(path);
    await guard(`syncing directory ${full}`, () => syncDirectory(full));
  }

  async freeBytes(): Promise<number> {
    return guard(`asking for the free space of ${this.#root}`, async () => {
      const { bavail, bsize } = await statfs(this.#root);
      return bavail * bsize;
    });
  }

  /** The root itself, and what above it was made with it, is nobody's to sync but this disk's. */
  async #syncAboveRoot(firstMade: string): Promise<void> {
    for (let made = this.#root; made.length >= firstMade.length; made = dirname(made)) {
      await syncDirectory(dirname(made));
    }
  }

  #pathOf(path: string): string {
    checkDiskPath(path);
    return join(this.#root, path);
  }
}

class FileSystemDiskFile implements DiskFile {
  readonly #path: string;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  async size(): Promise<number> {
    return guard(`asking for the size of ${this.#path}`, async () => (await this.#handle.stat()).size);
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    return guard(`reading ${this.#path} at ${offset}`, async () => {
      let done = 0;
      while (done < into.length) {
        const { bytesRead } = await this.#handle.read(into, done, into.length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    });
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    await guard(`writing ${bytes.length} bytes to ${this.#path} at ${offset}`, async () => {
      let done = 0;
      while (done < bytes.length) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
      }
    });
  }

  async truncate(size: number): Promise<void> {
    await guard(`truncating ${this.#path} to ${size}`, () => this.#handle.truncate(size));
  }

  async sync(): Promise<void> {
    await guard(`syncing ${this.#path}`, () => this.#handle.datasync());
  }

  async close(): Promise<void> {
    await guard(`closing ${this.#path}`, () => this.#handle.close());
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const kindsByCode: Readonly<Record<string, ErrorKind>> = {
  ENOENT: 'not-found',
  EEXIST: 'conflict',
  ENOSPC: 'exhausted',
  EDQUOT: 'exhausted',
};

/** Runs a call on the file system and gives its failure a kind and a description of what was being done. */
async function guard<T>(doing: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const kind = kindsByCode[codeOf(error)] ?? 'unavailable';
    throw new VarveError(kind, `${doing}: ${errorMessage(error)}`, { cause: error });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
