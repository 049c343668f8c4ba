import { crc32 } from 'node:zlib';
import { readBatchHeader } from '../../core/codec/batch-codec.js';
import type { BatchId, EncodedBatch, GroupId, ShardAddress } from '../../core/model/batch.js';
import { compareBytes } from '../../core/model/series-key.js';
import type { Clock } from '../../core/ports/clock.js';
import type { Disk, DiskFile } from '../../core/ports/disk.js';
import type { BatchLeaf } from '../../core/ports/peer.js';
import type { Random } from '../../core/ports/random.js';
import { assert } from '../../core/std/assert.js';
import { errorMessage, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { formatSizeBytes } from '../../core/std/units.js';
import { BatchIndex, type BatchPlace, type LocatedBatch } from './batch-index.js';
import { recordBytesMax } from './commit-layout.js';
import { writeBytesMax } from './commit-writer.js';
import { LogWriter } from './log-writer.js';
import { type RecoveredLog, recoverLog } from './recovery.js';
import { pageBytes } from './segment-format.js';
import { SegmentPool } from './segment-pool.js';
import type { Segment } from './segment-store.js';
import { silentWalMetrics, type WalMetrics } from './wal-metrics.js';

export interface WalOptions {
  readonly disk: Disk;
  /** Directory of the log on the disk; one process at a time uses it. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics?: WalMetrics;
  /**
   * Called once, when a sync has failed or the log contradicts itself. The process must end and recover: after a
   * failed sync, reads show bytes that are not on the disk.
   */
  readonly onFatal: (error: VarveError) => void;
  /** Length of a segment's file; a multiple of 4 KiB. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Largest block of several batches; at most 1 MiB, the default. */
  readonly blockBytesMax?: number;
  /** Largest commit of several batches. Default 4 MiB. */
  readonly commitBytesMax?: number;
  /** Bytes of all files of the log, spare ones included. Default 8 GiB. */
  readonly bytesMax?: number;
  /** Bytes of batches waiting for the disk. Default 256 MiB. */
  readonly queueBytesMax?: number;
  /** Bytes to leave free on the disk, so that windows can still be settled when it is full. Default 256 MiB. */
  readonly reserveBytes?: number;
}

/** What start() found. */
export interface ReplaySummary {
  readonly segments: number;
  readonly blocks: number;
  readonly batches: number;
  /** Batches that the caller wanted; the others' space is free again. */
  readonly kept: number;
  /** Bytes of all batches. */
  readonly bytes: number;
  /** Bytes of a last commit that was never finished, cut. */
  readonly tornBytes: number;
}

export interface WalUsage {
  /** Bytes of all files, spare ones included. */
  readonly bytes: number;
  readonly bytesMax: number;
  readonly segments: number;
  readonly spares: number;
  /** Batches not released, and the bytes of their encodings. */
  readonly batches: number;
  readonly batchBytes: number;
  /** Bytes of appends that wait for the disk. */
  readonly queuedBytes: number;
  /** When the oldest segment was made that holds a batch not released; null when there is none. */
  readonly oldestMs: number | null;
}

const sparesMax = 2;
const mebibyte = 2 ** 20;
const limitDefaults = {
  segmentBytes: 64 * mebibyte,
  blockBytesMax: writeBytesMax,
  commitBytesMax: 4 * mebibyte,
  bytesMax: 8192 * mebibyte,
  queueBytesMax: 256 * mebibyte,
  reserveBytes: 256 * mebibyte,
};

/**
 * The write-ahead log of a node: batches in preallocated segments, made durable by group commit: while one commit is
 * synced the next appends gather, and one fdatasync serves them all. Batches leave by group; a segment none of whose
 * batches is needed any more is reused or removed. The format is drawn in docs/formats/wal.md.
 */
export class Wal {
  readonly #options: WalOptions;
  readonly #metrics: WalMetrics;
  readonly #limits: typeof limitDefaults;
  readonly #pool: SegmentPool;
  readonly #writer: LogWriter;
  readonly #index = new BatchIndex();
  #state: 'new' | 'running' | 'stopped' = 'new';
  #failure: VarveError | undefined;

  constructor(options: WalOptions) {
    const limits = { ...limitDefaults, ...limitsOf(options) };
    checkLimits(limits);
    const metrics = options.metrics ?? silentWalMetrics;
    const { disk, directory, clock, random, logger } = options;
    const fail = (error: unknown): void => this.#fail(error);
    const common = { disk, clock, metrics, ...limits };
    this.#options = options;
    this.#limits = limits;
    this.#metrics = metrics;
    this.#pool = new SegmentPool({ ...common, directory, random, logger, sparesMax, onSyncFailed: fail });
    this.#writer = new LogWriter({
      ...common,
      pool: this.#pool,
      onCommitted: (batch, place) => this.#hold(batch, place),
      onFailed: fail,
    });
  }

  /**
   * Replays the log, in the order of appending, holding one block at a time; then appends may come. `onBatch` says of
   * each batch whether it is still needed. Its bytes are a view of the block: keeping them keeps the block in memory.
   *
   * @throws VarveError `corrupt` on damage in the middle or an unknown version, naming file, offset and what to do;
   *   `unavailable` when the disk cannot be read
   */
  async start(
    onBatch: (batch: EncodedBatch) => 'keep' | 'drop' | Promise<'keep' | 'drop'>,
  ): Promise<ReplaySummary> {
    assert(this.#state === 'new', 'a WAL starts once');
    let batches = 0;
    let kept = 0;
    let bytes = 0;
    const segments = await this.#pool.open();
    const recovered = await recoverLog(this.#options.disk, segments, async (batch, place) => {
      batches += 1;
      bytes += place.length;
      if ((await onBatch(batch)) === 'drop') return;
      kept += 1;
      this.#hold(batch, place);
    });
    await this.#goOnAfter(recovered);
    const { blocks, tornBytes } = recovered;
    const summary = { segments: recovered.segments.length, blocks, batches, kept, bytes, tornBytes };
    if (tornBytes > 0) {
      this.#options.logger.warn(summary, 'the WAL ended in a commit that was never finished; it was cut');
    }
    this.#state = 'running';
    return summary;
  }

  /**
   * Makes a batch durable: on this disk, synced, when it resolves. Batches are replayed in the order of the calls.
   *
   * @throws VarveError `exhausted` (the WAL or its disk is full; later appends work when there is space again),
   *   `too-large`, `unavailable` (not running, behind, or failed for good: see onFatal)
   */
  append(batch: EncodedBatch): Promise<void> {
    const refusal = this.#refusalOf(batch.bytes.length);
    if (refusal === undefined) return this.#writer.append(batch, crc32(batch.bytes));
    this.#metrics.rejected(refusal.kind);
    return Promise.reject(refusal);
  }

  /**
   * The group's batches are not needed any more. Segments that become free are given back, durably, before it
   * resolves. If the process ends before, a replay shows the batches again, and the caller drops them again.
   */
  async release(database: string, group: GroupId): Promise<void> {
    for (const [segment, count] of this.#index.release(database, group)) {
      this.#pool.countBatches(segment, -count);
    }
    await this.#pool.retireFree();
  }

  /** Ids and hashes of the batches held for a shard: the leaves of its digest. */
  list(address: ShardAddress): BatchLeaf[] {
    return this.#index.list(address);
  }

  /**
   * Encodings of the named batches that are held, one at a time, in the order of the log.
   *
   * @throws VarveError `corrupt` when what is read is not what was appended
   */
  async *fetch(address: ShardAddress, ids: readonly BatchId[]): AsyncGenerator<Uint8Array> {
    const batches = this.#index.locate(address, ids);
    const numbers = [...new Set(batches.map((batch) => batch.segment))];
    this.#pool.pin(numbers);
    try {
      for (const number of numbers) {
        const inSegment = batches.filter((batch) => batch.segment === number);
        yield* readBatches(this.#options.disk, this.#pool.get(number), inSegment);
      }
    } finally {
      this.#pool.unpin(numbers);
      this.#pool.retireFreeLater();
    }
  }

  usage(): WalUsage {
    return {
      bytes: this.#pool.bytes,
      bytesMax: this.#limits.bytesMax,
      segments: this.#pool.segmentCount,
      spares: this.#pool.spareCount,
      batches: this.#index.batches,
      batchBytes: this.#index.bytes,
      queuedBytes: this.#writer.queuedBytes,
      oldestMs: this.#pool.oldestMs,
    };
  }

  /** Takes no more appends, makes those under way durable, and closes the files. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    await this.#writer.stop();
    await this.#pool.stop();
  }

  async #goOnAfter(recovered: RecoveredLog): Promise<void> {
    const { disk, logger } = this.#options;
    const last = recovered.segments.at(-1);
    if (last !== undefined) {
      const file = await disk.open(last.path, 'existing');
      // A killed process may have written what it did not sync; from here on it counts as durable. If its sync failed,
      // the system shows what is not on the disk and takes it for clean: only what is written anew gets there.
      if (recovered.lastCommit !== undefined) await writeAnew(file, recovered.lastCommit);
      await file.sync();
      if (recovered.tail === undefined) await file.close();
      else this.#writer.resume(last, file, recovered.tail.end);
    }
    const [ahead] = recovered.unused;
    if (ahead !== undefined) this.#pool.adoptAhead(ahead);
    await this.#pool.retireFree();
    try {
      await this.#writer.prepare();
    } catch (error) {
      // Reading and settling go on with a full disk, which makes room; appends are refused until then.
      logger.warn({ error }, 'the WAL cannot take writes yet');
    }
  }

  #refusalOf(length: number): VarveError | undefined {
    const doing = 'appending to the WAL';
    if (this.#failure !== undefined) return this.#failure;
    if (this.#state !== 'running') return new VarveError('unavailable', `${doing}: it is not running`);
    const lengthMax = recordBytesMax(this.#limits.segmentBytes);
    if (length > lengthMax) {
      const sizes = `got a batch of ${formatSizeBytes(length)}; want at most ${formatSizeBytes(lengthMax)}`;
      return new VarveError('too-large', `${doing}: ${sizes}`);
    }
    const queued = this.#writer.queuedBytes;
    if (queued > 0 && queued + length > this.#limits.queueBytesMax) {
      const sizes = `got ${formatSizeBytes(queued)} of batches that wait for the disk`;
      const most = formatSizeBytes(this.#limits.queueBytesMax);
      return new VarveError('unavailable', `${doing}: ${sizes}; want at most ${most}`, {
        retryAfterSeconds: 1,
      });
    }
    return undefined;
  }

  #hold(batch: EncodedBatch, place: BatchPlace): void {
    this.#index.add(batch, place);
    this.#pool.countBatches(place.segment, 1);
  }

  /** From here on nothing is promised any more. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = new VarveError(
      'unavailable',
      `the WAL failed: ${errorMessage(error)}; it takes no more writes until the process is started again`,
      { cause: error },
    );
    this.#options.logger.error({ error }, 'the WAL failed; the process must end');
    this.#writer.fail(this.#failure);
    this.#options.onFatal(this.#failure);
  }
}

/** The limits that were given. */
function limitsOf(options: WalOptions): Partial<typeof limitDefaults> {
  const names = Object.keys(limitDefaults) as (keyof typeof limitDefaults)[];
  const given = names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]);
  return Object.fromEntries(given) as Partial<typeof limitDefaults>;
}

