import type { Disk, DiskFile } from '../ports/disk.js';
import type { Random } from '../ports/random.js';
import { VarveError } from '../std/errors.js';
import { MemoryInode } from './disk-memory-inode.js';
import { checkDiskPath, parentOfDiskPath } from './disk-path.js';
import { type FaultInjection, type StoreCall, underFaults } from './fault.js';

/** A change of the directory tree that a crash may undo until the directory is synced. */
type NameChange =
  | { readonly kind: 'make-directory'; readonly path: string }
  | { readonly kind: 'create'; readonly path: string; readonly inode: MemoryInode }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string };

type Entry = MemoryInode | 'directory';

export interface MemoryDiskOptions {
  /** Bytes that all files together may have; no limit when absent. Can be changed later. */
  readonly capacityBytes?: number;
  /** Faults by operation (`write`, `sync`, `sync-directory`, `rename`, …) and path. */
  readonly faults?: FaultInjection;
}

/**
 * A simulated disk, strict about durability: what was not synced may be lost, torn by sectors or kept, and names not
 * made durable by syncDirectory may be gone after a crash. A sync that fails has lost what it was to make durable,
 * though reads still show it, as on Linux.
 */
export class MemoryDisk implements Disk {
  /** Bytes that all files together may have. */
  capacityBytes: number;
  faults: FaultInjection;
  readonly #names = new Map<string, Entry>();
  readonly #durableNames = new Map<string, Entry>();
  #pendingNames: NameChange[] = [];
  /** Grows with every crash and kill: handles of an earlier life are dead. */
  #life = 0;
  #operations = 0;
  #powerOffAt = Number.POSITIVE_INFINITY;

  constructor(options: MemoryDiskOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? 2 ** 50;
    this.faults = options.faults ?? {};
  }

  /** Operations tried so far that change something or make it durable. */
  get operations(): number {
    return this.#operations;
  }

