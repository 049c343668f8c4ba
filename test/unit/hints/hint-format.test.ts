import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readBatchHeader } from '../../../core/codec/batch-codec.js';
import type { EncodedBatch, NodeId } from '../../../core/model/batch.js';
import { decodeDoneList, encodeDoneEntries, encodeDoneHeader } from '../../../ingest/hints/done-list.js';
import {
  decodeSegmentHeader,
  encodeFrame,
  encodeSegmentHeader,
  frameBytes,
  frameHeadBytes,
  readFrameHead,
  readFrameTable,
} from '../../../ingest/hints/hint-format.js';
import { makeBatch } from '../wal/harness.js';

const salt = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const header = { number: 7, salt, createdMs: 1_700_000_000_000, destination: 'node-2' as NodeId };

const batchesOf = (sizes: readonly number[]): EncodedBatch[] =>
  sizes.map((size, index) => makeBatch(index + 1, size, 1 + (index % 3), index % 2));

function readBack(bytes: Uint8Array, offset: number): { keptMs: number; batches: EncodedBatch[] } {
  const head = readFrameHead(bytes, salt);
  if (head === undefined) throw new Error('no frame');
  const table = bytes.subarray(frameHeadBytes, frameHeadBytes + head.tableBytes);
  const batches = readFrameTable(head, table, offset).map((entry) => {
    const at = entry.offset - offset;
    const batch = readBatchHeader(bytes.slice(at, at + entry.length));
    const { id, database, group, shard, hash } = entry;
    expect({ id, database, group, shard, hash }).toEqual({
      id: batch.id,
      database: batch.database,
      group: batch.group,
      shard: batch.shard,
      hash: batch.hash,
    });
    return batch;
  });
  return { keptMs: head.keptMs, batches };
}

describe('a segment header', () => {
  it('comes back as it was, and in no part', () => {
    const bytes = encodeSegmentHeader(header);
    expect(decodeSegmentHeader(bytes)).toEqual({ header, end: bytes.length });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeSegmentHeader(bytes.subarray(0, length))).toThrow(/segment of hints/);
    }
  });

  it('is refused with any bit flipped', () => {
    const bytes = encodeSegmentHeader(header);
    // Bytes 36 to 40 are reserved and not checked.
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      if (bit >= 36 * 8 && bit < 40 * 8) continue;
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeSegmentHeader(flipped), `bit ${bit}`).toThrow();
    }
  });

  it('names the version it wants', () => {
    const later = encodeSegmentHeader(header);
    later[4] = 2;
    expect(() => decodeSegmentHeader(later)).toThrow(/got format version 2; want 1/);
  });
});

describe('a frame', () => {
  it('gives back its batches, whatever their sizes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 8 }),
        fc.nat({ max: 1000 }),
        (sizes, place) => {
          const batches = batchesOf(sizes);
          const offset = place * 8;
          const { bytes, offsets } = encodeFrame(batches, { salt, offset, sequence: 3, keptMs: 12 });
          expect(bytes.length).toBe(frameBytes(batches));
          expect(bytes.length % 8).toBe(0);
          expect(offsets.every((at) => at % 8 === 0)).toBe(true);
          expect(readBack(bytes, offset)).toEqual({ keptMs: 12, batches });
        },
      ),
    );
  });

  it('is none with another salt, cut short in its head or table, or with a bit of them flipped', () => {
    const { bytes } = encodeFrame(batchesOf([3, 4]), { salt, offset: 0, sequence: 0, keptMs: 1 });
    expect(
      readFrameHead(
        bytes,
        salt.map((byte) => byte + 1),
      ),
    ).toBeUndefined();
    for (let length = 0; length < frameHeadBytes; length++) {
      expect(readFrameHead(bytes.subarray(0, length), salt)).toBeUndefined();
    }
    const head = readFrameHead(bytes, salt)!;
    const checked = frameHeadBytes + head.tableBytes;
    const tableOf = (from: Uint8Array): Uint8Array => from.subarray(frameHeadBytes, checked);
    for (let length = 0; length < head.tableBytes; length++) {
      expect(() => readFrameTable(head, tableOf(bytes).subarray(0, length), 0)).toThrow(/checksum/);
    }
    for (let bit = 0; bit < checked * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const found = readFrameHead(flipped, salt);
      if (bit < frameHeadBytes * 8) expect(found, `bit ${bit}`).toBeUndefined();
      else expect(() => readFrameTable(found!, tableOf(flipped), 0), `bit ${bit}`).toThrow(/checksum/);
    }
  });
});

describe('a list of hints that are done', () => {
  it('gives back the offsets, without those that are torn or damaged', () => {
    const list = Buffer.concat([encodeDoneHeader(salt), encodeDoneEntries([8, 4096, 2 ** 32 - 8], salt)]);
    expect(decodeDoneList(list, salt)).toEqual(new Set([8, 4096, 2 ** 32 - 8]));
    for (let length = 0; length < list.length; length++) {
      const whole = Math.floor((length - 16) / 8);
      const offsets = decodeDoneList(list.subarray(0, length), salt);
      expect(offsets?.size).toBe(length < 16 ? undefined : whole);
    }
    const damaged = Uint8Array.from(list);
    damaged[24]! ^= 1;
    expect(decodeDoneList(damaged, salt)).toEqual(new Set([8, 2 ** 32 - 8]));
  });

  it('is not that of another segment', () => {
    const list = Buffer.concat([encodeDoneHeader(salt), encodeDoneEntries([8], salt)]);
    expect(decodeDoneList(list, Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1))).toBeUndefined();
  });
});

describe('the formats of hints', () => {
  it('have the golden bytes of version 1', () => {
    const frame = encodeFrame([makeBatch(5, 2)], {
      salt,
      offset: 48,
      sequence: 1,
      keptMs: 1_700_000_000_001,
    });
    const list = Buffer.concat([encodeDoneHeader(salt), encodeDoneEntries([160], salt)]);
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    expect(hex(encodeSegmentHeader(header))).toMatchInlineSnapshot(
      `"56484e5401000600070000000000000001020304050607080068e5cf8b01000095dad0d1000000006e6f64652d320000"`,
    );
    expect(hex(frame.bytes)).toMatchInlineSnapshot(
      `"56484652acce7dc60102030405060708010000000100000050000000f6dfaf3a20010000000000000168e5cf8b010000a00000004b46bd18f423520ff46eb1b04d8b36caf664b8b30100000000000000050000000000000000000000020002000d000000000000006e31646277303030303030303030303031000000000000005642415401000000a0000000b77af2cb0500000000000000010000000000000005000000000000000000000001000000020002000d0000006e31646277303030303030303030303031000000000000005000000001000000010000000000000001000000010000000500000001000000747300000000000000000000000000000000000000000000050000000000000000000000020000006a77000000000000"`,
    );
    expect(hex(list)).toMatchInlineSnapshot(`"5648444e010000000102030405060708a0000000ec80e945"`);
  });
});
