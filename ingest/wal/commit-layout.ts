import { alignPage, blockHeaderBytes, recordSpace } from './block-format.js';
import { pageBytes } from './segment-format.js';

/** A record to be written: an encoded batch and its checksum. */
export interface NewRecord {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly checksum: number;
}

export interface PlannedBlock<R extends NewRecord> {
  /** Where the block begins in the segment's file. */
  readonly offset: number;
  /** Length without padding. */
  readonly bytes: number;
  readonly records: readonly R[];
  /** Where each record begins in the segment's file. */
  readonly recordOffsets: readonly number[];
}

/** Where in a segment, and in what sizes, a commit may be laid out. */
export interface LayoutBounds {
  /** Where the commit begins; a multiple of the page. */
  readonly start: number;
  /** Length of the segment's file. One page of it is kept for the closing block. */
  readonly capacity: number;
  /** A block with more than one record is no larger. */
  readonly blockBytesMax: number;
  /** A commit with more than one record is no larger. */
  readonly commitBytesMax: number;
}

/** Lays the records of one commit out as blocks, one record after the other, without writing anything. */
export class CommitLayout<R extends NewRecord> {
  readonly #bounds: LayoutBounds;
  readonly #blocks: { offset: number; bytes: number; records: R[] }[] = [];

  constructor(bounds: LayoutBounds) {
    this.#bounds = bounds;
  }

  /** Where the next commit may begin. */
  get end(): number {
    const last = this.#blocks.at(-1);
    return last === undefined ? this.#bounds.start : last.offset + alignPage(last.bytes);
  }

  get recordCount(): number {
    return this.#blocks.reduce((sum, block) => sum + block.records.length, 0);
  }

  get blocks(): readonly PlannedBlock<R>[] {
    return this.#blocks.map(({ offset, bytes, records }) => {
      const recordOffsets: number[] = [];
      let at = offset + blockHeaderBytes + records.length * recordSpace(0);
      for (const record of records) {
        recordOffsets.push(at);
        at += recordSpace(record.length) - recordSpace(0);
      }
      return { offset, bytes, records, recordOffsets };
    });
  }

  /** Takes the record in if it fits; false changes nothing. */
  tryAdd(record: R): boolean {
    const { start, capacity, blockBytesMax, commitBytesMax } = this.#bounds;
    const space = recordSpace(record.length);
    const last = this.#blocks.at(-1);
    const joins = last !== undefined && last.bytes + space <= blockBytesMax;
    const offset = joins ? last.offset : this.end;
    const bytes = (joins ? last.bytes : blockHeaderBytes) + space;
    const end = offset + alignPage(bytes);
    if (end + pageBytes > capacity) return false;
    if (last !== undefined && end - start > commitBytesMax) return false;
    if (joins) {
      last.records.push(record);
      last.bytes = bytes;
    } else {
      this.#blocks.push({ offset, bytes, records: [record] });
    }
    return true;
  }
}

/** Largest record that an empty segment of this length takes. */
export function recordBytesMax(segmentBytes: number): number {
  // Left over: the segment's header page, the closing block's page, and the block's own header and table.
  return segmentBytes - 2 * pageBytes - blockHeaderBytes - recordSpace(0);
}