  /** Bytes of all files. */
  get usedBytes(): number {
    const inodes = new Set([...this.#names.values()].filter((entry) => entry !== 'directory'));
    return [...inodes].reduce((sum, inode) => sum + inode.size, 0);
  }

  /**
   * The power goes at the `count`-th changing operation from now: that one happens but is not answered, a sync does
   * not happen, and everything later fails with `unavailable`. Call crash() to see what is left.
   */
  losePowerAt(count: number): void {
    this.#powerOffAt = this.#operations + count;
  }

  /** True once losePowerAt has struck. */
  get powerLost(): boolean {
    return this.#operations >= this.#powerOffAt;
  }

  /** The disk as one process sees it: dead, with its files, after the next kill() or crash(). */
  attach(): Disk {
    const life = this.#life;
    const alive = <T>(call: () => Promise<T>): Promise<T> => {
      if (life === this.#life) return call();
      return Promise.reject(new VarveError('unavailable', 'calling a disk: the process has ended'));
    };
    return {
      makeDirectory: (path) => alive(() => this.makeDirectory(path)),
      list: (path) => alive(() => this.list(path)),
      open: (path, mode) => alive(() => this.open(path, mode)),
      rename: (from, to) => alive(() => this.rename(from, to)),
      remove: (path) => alive(() => this.remove(path)),
      syncDirectory: (path) => alive(() => this.syncDirectory(path)),
      freeBytes: () => alive(() => this.freeBytes()),
    };
  }

  /** The process ends: handles die, but what was written stays where it is, durable or not. */
  kill(): void {
    this.#life += 1;
    this.#powerOffAt = Number.POSITIVE_INFINITY;
  }

  /**
   * The machine ends: of what was not synced, `all` or `none` is kept, or each sector and each change of a name by
   * itself with an even chance (`random`).
   */
  crash(keepUnsynced: 'none' | 'all' | Random): void {
    const keep = (): boolean =>
      typeof keepUnsynced === 'string' ? keepUnsynced === 'all' : keepUnsynced.next() < 0.5;
    this.kill();
    for (const change of this.#pendingNames) if (keep()) applyChange(this.#durableNames, change);
    this.#pendingNames = [];
    this.#names.clear();
    for (const [path, entry] of this.#durableNames) {
      // What lies in a directory that was lost is lost with it.
      if (!hasAncestors(this.#durableNames, path)) continue;
      if (entry !== 'directory') entry.crash(keep);
      this.#names.set(path, entry);
    }
    this.#durableNames.clear();
    for (const [path, entry] of this.#names) this.#durableNames.set(path, entry);
  }

  /** The bytes of a file as a reader sees them, for tests that look at formats or damage them. */
  contentOf(path: string): Uint8Array {
    return this.#inodeOf(path).content();
  }

  /** Puts a file there, durable, replacing what was: for tests that build a disk by hand. */
  putFile(path: string, bytes: Uint8Array): void {
    for (let parent = parentOfDiskPath(path); parent !== ''; parent = parentOfDiskPath(parent)) {
      this.#names.set(parent, 'directory');
      this.#durableNames.set(parent, 'directory');
    }
    const inode = new MemoryInode();
    inode.write(bytes, 0);
    inode.makeDurable();
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#change('make-directory', path, () => {
      const parts = path === '' ? [] : path.split('/');
      for (let count = 1; count <= parts.length; count++) {
        const directory = parts.slice(0, count).join('/');
        const entry = this.#names.get(directory);
        if (entry === 'directory') continue;
        if (entry !== undefined) throw new VarveError('unavailable', `${directory} is a file`);
        this.#changeName({ kind: 'make-directory', path: directory });
      }
    });
  }

  list(path: string): Promise<readonly string[]> {
    return this.#look('list', path, () =>
      [...this.#names.keys()]
        .filter((name) => parentOfDiskPath(name) === path)
        .map((name) => name.slice(path === '' ? 0 : path.length + 1))
        .sort(),
    );
  }

  open(path: string, mode: 'existing' | 'create'): Promise<DiskFile> {
    const life = this.#life;
    if (mode === 'existing') {
      return this.#look('open', path, () => new MemoryDiskFile(this, path, this.#inodeOf(path), life));
    }
    return this.#change('create', path, () => {
      if (this.#names.has(path)) throw new VarveError('conflict', `creating ${path}: it is there already`);
      this.#needParent(path);
      const inode = new MemoryInode();
      this.#changeName({ kind: 'create', path, inode });
      return new MemoryDiskFile(this, path, inode, life);
    });
  }

  rename(from: string, to: string): Promise<void> {
    checkDiskPath(to);
    return this.#change('rename', from, () => {
      this.#inodeOf(from);
      this.#needParent(to);
      this.#changeName({ kind: 'rename', from, to });
    });
  }

  remove(path: string): Promise<void> {
    return this.#change('remove', path, () => {
      this.#inodeOf(path);
      this.#changeName({ kind: 'remove', path });
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#sync('sync-directory', path, (kept) => {
      if (!isDirectory(this.#names, path)) throw new VarveError('not-found', `no directory ${path}`);
      const concerned = (change: NameChange): boolean => directoriesOf(change).includes(path);
      if (kept) {
        for (const change of this.#pendingNames) {
          if (concerned(change)) applyChange(this.#durableNames, change);
        }
      }
      this.#pendingNames = this.#pendingNames.filter((change) => !concerned(change));
    });
  }

  freeBytes(): Promise<number> {
    return this.#look('free-bytes', '', () => Math.max(0, this.capacityBytes - this.usedBytes));
  }

  /** Runs a call of a file, which is dead when the disk has crashed since it was opened. */
  async onFile<T>(call: StoreCall & { readonly life: number }, kind: CallKind, action: () => T): Promise<T> {
    const alive = (): T => {
      if (call.life !== this.#life) {
        throw new VarveError('unavailable', `${call.operation} ${call.key}: its process has ended`);
      }
      return action();
    };
    if (kind === 'look') return this.#look(call.operation, call.key, alive);
    return this.#change(call.operation, call.key, alive);
  }

  async onSync(call: StoreCall & { readonly life: number }, inode: MemoryInode): Promise<void> {
    await this.#sync(call.operation, call.key, (kept) => {
      if (call.life !== this.#life) {
        throw new VarveError('unavailable', `sync ${call.key}: its process has ended`);
      }
      if (kept) inode.makeDurable();
      else inode.loseUnsynced();
    });
  }

  async #look<T>(operation: string, path: string, action: () => T): Promise<T> {
    checkDiskPath(path);
    this.#needPower(operation, path);
    return underFaults(this.faults, { operation, key: path }, undefined, this.#unlessEnded(action));
  }

  async #change<T>(operation: string, path: string, action: () => T): Promise<T> {
    checkDiskPath(path);
    this.#needPower(operation, path);
    this.#operations += 1;
    const call = { operation, key: path };
    const result = await underFaults(this.faults, call, undefined, this.#unlessEnded(action));
    this.#needPower(operation, path);
    return result;
  }

  async #sync(operation: string, path: string, action: (kept: boolean) => void): Promise<void> {
    checkDiskPath(path);
    this.#needPower(operation, path);
    this.#operations += 1;
    this.#needPower(operation, path);
    const sync = this.#unlessEnded(() => {
      const fault = this.faults.fail?.({ operation, key: path });
      action(fault === undefined);
      return fault;
    });
    await this.faults.delay?.({ operation, key: path });
    this.#needPower(operation, path);
    const fault = sync();
    if (fault !== undefined) throw fault.error;
  }

  /** A call under way when its process ends never happens. */
  #unlessEnded<T>(action: () => T): () => T {
    const life = this.#life;
    return () => {
      if (life !== this.#life) throw new VarveError('unavailable', 'calling a disk: the process has ended');
      return action();
    };
  }

  #needPower(operation: string, path: string): void {
    if (this.powerLost) throw new VarveError('unavailable', `${operation} ${path}: the power is off`);
  }

  #changeName(change: NameChange): void {
    applyChange(this.#names, change);
    this.#pendingNames.push(change);
  }

  #needParent(path: string): void {
    const parent = parentOfDiskPath(path);
    if (!isDirectory(this.#names, parent)) throw new VarveError('not-found', `no directory ${parent}`);
  }

  #inodeOf(path: string): MemoryInode {
    const entry = this.#names.get(path);
    if (entry === undefined) throw new VarveError('not-found', `no file ${path}`);
    if (entry === 'directory') throw new VarveError('unavailable', `${path} is a directory`);
    return entry;
  }
}

