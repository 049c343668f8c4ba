import { crc32 } from 'node:zlib';
import type { BatchId, GroupId, NodeId, ShardAddress } from '../model/batch.js';
import { assert } from '../std/assert.js';
import { VarveError } from '../std/errors.js';
import { align8, ByteCursor } from './byte-cursor.js';

/** What stands before the tables of an encoded batch; see docs/formats/batch.md for the drawn layout. */
export interface BatchHeader extends ShardAddress {
  readonly id: BatchId;
  readonly stamp: bigint;
  readonly tableCount: number;
}

/** Version of the format that this program writes and reads. */
export const batchVersion = 1;

const magic = 0x54_41_42_56; // "VBAT"
/** Where the checksum stands; it covers all that comes after it. */
const checksumAt = 12;
const checkedFrom = 16;
const fixedBytes = 56;
const textEncoder = new TextEncoder();

/** The parts of the header as bytes, made before the batch is laid out. */
export interface PreparedHeader {
  readonly header: BatchHeader;
  readonly texts: readonly [origin: Uint8Array, database: Uint8Array, group: Uint8Array];
  /** Bytes of the whole header; a multiple of 8. */
  readonly bytes: number;
}

/** Encodes what of a batch's header is known before its tables, and tells how long the whole will be. */
export function prepareBatchHeader(header: BatchHeader): PreparedHeader {
  const { id } = header;
  assert(Number.isSafeInteger(id.epoch) && id.epoch >= 0, `batch epoch ${id.epoch} is no safe integer`);
  assert(
    Number.isSafeInteger(id.sequence) && id.sequence >= 0,
    `batch sequence ${id.sequence} is no integer`,
  );
  assert(header.stamp >= 0n && header.stamp < 1n << 64n, `batch stamp ${header.stamp} does not fit 64 bits`);
  assert(header.shard >>> 0 === header.shard, `shard ${header.shard} does not fit 32 bits`);
  const texts = [
    textEncoder.encode(id.origin),
    textEncoder.encode(header.database),
    textEncoder.encode(header.group),
  ] as const;
  for (const text of texts) assert(text.length > 0 && text.length < 1 << 16, 'a name of a batch is too long');
  const bytes = align8(fixedBytes + texts[0].length + texts[1].length + texts[2].length);
  return { header, texts, bytes };
}

/** Writes the header at the front; the checksum comes last, by sealBatch. */
export function writeBatchHeader(prepared: PreparedHeader, into: Uint8Array): void {
  const { header, texts } = prepared;
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  view.setUint32(0, magic, true);
  view.setUint16(4, batchVersion, true);
  view.setUint32(8, into.length, true);
  view.setBigUint64(16, header.stamp, true);
  view.setBigUint64(24, BigInt(header.id.epoch), true);
  view.setBigUint64(32, BigInt(header.id.sequence), true);
  view.setUint32(40, header.shard, true);
  view.setUint32(44, header.tableCount, true);
  let at = fixedBytes;
  texts.forEach((text, index) => {
    view.setUint16(48 + index * 2, text.length, true);
    into.set(text, at);
    at += text.length;
  });
}

/** Puts the checksum in; after this the bytes do not change any more. */
export function sealBatch(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(checksumAt, crc32(bytes.subarray(checkedFrom)), true);
}

/** Checks the frame (magic, version, length, checksum) and reads the header; the cursor then stands at the first table. */
export function parseBatchHeader(bytes: Uint8Array): { header: BatchHeader; cursor: ByteCursor } {
  const cursor = new ByteCursor('a batch', bytes);
  const gotMagic = cursor.u32('magic');
  if (gotMagic !== magic) cursor.fail(0, `got magic ${hex(gotMagic)}; want ${hex(magic)} ("VBAT")`);
  const version = cursor.u16('version');
  if (version !== batchVersion) {
    throw new VarveError('corrupt', `got a batch of format version ${version}; want version ${batchVersion}`);
  }
  if (cursor.u16('flags') !== 0) cursor.fail(6, 'flags are not zero');
  const length = cursor.u32('length');
  if (length !== bytes.length) cursor.fail(8, `got length ${length}; want ${bytes.length}`);
  const checksum = cursor.u32('checksum');
  const wanted = crc32(bytes.subarray(checkedFrom));
  if (checksum !== wanted) cursor.fail(checksumAt, `got checksum ${hex(checksum)}; want ${hex(wanted)}`);
  const stamp = cursor.u64('stamp');
  const epoch = cursor.safeInteger('epoch');
  const sequence = cursor.safeInteger('sequence');
  const shard = cursor.u32('shard');
  const tableCount = cursor.u32('table count');
  const lengths = [cursor.u16('name length'), cursor.u16('name length'), cursor.u16('name length')] as const;
  if (cursor.u16('reserved') !== 0) cursor.fail(54, 'reserved bytes are not zero');
  if (lengths.includes(0)) cursor.fail(48, 'a name is empty');
  const origin = cursor.text(lengths[0], 'origin') as NodeId;
  const database = cursor.text(lengths[1], 'database');
  const group = cursor.text(lengths[2], 'group') as GroupId;
  cursor.align('the header');
  return { header: { id: { origin, epoch, sequence }, stamp, database, group, shard, tableCount }, cursor };
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
