import { crc32 } from 'node:zlib';
import { VarveError } from '../../core/std/errors.js';

/** The first page of a segment file; see docs/formats/wal.md for the drawn layout. */

/** Everything in a segment begins at a multiple of this: the unit in which disks and page caches write. */
export const pageBytes = 4096;

/** Version of the segment format, its blocks included, that this program writes and reads. */
export const segmentVersion = 1;

const magic = 0x4c_41_57_56; // "VWAL"
const checkedBytes = 32;

export interface SegmentHeader {
  /** Grows from segment to segment; also in the file's name. */
  readonly number: number;
  /** Random, stands in every block: what a recycled file held before cannot be mistaken for the segment's own. */
  readonly salt: Uint8Array;
  readonly createdMs: number;
}

/** Bytes of the salt. */
export const saltBytes = 8;

/** The first page of a segment. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const page = new Uint8Array(pageBytes);
  const view = new DataView(page.buffer);
  view.setUint32(0, magic, true);
  view.setUint16(4, segmentVersion, true);
  view.setBigUint64(8, BigInt(header.number), true);
  page.set(header.salt, 16);
  view.setBigUint64(24, BigInt(header.createdMs), true);
  view.setUint32(checkedBytes, crc32(page.subarray(0, checkedBytes)), true);
  return page;
}

/**
 * @param page the first page of the file, shorter only if the file is
 * @throws VarveError `corrupt`: a segment gets its name only after its header is durable, so a crash leaves none half made
 */
export function decodeSegmentHeader(page: Uint8Array, path: string, number: number): SegmentHeader {
  const refuse = (problem: string): never => {
    throw new VarveError('corrupt', `reading the header of WAL segment ${path}: ${problem}`);
  };
  if (page.length < pageBytes) refuse(`got ${page.length} bytes; want at least ${pageBytes}`);
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const gotMagic = view.getUint32(0, true);
  if (gotMagic !== magic)
    refuse(`got magic 0x${gotMagic.toString(16)}; want 0x${magic.toString(16)} ("VWAL")`);
  const checksum = view.getUint32(checkedBytes, true);
  const wanted = crc32(page.subarray(0, checkedBytes));
  const version = view.getUint16(4, true);
  // Before the checksum: a later version may keep its own elsewhere.
  if (version !== segmentVersion) refuse(`got format version ${version}; want version ${segmentVersion}`);
  if (checksum !== wanted) refuse(`got checksum ${checksum}; want ${wanted}`);
  const header = {
    number: Number(view.getBigUint64(8, true)),
    salt: page.slice(16, 16 + saltBytes),
    createdMs: Number(view.getBigUint64(24, true)),
  };
  if (header.number !== number) refuse(`it is segment ${header.number}; want ${number}, as its name says`);
  return header;
}

const segmentName = /^(\d{12})\.wal$/;
const spareName = /^spare-(\d{12})\.wal$/;

/** Name of the file of a segment. */
export function segmentFileName(number: number): string {
  return `${String(number).padStart(12, '0')}.wal`;
}

/** Name of a file whose space waits to become a segment; what it holds means nothing. */
export function spareFileName(number: number): string {
  return `spare-${segmentFileName(number)}`;
}

export type WalFileName =
  | { readonly kind: 'segment' | 'spare'; readonly number: number }
  | { readonly kind: 'foreign' };

/** What a file in the WAL's directory is, by its name. */
export function parseWalFileName(name: string): WalFileName {
  const segment = segmentName.exec(name)?.[1];
  if (segment !== undefined) return { kind: 'segment', number: Number(segment) };
  const spare = spareName.exec(name)?.[1];
  return spare === undefined ? { kind: 'foreign' } : { kind: 'spare', number: Number(spare) };
}