type CallKind = 'look' | 'change';

class MemoryDiskFile implements DiskFile {
  readonly #disk: MemoryDisk;
  readonly #path: string;
  readonly #inode: MemoryInode;
  readonly #life: number;
  #closed = false;

  constructor(disk: MemoryDisk, path: string, inode: MemoryInode, life: number) {
    this.#disk = disk;
    this.#path = path;
    this.#inode = inode;
    this.#life = life;
  }

  size(): Promise<number> {
    return this.#disk.onFile(this.#call('size'), 'look', () => this.#inode.size);
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.#disk.onFile(this.#call('read'), 'look', () => this.#inode.read(into, offset));
  }

  write(bytes: Uint8Array, offset: number): Promise<void> {
    const copy = new Uint8Array(bytes);
    return this.#disk.onFile(this.#call('write'), 'change', () => {
      const room = this.#inode.size + this.#disk.capacityBytes - this.#disk.usedBytes - offset;
      if (copy.length <= room || offset + copy.length <= this.#inode.size) {
        this.#inode.write(copy, offset);
        return;
      }
      if (room > 0) this.#inode.write(copy.subarray(0, room), offset);
      throw new VarveError('exhausted', `writing ${copy.length} bytes to ${this.#path}: no space left`);
    });
  }

  truncate(size: number): Promise<void> {
    return this.#disk.onFile(this.#call('truncate'), 'change', () => this.#inode.truncate(size));
  }

  sync(): Promise<void> {
    return this.#closed ? this.#refuse() : this.#disk.onSync(this.#call('sync'), this.#inode);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #call(operation: string): StoreCall & { readonly life: number } {
    if (this.#closed) return { operation, key: this.#path, life: -1 };
    return { operation, key: this.#path, life: this.#life };
  }

  #refuse(): Promise<never> {
    return Promise.reject(new VarveError('unavailable', `${this.#path} is closed`));
  }
}

function isDirectory(names: ReadonlyMap<string, Entry>, path: string): boolean {
  return path === '' || names.get(path) === 'directory';
}

function hasAncestors(names: ReadonlyMap<string, Entry>, path: string): boolean {
  const parent = parentOfDiskPath(path);
  return parent === '' || (isDirectory(names, parent) && hasAncestors(names, parent));
}

function directoriesOf(change: NameChange): readonly string[] {
  if (change.kind !== 'rename') return [parentOfDiskPath(change.path)];
  return [parentOfDiskPath(change.from), parentOfDiskPath(change.to)];
}

function applyChange(names: Map<string, Entry>, change: NameChange): void {
  switch (change.kind) {
    case 'make-directory':
      names.set(change.path, 'directory');
      return;
    case 'create':
      names.set(change.path, change.inode);
      return;
    case 'remove':
      names.delete(change.path);
      return;
    case 'rename': {
      const inode = names.get(change.from);
      // The change that made `from` may itself have been lost.
      if (inode === undefined) return;
      names.delete(change.from);
      names.set(change.to, inode);
    }
  }
}
