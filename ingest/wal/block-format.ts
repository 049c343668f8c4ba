import { crc32 } from 'node:zlib';
import { pageBytes, saltBytes } from './segment-format.js';

/**
 * A block: header, a table of records (length and checksum of each), the records, zeros up to the next page. The
 * header's checksum covers the salt and the table's checksum, the table holds the records' checksums: so a record
 * counts only in the block it was written with, whatever older bytes lie around. See docs/formats/wal.md.
 */

/** Bytes of a block's header. */
export const blockHeaderBytes = 48;
/** Bytes of a record's entry in a block's table. */
export const recordEntryBytes = 8;

const magic = 0x4b_4c_42_56; // "VBLK"
const checkedFrom = 8;

/** `closing`: the segment ends here, with a block that has no records; later segments follow. */
export type BlockKind = 'records' | 'closing';

export interface BlockHeader {
  /** Number of the block in its segment, from 0. */
  readonly sequence: number;
  /** Number of the try to commit, from 1; grows in a segment, also with tries that failed. */
  readonly commit: number;
  /** Number of the block in its commit, from 0. */
  readonly index: number;
  readonly kind: BlockKind;
  readonly recordCount: number;
  /** Length without the padding at the end. */
  readonly bytes: number;
  readonly tableChecksum: number;
}

/** Place of a record in its segment's file. */
export interface RecordEntry {
  readonly offset: number;
  readonly length: number;
  readonly checksum: number;
}

/** The length up to the end of its last page. */
export function alignPage(bytes: number): number {
  return Math.ceil(bytes / pageBytes) * pageBytes;
}

/** Bytes that a record adds to a block: its entry, and itself up to the next multiple of 8. */
export function recordSpace(length: number): number {
  return recordEntryBytes + Math.ceil(length / 8) * 8;
}

/** Writes header and table at `into[at...]`; tells where the first record goes. */
export function writeBlockHead(
  header: Omit<BlockHeader, 'recordCount' | 'tableChecksum'>,
  records: readonly { readonly length: number; readonly checksum: number }[],
  salt: Uint8Array,
  into: Uint8Array,
  at: number,
): number {
  const view = new DataView(into.buffer, into.byteOffset + at);
  const end = blockHeaderBytes + records.length * recordEntryBytes;
  into.fill(0, at, at + blockHeaderBytes);
  records.forEach((record, index) => {
    const entry = blockHeaderBytes + index * recordEntryBytes;
    view.setUint32(entry, record.length, true);
    view.setUint32(entry + 4, record.checksum, true);
  });
  view.setUint32(0, magic, true);
  into.set(salt, at + 8);
  view.setUint32(16, header.sequence, true);
  view.setUint32(20, header.commit, true);
  view.setUint32(24, header.index, true);
  view.setUint32(28, records.length, true);
  view.setUint32(32, header.bytes, true);
  view.setUint32(36, crc32(into.subarray(at + blockHeaderBytes, at + end)), true);
  view.setUint32(40, header.kind === 'closing' ? 1 : 0, true);
  view.setUint32(4, crc32(into.subarray(at + checkedFrom, at + blockHeaderBytes)), true);
  return at + end;
}

/** The header at the front of `bytes`, if it is a whole one of the segment with this salt. */
export function readBlockHeader(bytes: Uint8Array, salt: Uint8Array): BlockHeader | undefined {
  if (bytes.length < blockHeaderBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic) return undefined;
  for (let i = 0; i < saltBytes; i++) if (bytes[8 + i] !== salt[i]) return undefined;
  if (view.getUint32(4, true) !== crc32(bytes.subarray(checkedFrom, blockHeaderBytes))) return undefined;
  return {
    sequence: view.getUint32(16, true),
    commit: view.getUint32(20, true),
    index: view.getUint32(24, true),
    recordCount: view.getUint32(28, true),
    bytes: view.getUint32(32, true),
    tableChecksum: view.getUint32(36, true),
    kind: view.getUint32(40, true) === 1 ? 'closing' : 'records',
  };
}

/**
 * Finds and checks the records of a block that lies at `offset` in its segment.
 *
 * @param block from the header to the end of the last record
 * @returns the records' places, or what is wrong with them
 */
export function readRecords(header: BlockHeader, block: Uint8Array, offset: number): RecordEntry[] | string {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const tableEnd = blockHeaderBytes + header.recordCount * recordEntryBytes;
  if (tableEnd > block.length) return `its ${header.recordCount} records do not fit ${block.length} bytes`;
  if (crc32(block.subarray(blockHeaderBytes, tableEnd)) !== header.tableChecksum) {
    return 'the checksum of its record table does not match';
  }
  const entries: RecordEntry[] = [];
  let at = tableEnd;
  for (let index = 0; index < header.recordCount; index++) {
    const entry = blockHeaderBytes + index * recordEntryBytes;
    const length = view.getUint32(entry, true);
    const checksum = view.getUint32(entry + 4, true);
    if (at + length > block.length) return `record ${index} of ${length} bytes passes its end`;
    if (crc32(block.subarray(at, at + length)) !== checksum) {
      return `the checksum of record ${index} (${length} bytes) does not match`;
    }
    entries.push({ offset: offset + at, length, checksum });
    at += recordSpace(length) - recordEntryBytes;
  }
  return entries;
}
