import { crc32 } from 'node:zlib';
import { align8, ByteCursor } from '../../core/codec/byte-cursor.js';
import type { EncodedBatch, GroupId, NodeId } from '../../core/model/batch.js';
import { VarveError } from '../../core/std/errors.js';

/**
 * Files of hints; docs/formats/hints.md draws them. A segment is a header and frames; a frame is what one commit made
 * durable: a head, a table that says of each hint what it is and where it lies, and the batches.
 */

/** Version of segments and of lists of hints that are done. */
export const hintsVersion = 1;
/** Bytes of a frame's head. */
export const frameHeadBytes = 48;
/** Bytes of the salt. */
export const saltBytes = 8;

const segmentMagic = 0x54_4e_48_56; // "VHNT"
const frameMagic = 0x52_46_48_56; // "VHFR"
const segmentFixedBytes = 40;
const segmentCheckedBytes = 32;
const frameCheckedFrom = 8;
const entryFixedBytes = 56;
const hashBytes = 16;
const textEncoder = new TextEncoder();

export interface HintSegmentHeader {
  /** Grows from segment to segment of a destination; also in the file's name. */
  readonly number: number;
  /** Random; stands in every frame, so that nothing else is taken for one. */
  readonly salt: Uint8Array;
  readonly createdMs: number;
  /** Whom the hints are for. */
  readonly destination: NodeId;
}

