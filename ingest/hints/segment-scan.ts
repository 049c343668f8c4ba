import { crc32 } from 'node:zlib';
import type { DiskFile } from '../../core/ports/disk.js';
import { errorMessage, isVarveError } from '../../core/std/errors.js';
import {
  type FrameHead,
  frameHeadBytes,
  type HintEntry,
  readFrameHead,
  readFrameTable,
  saltBytes,
} from './hint-format.js';

/** A stretch of a segment that is not what was written there. */
export interface Damage {
  readonly offset: number;
  readonly bytes: number;
  readonly problem: string;
}

/** What a segment holds. */
export interface ScannedSegment {
  /** Where the last whole frame ends. */
  readonly end: number;
  /** What stands behind the end, or in the middle, and is no frame. */
  readonly damage: readonly Damage[];
}

export interface ScanOptions {
  readonly file: DiskFile;
  readonly salt: Uint8Array;
  /** Where the first frame begins. */
  readonly start: number;
  /** Told of every hint whose table is whole, frame by frame. */
  readonly onHints: (entries: readonly HintEntry[], keptMs: number) => void;
}

const pieceBytes = 2 ** 20;

/**
 * Finds the hints of a segment by heads and tables alone, so that the time it takes depends on their number, not on
 * their bytes. The batches are checked when they are read; only those of the last frame are checked here, for a crash
 * may have torn it. A frame that is not whole is stepped over: the next one is found by its head and the salt.
 */
export async function scanSegment(options: ScanOptions): Promise<ScannedSegment> {
  const { file, salt, start, onHints } = options;
  const size = await file.size();
  const damage: Damage[] = [];
  let end = start;
  for (let at = start; at < size; ) {
    const frame = await readFrame(file, salt, at, size);
    if (typeof frame !== 'string') {
      onHints(frame.entries, frame.head.keptMs);
      at += frame.head.bytes;
      end = at;
      continue;
    }
    const next = await findFrame(file, salt, at + 8, size);
    damage.push({ offset: at, bytes: next - at, problem: frame });
    at = next;
  }
  return { end, damage };
}

/** The frame at `at`, or why it is none. */
async function readFrame(
  file: DiskFile,
  salt: Uint8Array,
  at: number,
  size: number,
): Promise<{ head: FrameHead; entries: HintEntry[] } | string> {
  const head = readFrameHead(await readAt(file, at, frameHeadBytes), salt);
  if (head === undefined) return 'no frame begins there';
  if (at + head.bytes > size) return `a frame of ${head.bytes} bytes passes the end of the file`;
  try {
    const entries = readFrameTable(head, await readAt(file, at + frameHeadBytes, head.tableBytes), at);
    if (await isLastFrame(file, salt, at + head.bytes, size))
      for (const entry of entries) await checkBatch(file, entry);
    return { head, entries };
  } catch (error) {
    if (isVarveError(error, 'corrupt') || error instanceof TornBatch) return errorMessage(error);
    throw error;
  }
}

async function isLastFrame(file: DiskFile, salt: Uint8Array, end: number, size: number): Promise<boolean> {
  if (end === size) return true;
  if (readFrameHead(await readAt(file, end, frameHeadBytes), salt) !== undefined) return false;
  return (await findFrame(file, salt, end, size)) === size;
}

class TornBatch extends Error {}

async function checkBatch(file: DiskFile, { offset, length, checksum }: HintEntry): Promise<void> {
  let actual = 0;
  for (let read = 0; read < length; read += pieceBytes) {
    actual = crc32(await readAt(file, offset + read, Math.min(pieceBytes, length - read)), actual);
  }
  if (actual !== checksum)
    throw new TornBatch(`the checksum of the batch at offset ${offset} does not match`);
}

/** Where the next frame begins at or after `from`; the size when there is none. Frames begin at multiples of 8. */
async function findFrame(file: DiskFile, salt: Uint8Array, from: number, size: number): Promise<number> {
  const wanted = Buffer.from(salt.subarray(0, saltBytes));
  for (let at = from; at < size; at += pieceBytes) {
    // Pieces overlap by a head, so that none lies across their border.
    const piece = Buffer.from(await readAt(file, at, Math.min(size - at, pieceBytes + frameHeadBytes)));
    for (let found = piece.indexOf(wanted, 8); found >= 0; found = piece.indexOf(wanted, found + 1)) {
      const head = found - 8;
      if (head >= pieceBytes) break;
      if ((at + head - from) % 8 === 0 && readFrameHead(piece.subarray(head), salt) !== undefined)
        return at + head;
    }
  }
  return size;
}

async function readAt(file: DiskFile, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, await file.read(bytes, offset));
}
