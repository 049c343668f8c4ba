import type { Clock } from '../../core/ports/clock.js';
import type { Disk, DiskFile } from '../../core/ports/disk.js';
import type { Random } from '../../core/ports/random.js';
import { VarveError } from '../../core/std/errors.js';
import { failpoint } from '../../core/std/failpoint.js';
import type { Logger } from '../../core/std/logger.js';
import { formatSizeBytes } from '../../core/std/units.js';
import { writeBytesMax } from './commit-writer.js';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  pageBytes,
  parseWalFileName,
  type SegmentHeader,
  saltBytes,
  segmentFileName,
  spareFileName,
} from './segment-format.js';

/** A segment file of the log. */
export interface Segment extends SegmentHeader {
  readonly path: string;
  /** Length of the file. */
  readonly bytes: number;
}

export interface SegmentStoreOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly segmentBytes: number;
  /** All files of the log together stay below this. */
  readonly bytesMax: number;
  /** Left free on the disk: without it nothing could be sealed any more, and so nothing released. */
  readonly reserveBytes: number;
  /** Files kept for reuse. */
  readonly sparesMax: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** A sync failed on which the log relies: what is durable is not known any more. */
  readonly onSyncFailed: (error: unknown) => void;
}

/** How much is filled before it is synced, so that syncs of the log never wait for a whole file of zeros. */
const fillSyncBytes = 8 * writeBytesMax;

/**
 * The files of the log: makes segments ahead of their use and takes them back. A segment's file is always written
 * full length before it gets its name, so that a commit changes no metadata and its fdatasync is one write.
 *
 * Life of a file: spare (any content) → header with a new salt, synced → renamed to its number, directory synced →
 * written → retired: renamed to spare or removed, directory synced. A crash between any two leaves a spare or a segment.
 *
 * Calls must not overlap; the log runs them one after another.
 */
export class SegmentStore {
  readonly #options: SegmentStoreOptions;
  readonly #spares: { readonly name: string; readonly bytes: number }[] = [];
  #nextNumber = 1;
  #nextSpare = 1;
  #bytes = 0;

  constructor(options: SegmentStoreOptions) {
    this.#options = options;
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#bytes;
  }

  get spares(): number {
    return this.#spares.length;
  }

