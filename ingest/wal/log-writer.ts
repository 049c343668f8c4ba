import type { EncodedBatch } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { Disk, DiskFile } from '../../core/ports/disk.js';
import { errorMessage, VarveError } from '../../core/std/errors.js';
import { failpoint } from '../../core/std/failpoint.js';
import type { BatchPlace } from './batch-index.js';
import { CommitLayout, type NewRecord, type PlannedBlock } from './commit-layout.js';
import { CommitWriter } from './commit-writer.js';
import { pageBytes } from './segment-format.js';
import type { SegmentPool } from './segment-pool.js';
import type { Segment } from './segment-store.js';
import type { WalMetrics } from './wal-metrics.js';

export interface LogWriterOptions {
  readonly disk: Disk;
  readonly pool: SegmentPool;
  readonly clock: Clock;
  readonly metrics: WalMetrics;
  readonly blockBytesMax: number;
  readonly commitBytesMax: number;
  /** A batch is durable; called in the order of the log, before its append resolves. */
  readonly onCommitted: (batch: EncodedBatch, place: BatchPlace) => void;
  /** What is durable is not known any more, or the log contradicts itself. */
  readonly onFailed: (error: unknown) => void;
}

/** Where a segment goes on being written. */
export interface WritePosition {
  /** Where the next commit begins. */
  readonly offset: number;
  /** Sequence of the next block. */
  readonly sequence: number;
  /** Number of the last try to commit. */
  readonly commit: number;
}

interface Append extends NewRecord {
  readonly batch: EncodedBatch;
  readonly resolve: () => void;
  readonly reject: (error: VarveError) => void;
}

/** The segment being written. */
interface ActiveSegment {
  readonly segment: Segment;
  readonly file: DiskFile;
  offset: number;
  sequence: number;
  commit: number;
}

/**
 * Writes batches to the log, commit by commit. One commit is in flight at a time, which is what recovery relies on
 * (see recovery.ts); what is appended meanwhile gathers and becomes the next commit.
 */
