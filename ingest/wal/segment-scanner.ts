import type { DiskFile } from '../../core/ports/disk.js';
import {
  alignPage,
  type BlockHeader,
  blockHeaderBytes,
  type RecordEntry,
  readBlockHeader,
  readRecords,
} from './block-format.js';
import { pageBytes, type SegmentHeader } from './segment-format.js';

/** Bytes read from the disk at once. */
const windowBytes = 2 ** 22;

/** A whole block, its checksums verified. */
export interface Block {
  readonly header: BlockHeader;
  /** From the header to the last record; begins at a multiple of 8 in its buffer, as records do. */
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly records: readonly RecordEntry[];
}

/** Where the blocks of a segment stop. */
export interface SegmentEnd {
  /** True when a closing block stands there: whatever follows in the file means nothing. */
  readonly closed: boolean;
  /** Where the next block would begin. */
  readonly offset: number;
  /** Where the last commit begins that has a whole block; equal to `offset` when there is none. */
  readonly lastCommitOffset: number;
  /** Sequence that the next block would have. */
  readonly sequence: number;
  /** Highest number of a commit of which anything is in the file. */
  readonly commit: number;
  /** Bytes after `offset` that a commit has written which was never finished. */
  readonly tornBytes: number;
  /** Why reading stopped, for messages. */
  readonly reason: string;
  /** A block after `offset` which proves that what should be at `offset` had been synced; undefined when there is none. */
  readonly evidence: { readonly offset: number; readonly header: BlockHeader } | undefined;
}

/** Reads a segment's blocks in order, holding one window or one block in memory. */
export class SegmentScanner {
  readonly #file: DiskFile;
  readonly #capacity: number;
  readonly #salt: Uint8Array;
  #window = new Uint8Array(0);
  #windowAt = 0;

  /** @param size length of the file; a part of a page at its end is ignored */
  constructor(file: DiskFile, size: number, header: SegmentHeader) {
    this.#file = file;
    this.#capacity = Math.floor(size / pageBytes) * pageBytes;
    this.#salt = header.salt;
  }

  /** Gives every whole block up to where they stop, and returns where and why that is. */
  async *blocks(): AsyncGenerator<Block, SegmentEnd> {
    let offset = pageBytes;
    let sequence = 0;
    let commit = 0;
    let index = -1;
    let lastCommitOffset = offset;
    for (;;) {
      const read = await this.#blockAt(offset);
      const problem = typeof read === 'string' ? read : misplaced(read.header, sequence, commit, index);
      if (typeof read === 'string' || problem !== undefined) {
        return { ...(await this.#endAt(offset, sequence, commit, problem ?? '')), lastCommitOffset };
      }
      ({ commit, index } = read.header);
      if (index === 0) lastCommitOffset = offset;
      sequence += 1;
      const end = offset + alignPage(read.header.bytes);
      if (read.header.kind === 'closing') {
        const found = { offset: end, lastCommitOffset, sequence, commit };
        return { ...found, closed: true, tornBytes: 0, reason: 'closed', evidence: undefined };
      }
      yield read;
      offset = end;
    }
  }

  /** The first whole block header in the file, wherever it stands. */
  async findBlock(): Promise<number | undefined> {
    for await (const { offset } of this.#headersFrom(pageBytes)) return offset;
    return undefined;
  }

  async #endAt(
    offset: number,
    sequence: number,
    commit: number,
    reason: string,
  ): Promise<Omit<SegmentEnd, 'lastCommitOffset'>> {
    let evidence: SegmentEnd['evidence'];
    let tornEnd = offset;
    let highest = commit;
    for await (const found of this.#headersFrom(offset)) {
      const { header } = found;
      highest = Math.max(highest, header.commit);
      if (header.commit >= commit) tornEnd = Math.max(tornEnd, found.offset + alignPage(header.bytes));
      // Its commit began after the one before it had been synced: the block missing at `offset` was on the disk.
      if (header.sequence - header.index > sequence) evidence ??= found;
    }
    const tornBytes = tornEnd - offset;
    return { closed: false, offset, sequence, commit: highest, tornBytes, reason, evidence };
  }

  async *#headersFrom(start: number): AsyncGenerator<{ offset: number; header: BlockHeader }> {
    for (let offset = start; offset < this.#capacity; offset += pageBytes) {
      const header = readBlockHeader(await this.#read(offset, pageBytes), this.#salt);
      if (header !== undefined) yield { offset, header };
    }
  }

  async #blockAt(offset: number): Promise<Block | string> {
    if (offset >= this.#capacity) return 'the file ends';
    const header = readBlockHeader(await this.#read(offset, pageBytes), this.#salt);
    if (header === undefined) return 'there is no whole block header of this segment';
    if (header.bytes < blockHeaderBytes || header.bytes > this.#capacity - offset) {
      return `a block of ${header.bytes} bytes passes the end of the file`;
    }
    const bytes = await this.#read(offset, header.bytes);
    if (bytes.length < header.bytes) return `a block of ${header.bytes} bytes passes the end of the file`;
    const records = readRecords(header, bytes, offset);
    return typeof records === 'string' ? records : { header, bytes, offset, records };
  }

  /** Bytes of the file, fewer only at its end. A window is never reused: answers stay valid. */
  async #read(offset: number, length: number): Promise<Uint8Array> {
    const from = offset - this.#windowAt;
    if (from < 0 || from + length > this.#window.length) {
      const wanted = Math.min(Math.max(length, windowBytes), this.#capacity - offset);
      const window = new Uint8Array(wanted);
      const got = await this.#file.read(window, offset);
      this.#window = window.subarray(0, got);
      this.#windowAt = offset;
      return this.#window.subarray(0, length);
    }
    return this.#window.subarray(from, from + length);
  }
}

/** Why a whole block is not the next one, if it is not: what failed or torn commits left behind is whole, too. */
function misplaced(
  header: BlockHeader,
  sequence: number,
  lastCommit: number,
  lastIndex: number,
): string | undefined {
  if (header.sequence !== sequence) return `got block ${header.sequence}; want block ${sequence}`;
  const continues = header.commit === lastCommit && header.index === lastIndex + 1;
  const begins = header.commit > lastCommit && header.index === 0;
  if (continues || begins) return undefined;
  return `block ${sequence} is number ${header.index} of commit ${header.commit}, after ${lastIndex} of ${lastCommit}`;
}