  /**
   * Finds the segments, in order, and keeps the spares that can be used again.
   *
   * @throws VarveError `corrupt` when a segment's header is damaged or of another version
   */
  async open(): Promise<Segment[]> {
    const { disk, directory, logger } = this.#options;
    await disk.makeDirectory(directory);
    // The directory's own name must last, and so must the names in it that a killed process may not have synced.
    const parts = directory.split('/');
    for (let depth = 0; depth <= parts.length; depth++) {
      await disk.syncDirectory(parts.slice(0, depth).join('/'));
    }
    const segments: Segment[] = [];
    for (const name of await disk.list(directory)) {
      const parsed = parseWalFileName(name);
      if (parsed.kind === 'foreign') {
        logger.warn(
          { file: this.#pathOf(name) },
          'a file in the WAL directory is not of the WAL; left alone',
        );
      } else if (parsed.kind === 'spare') {
        await this.#openSpare(name, parsed.number);
      } else {
        segments.push(await this.#openSegment(name, parsed.number));
      }
    }
    return segments;
  }

  /**
   * Makes the next segment, from a spare or anew, durable under its name.
   *
   * @throws VarveError `exhausted` when bytesMax or the disk do not allow another one; nothing is left behind
   */
  async make(signal: AbortSignal): Promise<Segment> {
    const { disk, clock, random, segmentBytes } = this.#options;
    const spare = this.#spares.pop() ?? (await this.#makeSpare(signal));
    const number = this.#nextNumber;
    const header = { number, salt: random.bytes(saltBytes), createdMs: Math.max(0, clock.nowMs()) };
    const path = this.#pathOf(segmentFileName(number));
    try {
      await this.#withFile(this.#pathOf(spare.name), 'existing', async (file) => {
        await file.write(encodeSegmentHeader(header), 0);
        await this.#relyOn(file.sync());
      });
      await disk.rename(this.#pathOf(spare.name), path);
    } catch (error) {
      this.#spares.push(spare);
      throw error;
    }
    this.#nextNumber += 1;
    await this.#relyOn(disk.syncDirectory(this.#options.directory));
    return { ...header, path, bytes: segmentBytes };
  }

  /**
   * Takes segments back that are no longer needed: durable when it resolves. One whose file could not be renamed or
   * removed is in the answer and is still a segment.
   */
  async retire(segments: readonly Segment[]): Promise<readonly Segment[]> {
    const { disk, directory, logger } = this.#options;
    const kept: Segment[] = [];
    failpoint('wal.before-truncate');
    for (const segment of segments) {
      try {
        await this.#retireOne(segment);
      } catch (error) {
        logger.warn({ segment: segment.path, error }, 'a WAL segment could not be retired; kept for now');
        kept.push(segment);
      }
      failpoint('wal.during-truncate');
    }
    await this.#relyOn(disk.syncDirectory(directory));
    return kept;
  }

  async #retireOne(segment: Segment): Promise<void> {
    const { disk, segmentBytes, sparesMax } = this.#options;
    if (segment.bytes === segmentBytes && this.#spares.length < sparesMax) {
      const name = spareFileName(this.#nextSpare++);
      await disk.rename(segment.path, this.#pathOf(name));
      this.#spares.push({ name, bytes: segment.bytes });
    } else {
      await disk.remove(segment.path);
      this.#bytes -= segment.bytes;
    }
  }

  async #openSpare(name: string, number: number): Promise<void> {
    const { disk, segmentBytes, sparesMax } = this.#options;
    this.#nextSpare = Math.max(this.#nextSpare, number + 1);
    const path = this.#pathOf(name);
    const bytes = await this.#withFile(path, 'existing', (file) => file.size());
    if (bytes === segmentBytes && this.#spares.length < sparesMax) {
      this.#spares.push({ name, bytes });
      this.#bytes += bytes;
    } else {
      // Of another size: half filled when the process ended, or of a time with other settings.
      await disk.remove(path);
    }
  }

  async #openSegment(name: string, number: number): Promise<Segment> {
    this.#nextNumber = Math.max(this.#nextNumber, number + 1);
    const path = this.#pathOf(name);
    return this.#withFile(path, 'existing', async (file) => {
      const page = new Uint8Array(pageBytes);
      const got = await file.read(page, 0);
      const header = decodeSegmentHeader(page.subarray(0, got), path, number);
      const bytes = await file.size();
      this.#bytes += bytes;
      return { ...header, path, bytes };
    });
  }

  async #makeSpare(signal: AbortSignal): Promise<{ readonly name: string; readonly bytes: number }> {
    const { disk, segmentBytes } = this.#options;
    await this.#checkRoom();
    const name = spareFileName(this.#nextSpare++);
    const path = this.#pathOf(name);
    this.#bytes += segmentBytes;
    try {
      await this.#withFile(path, 'create', (file) => fillWithZeros(file, segmentBytes, signal));
    } catch (error) {
      await disk.remove(path).catch(() => {});
      this.#bytes -= segmentBytes;
      throw error;
    }
    return { name, bytes: segmentBytes };
  }

  async #checkRoom(): Promise<void> {
    const { disk, segmentBytes, bytesMax, reserveBytes } = this.#options;
    const details = { retryAfterSeconds: 10 };
    if (this.#bytes + segmentBytes > bytesMax) {
      throw new VarveError(
        'exhausted',
        `the WAL is full: got ${formatSizeBytes(this.#bytes)} of batches not yet settled; ` +
          `want at most ${formatSizeBytes(bytesMax)}; it empties as windows are settled`,
        details,
      );
    }
    const free = await disk.freeBytes();
    if (free < segmentBytes + reserveBytes) {
      throw new VarveError(
        'exhausted',
        `the disk of the WAL is full: got ${formatSizeBytes(free)} free; want ` +
          `${formatSizeBytes(segmentBytes)} for a segment and ${formatSizeBytes(reserveBytes)} in reserve`,
        details,
      );
    }
  }

  async #relyOn(sync: Promise<void>): Promise<void> {
    try {
      await sync;
    } catch (error) {
      this.#options.onSyncFailed(error);
      throw error;
    }
  }

  async #withFile<T>(
    path: string,
    mode: 'existing' | 'create',
    use: (file: DiskFile) => Promise<T>,
  ): Promise<T> {
    const file = await this.#options.disk.open(path, mode);
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  }

  #pathOf(name: string): string {
    return `${this.#options.directory}/${name}`;
  }
}

async function fillWithZeros(file: DiskFile, bytes: number, signal: AbortSignal): Promise<void> {
  const zeros = new Uint8Array(Math.min(bytes, writeBytesMax));
  for (let offset = 0; offset < bytes; offset += zeros.length) {
    signal.throwIfAborted();
    await file.write(zeros.subarray(0, Math.min(zeros.length, bytes - offset)), offset);
    if ((offset + zeros.length) % fillSyncBytes === 0) await file.sync();
  }
  await file.sync();
}