/** The header of a segment. */
export function encodeSegmentHeader(header: HintSegmentHeader): Uint8Array {
  const name = textEncoder.encode(header.destination);
  const bytes = new Uint8Array(segmentFixedBytes + align8(name.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, segmentMagic, true);
  view.setUint16(4, hintsVersion, true);
  view.setUint16(6, name.length, true);
  view.setBigUint64(8, BigInt(header.number), true);
  bytes.set(header.salt, 16);
  view.setBigUint64(24, BigInt(header.createdMs), true);
  bytes.set(name, segmentFixedBytes);
  view.setUint32(segmentCheckedBytes, segmentChecksum(bytes), true);
  return bytes;
}

/**
 * Reads the header at the front of `bytes`.
 *
 * @returns the header, and where the first frame begins
 * @throws VarveError `corrupt`
 */
export function decodeSegmentHeader(bytes: Uint8Array): { header: HintSegmentHeader; end: number } {
  const cursor = new ByteCursor('a segment of hints', bytes);
  const magic = cursor.u32('magic');
  if (magic !== segmentMagic) cursor.fail(0, `got magic ${hex(magic)}; want ${hex(segmentMagic)} ("VHNT")`);
  const version = cursor.u16('version');
  // Before the checksum: a later version may keep its own elsewhere.
  if (version !== hintsVersion) cursor.fail(4, `got format version ${version}; want ${hintsVersion}`);
  const nameLength = cursor.u16('length of the name');
  const number = cursor.safeInteger('number');
  const salt = cursor.view(saltBytes, 'salt').slice();
  const createdMs = cursor.safeInteger('time');
  const checksum = cursor.u32('checksum');
  cursor.take(4, 'reserved');
  const destination = cursor.text(nameLength, 'destination') as NodeId;
  cursor.align('the header');
  const wanted = segmentChecksum(bytes.subarray(0, cursor.at));
  if (checksum !== wanted) {
    cursor.fail(segmentCheckedBytes, `got checksum ${hex(checksum)}; want ${hex(wanted)}`);
  }
  return { header: { number, salt, createdMs, destination }, end: cursor.at };
}

/** Bytes of the header of a segment for this node. */
export function segmentHeaderBytes(destination: NodeId): number {
  return segmentFixedBytes + align8(Buffer.byteLength(destination));
}

/** What stands at the front of a frame. */
export interface FrameHead {
  /** Number of the frame in its segment, from 0. */
  readonly sequence: number;
  readonly count: number;
  readonly tableBytes: number;
  readonly tableChecksum: number;
  /** The whole frame: head, table and batches; a multiple of 8. */
  readonly bytes: number;
  /** When the hints came. */
  readonly keptMs: number;
}

/** A hint as the table of its frame has it. */
export interface HintEntry extends Omit<EncodedBatch, 'bytes' | 'stamp'> {
  /** Of the batch. */
  readonly length: number;
  readonly checksum: number;
  /** Where the batch begins in its segment. */
  readonly offset: number;
}

/** Bytes that a frame of these batches takes. */
export function frameBytes(batches: readonly EncodedBatch[]): number {
  return batches.reduce((sum, batch) => sum + hintSpace(batch), frameHeadBytes);
}

/** Bytes that a batch adds to a frame. */
export function hintSpace(batch: EncodedBatch): number {
  return entryBytes(batch) + align8(batch.bytes.length);
}

/** Lays out a frame and tells where each batch lies in the segment. */
export function encodeFrame(
  batches: readonly EncodedBatch[],
  { salt, offset, sequence, keptMs }: { salt: Uint8Array; offset: number; sequence: number; keptMs: number },
): { bytes: Uint8Array; offsets: number[] } {
  const tableBytes = batches.reduce((sum, batch) => sum + entryBytes(batch), 0);
  const bytes = new Uint8Array(frameBytes(batches));
  const view = new DataView(bytes.buffer);
  const offsets: number[] = [];
  let entry = frameHeadBytes;
  let at = frameHeadBytes + tableBytes;
  for (const batch of batches) {
    entry = writeEntry(batch, bytes, view, entry);
    bytes.set(batch.bytes, at);
    offsets.push(offset + at);
    at += align8(batch.bytes.length);
  }
  view.setUint32(0, frameMagic, true);
  bytes.set(salt, 8);
  view.setUint32(16, sequence, true);
  view.setUint32(20, batches.length, true);
  view.setUint32(24, tableBytes, true);
  view.setUint32(28, crc32(bytes.subarray(frameHeadBytes, frameHeadBytes + tableBytes)), true);
  view.setUint32(32, bytes.length, true);
  view.setBigUint64(40, BigInt(keptMs), true);
  view.setUint32(4, crc32(bytes.subarray(frameCheckedFrom, frameHeadBytes)), true);
  return { bytes, offsets };
}

/** The head at the front of `bytes`, if a whole one of the segment with this salt stands there. */
export function readFrameHead(bytes: Uint8Array, salt: Uint8Array): FrameHead | undefined {
  if (bytes.length < frameHeadBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== frameMagic) return undefined;
  if (Buffer.compare(bytes.subarray(8, 8 + saltBytes), salt) !== 0) return undefined;
  if (view.getUint32(4, true) !== crc32(bytes.subarray(frameCheckedFrom, frameHeadBytes))) return undefined;
  return {
    sequence: view.getUint32(16, true),
    count: view.getUint32(20, true),
    tableBytes: view.getUint32(24, true),
    tableChecksum: view.getUint32(28, true),
    bytes: view.getUint32(32, true),
    keptMs: Number(view.getBigUint64(40, true)),
  };
}

/**
 * Reads the table of a frame that begins at `offset` in its segment.
 *
 * @throws VarveError `corrupt` when the table is not whole
 */
export function readFrameTable(head: FrameHead, table: Uint8Array, offset: number): HintEntry[] {
  if (table.length !== head.tableBytes || crc32(table) !== head.tableChecksum) {
    throw new VarveError(
      'corrupt',
      `reading the table of a frame of hints at offset ${offset}: its checksum does not match`,
    );
  }
  const cursor = new ByteCursor('a table of hints', table);
  const entries: HintEntry[] = [];
  let at = offset + frameHeadBytes + head.tableBytes;
  for (let index = 0; index < head.count; index++) {
    const length = cursor.u32('length');
    const checksum = cursor.u32('checksum');
    const hash = cursor.view(hashBytes, 'hash').slice();
    const epoch = cursor.safeInteger('epoch');
    const sequence = cursor.safeInteger('sequence');
    const shard = cursor.u32('shard');
    const lengths = [
      cursor.u16('name length'),
      cursor.u16('name length'),
      cursor.u16('name length'),
    ] as const;
    cursor.take(entryFixedBytes - 50, 'reserved');
    const origin = cursor.text(lengths[0], 'origin') as NodeId;
    const database = cursor.text(lengths[1], 'database');
    const group = cursor.text(lengths[2], 'group') as GroupId;
    cursor.align('an entry');
    const id = { origin, epoch, sequence };
    entries.push({ id, database, group, shard, hash, length, checksum, offset: at });
    at += align8(length);
  }
  cursor.end('the last entry');
  return entries;
}

function writeEntry(batch: EncodedBatch, bytes: Uint8Array, view: DataView, at: number): number {
  view.setUint32(at, batch.bytes.length, true);
  view.setUint32(at + 4, crc32(batch.bytes), true);
  bytes.set(batch.hash, at + 8);
  view.setBigUint64(at + 24, BigInt(batch.id.epoch), true);
  view.setBigUint64(at + 32, BigInt(batch.id.sequence), true);
  view.setUint32(at + 40, batch.shard, true);
  let end = at + entryFixedBytes;
  namesOf(batch).forEach((name, index) => {
    const written = textEncoder.encodeInto(name, bytes.subarray(end)).written;
    view.setUint16(at + 44 + index * 2, written, true);
    end += written;
  });
  return at + entryBytes(batch);
}

function entryBytes(batch: EncodedBatch): number {
  return align8(namesOf(batch).reduce((sum, name) => sum + Buffer.byteLength(name), entryFixedBytes));
}

function namesOf({ id, database, group }: EncodedBatch): readonly string[] {
  return [id.origin, database, group];
}

function segmentChecksum(header: Uint8Array): number {
  return crc32(header.subarray(segmentFixedBytes), crc32(header.subarray(0, segmentCheckedBytes)));
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