function checkLimits({ segmentBytes, blockBytesMax, bytesMax }: typeof limitDefaults): void {
  const wholePages = segmentBytes % pageBytes === 0 && segmentBytes >= 4 * pageBytes;
  // Offsets in a segment stand in 32 bits.
  if (wholePages && segmentBytes < 2 ** 32 && blockBytesMax <= writeBytesMax && bytesMax >= segmentBytes)
    return;
  throw new VarveError(
    'invalid',
    `WAL limits: got segments of ${formatSizeBytes(segmentBytes)}, blocks of ${formatSizeBytes(blockBytesMax)} and ` +
      `${formatSizeBytes(bytesMax)} in all; want segments of at least 16 KiB in whole 4 KiB and below 4 GiB, ` +
      'blocks of at most 1 MiB, and room for a segment at least',
  );
}

/** Writes bytes [from, to) of the file as they are. */
async function writeAnew(
  file: DiskFile,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  const piece = new Uint8Array(Math.min(to - from, writeBytesMax));
  for (let offset = from; offset < to; ) {
    const got = await file.read(piece.subarray(0, Math.min(piece.length, to - offset)), offset);
    if (got === 0) return;
    await file.write(piece.subarray(0, got), offset);
    offset += got;
  }
}

async function* readBatches(
  disk: Disk,
  segment: Segment,
  batches: readonly LocatedBatch[],
): AsyncGenerator<Uint8Array> {
  const file = await disk.open(segment.path, 'existing');
  try {
    for (const { offset, length, hash } of batches) {
      const bytes = new Uint8Array(length);
      const got = await file.read(bytes, offset);
      if (got !== length || compareBytes(readBatchHeader(bytes).hash, hash) !== 0) {
        throw new VarveError(
          'corrupt',
          `reading a batch from WAL segment ${segment.path} at offset ${offset}: its hash is not that of the batch ` +
            'appended; the disk is damaged',
        );
      }
      yield bytes;
    }
  } finally {
    await file.close();
  }
}
