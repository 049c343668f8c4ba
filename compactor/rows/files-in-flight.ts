import { VarveError } from '../../core/std/errors.js';

/**
 * Keys of data files that are stored, or about to be, and not yet named by a commit. No snapshot names them, so
 * without this register expiry could take them for leavings of a crash; and a file that a retry makes again must
 * not be put while expiry is deleting what an earlier try left.
 */
export class FilesInFlight {
  readonly #held = new Map<string, number>();
  readonly #deleting = new Set<string>();

  /** The files of one commit. */
  open(): CommitFiles {
    return new CommitFiles(this);
  }

  /** Holds a key against deletion. `unavailable` while it is being deleted: try again later. */
  hold(key: string): void {
    if (this.#deleting.has(key)) {
      throw new VarveError('unavailable', `storing ${key}: an earlier try's leavings are being deleted`);
    }
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
  }

  letGo(key: string): void {
    const count = (this.#held.get(key) ?? 0) - 1;
    if (count > 0) this.#held.set(key, count);
    else this.#held.delete(key);
  }

  isHeld(key: string): boolean {
    return this.#held.has(key);
  }

  /** Runs `remove` on the keys that nobody holds, and keeps them from being held meanwhile. */
  async deleteUnheld(
    keys: readonly string[],
    remove: (keys: readonly string[]) => Promise<void>,
  ): Promise<void> {
    const free = keys.filter((key) => !this.#held.has(key));
    for (const key of free) this.#deleting.add(key);
    try {
      if (free.length > 0) await remove(free);
    } finally {
      for (const key of free) this.#deleting.delete(key);
    }
  }
}

/** Holds the files of one commit until it is through or given up. */
export class CommitFiles {
  readonly #files: FilesInFlight;
  readonly #keys: string[] = [];

  constructor(files: FilesInFlight) {
    this.#files = files;
  }

  hold(key: string): void {
    this.#files.hold(key);
    this.#keys.push(key);
  }

  letGo(): void {
    for (const key of this.#keys.splice(0)) this.#files.letGo(key);
  }
}
