import type { Disk, DiskFile } from '../../core/ports/disk.js';
import { VarveError } from '../../core/std/errors.js';

interface OpenFile {
  readonly file: Promise<DiskFile>;
  users: number;
}

const openMax = 4;

/** Reads from segments; keeps the last few open, because hints are read one after another. */
export class SegmentReader {
  readonly #disk: Disk;
  /** In order of their last use. */
  readonly #open = new Map<string, OpenFile>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** The bytes at that place of the file. `corrupt` when the file ends before. */
  async read({ path }: { readonly path: string }, offset: number, length: number): Promise<Uint8Array> {
    const opened = this.#open.get(path) ?? { file: this.#disk.open(path, 'existing'), users: 0 };
    this.#open.delete(path);
    this.#open.set(path, opened);
    opened.users += 1;
    try {
      const bytes = new Uint8Array(length);
      const got = await (await opened.file).read(bytes, offset);
      if (got === length) return bytes;
      throw new VarveError(
        'corrupt',
        `reading a hint from ${path} at offset ${offset}: got ${got} bytes; want ${length}`,
      );
    } catch (error) {
      // The next try opens the file anew.
      if (this.#open.get(path) === opened) this.#open.delete(path);
      throw error;
    } finally {
      opened.users -= 1;
      if (opened.users === 0 && this.#open.get(path) !== opened) await closeOpened(opened);
      await this.#closeSome();
    }
  }

  /** Closes the file if it is open. */
  async forget({ path }: { readonly path: string }): Promise<void> {
    const opened = this.#open.get(path);
    this.#open.delete(path);
    // Who still reads from it closes it.
    if (opened?.users === 0) await closeOpened(opened);
  }

  /** Closes all files. */
  async close(): Promise<void> {
    for (const path of [...this.#open.keys()]) await this.forget({ path });
  }

  async #closeSome(): Promise<void> {
    for (const [path, opened] of this.#open) {
      if (this.#open.size <= openMax) return;
      if (opened.users > 0) continue;
      this.#open.delete(path);
      await closeOpened(opened);
    }
  }
}

async function closeOpened({ file }: OpenFile): Promise<void> {
  await file.then((opened) => opened.close()).catch(() => undefined);
}
