import { readBatchHeader } from '../../core/codec/batch-codec.js';
import { batchIdText, type EncodedBatch, type NodeId } from '../../core/model/batch.js';
import type { DiskFile } from '../../core/ports/disk.js';
import { errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import { formatSizeBytes } from '../../core/std/units.js';
import { encodeFrame, frameBytes, hintSpace } from './hint-format.js';
import { HintIndex, type HintRef, hintId } from './hint-index.js';
import { type HintEnd, type HintMetrics, hintEnds } from './hint-metrics.js';
import {
  type HintSegment,
  SegmentFiles,
  type SegmentFilesOptions,
  type WritableSegment,
} from './segment-files.js';
import { SegmentReader } from './segment-reader.js';

export interface HintQueueOptions extends SegmentFilesOptions {
  readonly metrics: HintMetrics;
  /** Files of the queue together stay below this, and so do its hints, each counted as 1 KiB at least. */
  readonly bytesMax: number;
  /** A segment takes no more hints once it is as long as this. Default 16 MiB. */
  readonly segmentBytes?: number;
}

/** What a hint costs in memory is bounded by counting no hint as less than this. */
const bytesPerHintMin = 1024;
/** A commit of more than one hint is no larger. */
const commitBytesMax = 4 * 2 ** 20;
/** Bytes of hints that wait for the disk. */
const pendingBytesMax = 64 * 2 ** 20;
const warnShare = 0.8;
/** The warning may come again once the queue has been below this. */
const calmShare = 0.7;

interface Pending {
  readonly batch: EncodedBatch;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface WritingSegment extends WritableSegment {
  sequence: number;
}

/**
 * The hints for one destination: durable files, and an index of them in memory. Hints that come while others are
 * synced share the next sync. A hint that has ended is forgotten at once, on the disk a little later: then it may come
 * back after a crash, which does no harm, for whoever gets it twice has it once.
 */
export class HintQueue {
  readonly destination: NodeId;
  readonly index = new HintIndex();
  readonly #options: HintQueueOptions;
  readonly #files: SegmentFiles;
  readonly #reader: SegmentReader;
  readonly #segments = new Map<number, HintSegment>();
  readonly #ended = new Map<HintEnd, number>(hintEnds.map((end) => [end, 0]));
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #writing: WritingSegment | undefined;
  #fileBytes = 0;
  #damagedBytes = 0;
  #warned = false;
  #isStopped = false;
  /** What touches the files runs one after another. */
  #work: Promise<void> = Promise.resolve();
  #isCommitDue = false;

  private constructor(options: HintQueueOptions) {
    this.#options = options;
    this.destination = options.destination;
    this.#files = new SegmentFiles(options);
    this.#reader = new SegmentReader(options.disk);
  }

  /** Opens the queue with what earlier starts left. Damage is logged and counted, and does not keep it from opening. */
  static async open(options: HintQueueOptions): Promise<HintQueue> {
    const queue = new HintQueue(options);
    await queue.#recover();
    return queue;
  }

  /** Bytes of all files. */
  get fileBytes(): number {
    return this.#fileBytes;
  }

  get bytesMax(): number {
    return this.#options.bytesMax;
  }

  /** Bytes found damaged when the queue was opened. */
  get damagedBytes(): number {
    return this.#damagedBytes;
  }

  /** How many hints have ended in which way since the queue was opened. */
  ended(how: HintEnd): number {
    return this.#ended.get(how) ?? 0;
  }

  /** Keeps the batch; durable when this resolves. See HintSink. */
  keep(batch: EncodedBatch): Promise<void> {
    try {
      if (this.index.has(batch)) return Promise.resolve();
      this.#checkRoom(hintSpace(batch));
    } catch (error) {
      this.#options.metrics.notKept(this.destination);
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#pending.push({ batch, resolve, reject });
      this.#pendingBytes += batch.bytes.length;
      if (this.#isCommitDue) return;
      this.#isCommitDue = true;
      void this.#inOrder(() => this.#commitAll());
    });
  }

  /** The bytes of a hint. `corrupt` when the disk gives others; `not-found` when it has ended meanwhile. */
  async read(ref: HintRef): Promise<EncodedBatch> {
    const place = ref.run.place(ref.sequence);
    const segment = place === undefined ? undefined : this.#segments.get(place.segment);
    if (place === undefined || segment === undefined) {
      throw new VarveError(
        'not-found',
        `reading a hint for node ${this.destination}: it has ended meanwhile`,
      );
    }
    const hash = ref.run.hash(ref.sequence);
    const bytes = await this.#reader.read(segment, place.offset, place.length);
    const problem = `reading the hint of batch ${batchIdText(hintId(ref))} for node ${this.destination} from ${segment.path} at offset ${place.offset}`;
    try {
      const batch = readBatchHeader(bytes);
      if (Buffer.compare(batch.hash, hash) === 0) return batch;
    } catch (error) {
      throw new VarveError('corrupt', `${problem}: ${errorMessage(error)}`, { cause: error });
    }
    throw new VarveError(
      'corrupt',
      `${problem}: its hash is not that of the batch kept; the disk is damaged`,
    );
  }

  /** The same; a hint that cannot be read any more ends as damaged, for nobody could send it. Undefined when it has ended. */
  async readOrEnd(ref: HintRef): Promise<EncodedBatch | undefined> {
    try {
      return await this.read(ref);
    } catch (error) {
      if (!ref.run.has(ref.sequence)) return undefined;
      if (!isVarveError(error, 'corrupt', 'not-found')) throw error;
      this.#options.logger.error({ error: errorMessage(error) }, 'a hint is lost: it cannot be read');
      this.end(ref, 'damaged');
      return undefined;
    }
  }

  /** The hint need not be kept any more. Safe to repeat. */
  end(ref: HintRef, how: HintEnd): void {
    const place = ref.run.place(ref.sequence);
    if (place === undefined || !this.index.remove(ref)) return;
    this.#ended.set(how, this.ended(how) + 1);
    this.#options.metrics.ended(this.destination, how, place.length);
    this.#noteDone(place.segment, place.offset);
    if (this.#fileBytes < this.bytesMax * calmShare) this.#warned = false;
  }

  /** Writes down what has ended, and removes the files of which nothing is needed. To be called now and then. */
  tidy(): Promise<void> {
    return this.#inOrder(async () => {
      for (const segment of [...this.#segments.values()]) {
        if (segment.live > 0) await this.#files.noteDone(segment);
        else await this.#remove(segment);
      }
    });
  }

  /** Takes no more, makes durable what is under way, and closes the files. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.tidy().catch((error: unknown) => {
      this.#options.logger.warn(
        { error: errorMessage(error) },
        'could not tidy up hints; some are sent once more',
      );
    });
    await this.#inOrder(async () => {
      await this.#writing?.file.close();
      this.#writing = undefined;
      await this.#reader.close();
    });
  }

  async #recover(): Promise<void> {
    const { logger, destination } = this.#options;
    const segments = await this.#files.open({
      onHints: (segment, entries, keptMs) => {
        for (const entry of entries) {
          // Kept again after it had ended, or in two commits at once.
          if (this.index.find(entry, entry.id) !== undefined) segment.live -= 1;
          else this.index.add(entry, segment.number, Math.floor(keptMs / 1000));
        }
      },
      onDamage: (path, { offset, bytes, problem }) => {
        this.#damagedBytes += bytes;
        logger.error(
          { destination, file: path, offset, bytes, problem },
          'hints are damaged: those in these bytes are lost here; the rest of the queue is kept',
        );
      },
    });
    for (const segment of segments) {
      this.#segments.set(segment.number, segment);
      this.#fileBytes += segment.bytes;
    }
  }

  #checkRoom(bytes: number): void {
    const { bytesMax, logger } = this.#options;
    const doing = `keeping a hint for node ${this.destination}`;
    if (this.#isStopped) throw new VarveError('unavailable', `${doing}: this node is stopping`);
    const used = this.#fileBytes + this.#pendingBytes;
    const hints = this.index.count + this.#pending.length;
    const share = Math.max(used + bytes, (hints + 1) * bytesPerHintMin) / bytesMax;
    if (share > 1) {
      throw new VarveError(
        'exhausted',
        `${doing}: got ${formatSizeBytes(used)} in ${hints} hints that it has not taken yet; want at most ` +
          `${formatSizeBytes(bytesMax)}, each hint counted as ${formatSizeBytes(bytesPerHintMin)} at least; it empties once the node answers`,
        { retryAfterSeconds: 10 },
      );
    }
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > pendingBytesMax) {
      throw new VarveError(
        'unavailable',
        `${doing}: got ${formatSizeBytes(this.#pendingBytes)} that wait for the disk; want at most ${formatSizeBytes(pendingBytesMax)}`,
        { retryAfterSeconds: 1 },
      );
    }
    if (share <= warnShare || this.#warned) return;
    this.#warned = true;
    logger.warn(
      { destination: this.destination, bytes: used, bytesMax, hints },
      'hints for a node have filled most of their room; at the limit no more are kept',
    );
  }

  async #commitAll(): Promise<void> {
    this.#isCommitDue = false;
    while (this.#pending.length > 0) await this.#commitNext();
  }

  async #commitNext(): Promise<void> {
    let bytes = 0;
    let count = 0;
    for (const { batch } of this.#pending) {
      bytes += hintSpace(batch);
      if (count > 0 && bytes > commitBytesMax) break;
      count += 1;
    }
    const taken = this.#pending.splice(0, count);
    try {
      await this.#commit(taken.map(({ batch }) => batch));
      for (const { resolve } of taken) resolve();
    } catch (error) {
      const failure = keepFailure(error, this.destination);
      for (const { reject } of taken) {
        this.#options.metrics.notKept(this.destination);
        reject(failure);
      }
    } finally {
      for (const { batch } of taken) this.#pendingBytes -= batch.bytes.length;
    }
  }

  /** Durable when it resolves. After a failure nothing of the frame counts, and the next one goes into another file. */
  async #commit(batches: readonly EncodedBatch[]): Promise<void> {
    const writing = await this.#segmentFor(frameBytes(batches));
    const { segment, file, sequence } = writing;
    const keptMs = Math.max(0, this.#options.clock.nowMs());
    const frame = encodeFrame(batches, { salt: segment.salt, offset: segment.bytes, sequence, keptMs });
    try {
      await file.write(frame.bytes, segment.bytes);
      await file.sync();
    } catch (error) {
      // What a failed sync left durable is not known: from here on another file is written.
      this.#writing = undefined;
      await cut(file, segment.bytes).catch(() => undefined);
      throw error;
    }
    segment.bytes += frame.bytes.length;
    this.#fileBytes += frame.bytes.length;
    writing.sequence += 1;
    for (const [index, batch] of batches.entries()) {
      const offset = frame.offsets[index]!;
      segment.live += 1;
      // The same batch may have come twice within a commit.
      if (this.index.has(batch)) this.#noteDone(segment.number, offset);
      else
        this.index.add(
          { ...batch, length: batch.bytes.length, offset },
          segment.number,
          Math.floor(keptMs / 1000),
        );
      this.#options.metrics.kept(this.destination, batch.bytes.length);
    }
  }

  async #segmentFor(bytesWanted: number): Promise<WritingSegment> {
    const { segmentBytes = 16 * 2 ** 20 } = this.#options;
    if (this.#writing !== undefined && this.#writing.segment.bytes < segmentBytes) return this.#writing;
    const made = await this.#files.create(Math.max(bytesWanted, segmentBytes));
    await this.#writing?.file.close();
    this.#writing = { ...made, sequence: 0 };
    this.#segments.set(made.segment.number, made.segment);
    this.#fileBytes += made.segment.bytes;
    return this.#writing;
  }

  #noteDone(number: number, offset: number): void {
    const segment = this.#segments.get(number);
    if (segment === undefined) return;
    segment.live -= 1;
    segment.done.push(offset);
  }

  async #remove(segment: HintSegment): Promise<void> {
    if (this.#writing?.segment === segment) {
      await this.#writing.file.close();
      this.#writing = undefined;
    }
    await this.#reader.forget(segment);
    await this.#files.remove(segment);
    this.#segments.delete(segment.number);
    this.#fileBytes -= segment.bytes;
  }

  #inOrder(work: () => Promise<void>): Promise<void> {
    const run = this.#work.then(work);
    this.#work = run.catch(() => undefined);
    return run;
  }
}

async function cut(file: DiskFile, size: number): Promise<void> {
  try {
    await file.truncate(size);
    await file.sync();
  } finally {
    await file.close();
  }
}

function keepFailure(error: unknown, destination: NodeId): VarveError {
  if (isVarveError(error, 'exhausted', 'unavailable')) return error;
  return new VarveError('unavailable', `keeping hints for node ${destination}: ${errorMessage(error)}`, {
    cause: error,
  });
}