export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #writer = new CommitWriter();
  #queue: Append[] = [];
  #queuedBytes = 0;
  #committing: Promise<void> | undefined;
  #active: ActiveSegment | undefined;
  #failure: VarveError | undefined;

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  /** Bytes of batches that wait for the disk. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Goes on where a replay ended. */
  resume(segment: Segment, file: DiskFile, position: WritePosition): void {
    const { offset, sequence, commit } = position;
    this.#active = { segment, file, offset, sequence, commit };
    this.#options.pool.startWriting(segment);
  }

  /** Makes sure that there is a segment to write to. */
  async prepare(): Promise<void> {
    if (this.#active === undefined) await this.#rollOver();
  }

  append(batch: EncodedBatch, checksum: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const { bytes } = batch;
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, bytes, length: bytes.length, checksum, resolve, reject });
      this.#queuedBytes += bytes.length;
      this.#committing ??= this.#commitAll();
    });
  }

  /** Refuses what waits and what will come; for when the log cannot be relied on any more. */
  fail(failure: VarveError): void {
    this.#failure = failure;
    this.#rejectAll(this.#take(this.#queue.length), failure);
  }

  /** Waits for the commits under way and closes the file. Nothing may be appended any more. */
  async stop(): Promise<void> {
    await this.#committing;
    await this.#active?.file.close();
    this.#active = undefined;
  }

  async #commitAll(): Promise<void> {
    try {
      // What is appended in the same breath, for the shards of one request, shares the first commit.
      await Promise.resolve();
      while (this.#queue.length > 0) await this.#commitNext();
    } catch (error) {
      // Nothing expected ends here: the log contradicts itself.
      this.#options.onFailed(error);
    } finally {
      this.#committing = undefined;
    }
  }

  async #commitNext(): Promise<void> {
    const active = this.#active;
    const layout = active === undefined ? undefined : this.#layOut(active);
    if (active === undefined || layout === undefined || layout.recordCount === 0) {
      await this.#rollOver().catch((error: unknown) => this.#rejectAll(this.#take(1), error));
      return;
    }
    const appends = this.#take(layout.recordCount);
    try {
      await this.#commit(active, layout, appends);
    } catch (error) {
      this.#rejectAll(appends, error);
    }
  }

  /** Rejects when the batches are not durable. */
  async #commit(
    active: ActiveSegment,
    layout: CommitLayout<Append>,
    appends: readonly Append[],
  ): Promise<void> {
    const { clock, metrics, pool } = this.#options;
    const { blocks } = layout;
    const startMs = clock.monotonicMs();
    active.commit += 1;
    // If this fails, what was written has a number of commit that no later block continues: it does not count.
    await this.#writer.write(active.file, blocks, { ...active, salt: active.segment.salt });
    const writtenMs = clock.monotonicMs();
    await this.#relyOn(async () => {
      failpoint('wal.before-sync');
      await active.file.sync();
      failpoint('wal.after-sync');
      active.offset = layout.end;
      active.sequence += blocks.length;
      this.#tellCommitted(active.segment, blocks);
    });
    metrics.committed({
      batches: appends.length,
      bytes: appends.reduce((sum, append) => sum + append.length, 0),
      writeSeconds: (writtenMs - startMs) / 1000,
      syncSeconds: (clock.monotonicMs() - writtenMs) / 1000,
    });
    for (const append of appends) append.resolve();
    // A quarter full: early enough for the fastest writers, and an idle node makes no more than it needs.
    if (active.offset >= active.segment.bytes / 4) pool.makeAhead();
  }

  #tellCommitted(segment: Segment, blocks: readonly PlannedBlock<Append>[]): void {
    for (const block of blocks) {
      for (const [index, { batch, length }] of block.records.entries()) {
        const offset = block.recordOffsets[index] ?? 0;
        this.#options.onCommitted(batch, { segment: segment.number, offset, length });
      }
    }
  }

  #layOut(active: ActiveSegment): CommitLayout<Append> {
    const { blockBytesMax, commitBytesMax } = this.#options;
    const capacity = Math.floor(active.segment.bytes / pageBytes) * pageBytes;
    const bounds = { start: active.offset, capacity, blockBytesMax, commitBytesMax };
    const layout = new CommitLayout<Append>(bounds);
    for (const append of this.#queue) if (!layout.tryAdd(append)) break;
    return layout;
  }

  /** Closes the active segment and goes on in the next. Rejects, and changes nothing, when no next one is to be had. */
  async #rollOver(): Promise<void> {
    const { disk, pool } = this.#options;
    const next = await pool.next();
    const old = this.#active;
    if (old !== undefined) {
      old.commit += 1;
      await this.#writer.writeClosing(old.file, old.offset, { ...old, salt: old.segment.salt });
      await this.#relyOn(() => old.file.sync());
    }
    // Were this to fail, the old segment would go on being written, over its closing block.
    const file = await disk.open(next.path, 'existing');
    this.#active = { segment: next, file, offset: pageBytes, sequence: 0, commit: 0 };
    pool.takeNext(next);
    await old?.file.close();
    if (old !== undefined) pool.retireFreeLater();
  }

  /** Takes the first appends from the queue. */
  #take(count: number): Append[] {
    const taken = this.#queue.splice(0, count);
    for (const append of taken) this.#queuedBytes -= append.length;
    return taken;
  }

  async #relyOn(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#options.onFailed(error);
      throw error;
    }
  }

  #rejectAll(appends: readonly Append[], error: unknown): void {
    const rejection =
      error instanceof VarveError && (error.kind === 'exhausted' || error.kind === 'unavailable')
        ? error
        : new VarveError('unavailable', `appending to the WAL: ${errorMessage(error)}`, { cause: error });
    for (const append of appends) {
      this.#options.metrics.rejected(rejection.kind);
      append.reject(rejection);
    }
  }
}
