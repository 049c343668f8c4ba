import { readBatchHeader } from '../../core/codec/batch-codec.js';
import type { EncodedBatch } from '../../core/model/batch.js';
import type { Disk, DiskFile } from '../../core/ports/disk.js';
import { errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import type { BatchPlace } from './batch-index.js';
import { type Block, type SegmentEnd, SegmentScanner } from './segment-scanner.js';
import type { Segment } from './segment-store.js';

/**
 * Reads the log after a start.
 *
 * One commit is in flight at a time: its blocks are written only after the commit before it was synced, and a segment
 * gets its first block only after the closing block of the one before was synced. So a crash can tear nothing but the
 * last commit. Where blocks stop, that is a torn tail if nothing later was begun; if there is a block of a later
 * commit, or a block in a later segment, then what is unreadable had been synced and perhaps acknowledged: that is
 * damage, and recovery refuses rather than skips it.
 */
export interface RecoveredLog {
  /** Segments that have blocks or may still get some, in order. */
  readonly segments: readonly Segment[];
  /** The segment that goes on being written, and where; undefined when the last one is closed or there is none. */
  readonly tail: { readonly segment: Segment; readonly end: SegmentEnd } | undefined;
  /** The last commit of the last of `segments`, as bytes [from, to) of its file; undefined when there is none. */
  readonly lastCommit: { readonly from: number; readonly to: number } | undefined;
  /** Segments without a block: made ahead, not used. */
  readonly unused: readonly Segment[];
  readonly blocks: number;
  readonly tornBytes: number;
}

/** Takes a batch that was read, with its place. */
export type OnRecovered = (batch: EncodedBatch, place: BatchPlace) => Promise<void>;

/**
 * @param segments all segments, in order
 * @throws VarveError `corrupt` on damage in the middle, naming the file, the offset and what to do
 */
export async function recoverLog(
  disk: Disk,
  segments: readonly Segment[],
  onBatch: OnRecovered,
): Promise<RecoveredLog> {
  const used: Segment[] = [];
  let blocks = 0;
  let tail: RecoveredLog['tail'];
  let lastCommit: RecoveredLog['lastCommit'];
  for (const [index, segment] of segments.entries()) {
    const { end, blockCount } = await withScanner(disk, segment, (scanner) =>
      replaySegment(segment, scanner, onBatch),
    );
    blocks += blockCount;
    if (end.evidence !== undefined) {
      const { offset, header } = end.evidence;
      throw damage(
        segment,
        end,
        `block ${header.sequence} at offset ${offset}, of a later commit, follows it`,
      );
    }
    if (!end.closed) {
      await refuseBlocksAfter(disk, segment, end, segments.slice(index + 1));
      if (blockCount > 0 || end.tornBytes > 0) {
        used.push(segment);
        tail = { segment, end };
        lastCommit = { from: end.lastCommitOffset, to: end.offset };
      }
      const unused = segments.slice(used.length);
      return { segments: used, tail, lastCommit, unused, blocks, tornBytes: end.tornBytes };
    }
    used.push(segment);
    lastCommit = { from: end.lastCommitOffset, to: end.offset };
  }
  return { segments: used, tail, lastCommit, unused: [], blocks, tornBytes: 0 };
}

async function replaySegment(
  segment: Segment,
  scanner: SegmentScanner,
  onBatch: OnRecovered,
): Promise<{ readonly end: SegmentEnd; readonly blockCount: number }> {
  const reading = scanner.blocks();
  for (let blockCount = 0; ; blockCount++) {
    const next = await reading.next();
    if (next.done) return { end: next.value, blockCount };
    await replayBlock(segment, next.value, onBatch);
  }
}

async function replayBlock(segment: Segment, block: Block, onBatch: OnRecovered): Promise<void> {
  for (const { offset, length } of block.records) {
    const start = offset - block.offset;
    const bytes = block.bytes.subarray(start, start + length);
    await onBatch(parseBatch(segment, offset, bytes), { segment: segment.number, offset, length });
  }
}

function parseBatch(segment: Segment, offset: number, bytes: Uint8Array): EncodedBatch {
  try {
    return readBatchHeader(bytes);
  } catch (error) {
    if (!isVarveError(error, 'corrupt')) throw error;
    // Its checksum in the log held: it was written like this, by another version or by a defect.
    throw new VarveError('corrupt', `WAL segment ${segment.path}, offset ${offset}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** A segment that is not closed is the last one with blocks, or the log is damaged where it stops. */
async function refuseBlocksAfter(
  disk: Disk,
  segment: Segment,
  end: SegmentEnd,
  later: readonly Segment[],
): Promise<void> {
  for (const other of later) {
    const found = await withScanner(disk, other, (scanner) => scanner.findBlock());
    if (found !== undefined) throw damage(segment, end, `segment ${other.path} has blocks written after it`);
  }
}

function damage(segment: Segment, end: SegmentEnd, proof: string): VarveError {
  return new VarveError(
    'corrupt',
    `WAL segment ${segment.path} is damaged at offset ${end.offset}: want block ${end.sequence}, ${end.reason}; ` +
      `${proof}, so synced batches are lost here. Restore the file from a copy; or move it out of the directory to ` +
      'start without the batches in it that are not settled yet: other owners of their shards still have them',
  );
}

async function withScanner<T>(
  disk: Disk,
  segment: Segment,
  use: (scanner: SegmentScanner) => Promise<T>,
): Promise<T> {
  const file: DiskFile = await disk.open(segment.path, 'existing');
  try {
    return await use(new SegmentScanner(file, segment.bytes, segment));
  } finally {
    await file.close();
  }
}
