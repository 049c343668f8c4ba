import type { DiskFile } from '../../core/ports/disk.js';
import { alignPage, blockHeaderBytes, recordEntryBytes, writeBlockHead } from './block-format.js';
import type { NewRecord, PlannedBlock } from './commit-layout.js';

/** Largest single write: larger ones stall the disk's queue (measured: 4 MB writes have a p99 of 16 to 19 ms). */
export const writeBytesMax = 2 ** 20;

/** Numbers that the blocks of a commit carry. */
export interface CommitNumbers {
  readonly salt: Uint8Array;
  /** Sequence of the first block. */
  readonly sequence: number;
  readonly commit: number;
}

/**
 * Writes blocks front to back through one staging buffer, in writes of at most writeBytesMax. Not reentrant: one
 * commit is in flight at a time.
 */
export class CommitWriter {
  #staging = new Uint8Array(writeBytesMax);
  #used = 0;
  #offset = 0;

  /** Writes the blocks, which lie one after the other; does not sync. A failure leaves any part of them written. */
  async write(
    file: DiskFile,
    blocks: readonly PlannedBlock<NewRecord>[],
    numbers: CommitNumbers,
  ): Promise<void> {
    this.#used = 0;
    this.#offset = blocks[0]?.offset ?? 0;
    for (const [index, block] of blocks.entries()) {
      await this.#writeHead(file, block, index, numbers);
      for (const record of block.records) {
        await this.#put(file, record.bytes);
        await this.#pad(file, -record.length & 7);
      }
      await this.#pad(file, alignPage(block.bytes) - block.bytes);
    }
    await this.#flush(file);
  }

  /** Writes the block that ends a segment. */
  async writeClosing(file: DiskFile, offset: number, numbers: CommitNumbers): Promise<void> {
    const page = this.#staging.subarray(0, alignPage(blockHeaderBytes));
    page.fill(0);
    const header = { ...numbers, index: 0, kind: 'closing', bytes: blockHeaderBytes } as const;
    writeBlockHead(header, [], numbers.salt, page, 0);
    await file.write(page, offset);
  }

  async #writeHead(
    file: DiskFile,
    block: PlannedBlock<NewRecord>,
    index: number,
    numbers: CommitNumbers,
  ): Promise<void> {
    const head = blockHeaderBytes + block.records.length * recordEntryBytes;
    if (this.#used + head > this.#staging.length) await this.#flush(file);
    const sequence = numbers.sequence + index;
    const header = { sequence, commit: numbers.commit, index, kind: 'records', bytes: block.bytes } as const;
    this.#used = writeBlockHead(header, block.records, numbers.salt, this.#staging, this.#used);
  }

  async #put(file: DiskFile, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      if (this.#used === this.#staging.length) await this.#flush(file);
      const piece = bytes.subarray(done, done + this.#staging.length - this.#used);
      this.#staging.set(piece, this.#used);
      this.#used += piece.length;
      done += piece.length;
    }
  }

  async #pad(file: DiskFile, length: number): Promise<void> {
    for (let rest = length; rest > 0; ) {
      if (this.#used === this.#staging.length) await this.#flush(file);
      const end = Math.min(this.#staging.length, this.#used + rest);
      this.#staging.fill(0, this.#used, end);
      rest -= end - this.#used;
      this.#used = end;
    }
  }

  async #flush(file: DiskFile): Promise<void> {
    if (this.#used === 0) return;
    await file.write(this.#staging.subarray(0, this.#used), this.#offset);
    this.#offset += this.#used;
    this.#used = 0;
  }
}
