import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { Disk, DiskFile } from '../../core/ports/disk.js';
import type { Random } from '../../core/ports/random.js';
import { errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { formatSizeBytes } from '../../core/std/units.js';
import { decodeDoneList, encodeDoneEntries, encodeDoneHeader } from './done-list.js';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  type HintEntry,
  saltBytes,
  segmentHeaderBytes,
} from './hint-format.js';
import { type Damage, scanSegment } from './segment-scan.js';

export interface SegmentFilesOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly destination: NodeId;
  /** Left free on the disk: the log of writes needs it more. */
  readonly reserveBytes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A segment: a file of hints that is only added to. */
export interface HintSegment {
  readonly number: number;
  readonly salt: Uint8Array;
  readonly path: string;
  /** Length of the file. */
  bytes: number;
  /** Hints that are still needed. */
  live: number;
  /** Offsets of hints that are needed no more and that the list beside the segment does not have yet. */
  done: number[];
}

/** A segment opened for adding. */
export interface WritableSegment {
  readonly segment: HintSegment;
  readonly file: DiskFile;
}

/** Told of what a restart finds. */
export interface FoundHints {
  readonly onHints: (segment: HintSegment, entries: readonly HintEntry[], keptMs: number) => void;
  readonly onDamage: (path: string, damage: Damage) => void;
}

const segmentName = /^(\d{12})\.hints$/;
const doneName = /^(\d{12})\.done$/;

/** The files of one destination. Calls must not overlap; the queue runs them one after another. */
export class SegmentFiles {
  readonly #options: SegmentFilesOptions;
  #nextNumber = 1;
  /** Lengths of the lists of what is done, by segment. */
  readonly #doneBytes = new Map<number, number>();

  constructor(options: SegmentFilesOptions) {
    this.#options = options;
  }

  /**
   * Finds the segments in order. What a crash tore off the last one is cut; damage anywhere else is told, and what is
   * whole around it is kept. A file whose header cannot be read is left where it is, and told.
   */
  async open(found: FoundHints): Promise<HintSegment[]> {
    const { disk, directory } = this.#options;
    await makeDurableDirectory(disk, directory);
    const names = await disk.list(directory);
    const numbers = names.flatMap((name) => segmentName.exec(name)?.[1] ?? []).map(Number);
    this.#nextNumber =
      Math.max(0, ...numbers, ...names.map((name) => Number(doneName.exec(name)?.[1] ?? 0))) + 1;
    const segments: HintSegment[] = [];
    for (const number of numbers) {
      const segment = await this.#openSegment(number, number === numbers.at(-1), found);
      if (segment !== undefined) segments.push(segment);
    }
    for (const name of names) {
      const number = Number(doneName.exec(name)?.[1] ?? 0);
      if (number > 0 && !numbers.includes(number)) await disk.remove(`${directory}/${name}`);
    }
    return segments;
  }

  /** Makes a segment, durable under its name. `exhausted` when the disk is too full. */
  async create(bytesWanted: number): Promise<WritableSegment> {
    const { disk, directory, destination, clock, random, reserveBytes } = this.#options;
    const free = await disk.freeBytes();
    if (free < bytesWanted + reserveBytes) {
      throw new VarveError(
        'exhausted',
        `keeping hints for node ${destination}: got ${formatSizeBytes(free)} free on the disk; want ` +
          `${formatSizeBytes(bytesWanted)} for them and ${formatSizeBytes(reserveBytes)} in reserve`,
        { retryAfterSeconds: 10 },
      );
    }
    const number = this.#nextNumber++;
    const header = {
      number,
      destination,
      salt: random.bytes(saltBytes),
      createdMs: Math.max(0, clock.nowMs()),
    };
    const path = this.#pathOf(number, 'hints');
    const file = await disk.open(path, 'create');
    try {
      const bytes = encodeSegmentHeader(header);
      await file.write(bytes, 0);
      await file.sync();
      await disk.syncDirectory(directory);
      return { file, segment: { number, salt: header.salt, path, bytes: bytes.length, live: 0, done: [] } };
    } catch (error) {
      await file.close();
      await disk.remove(path).catch(() => undefined);
      throw error;
    }
  }

  /** Notes which hints are done. Lazily: what is lost of it is sent once more. */
  async noteDone(segment: HintSegment): Promise<void> {
    const { disk } = this.#options;
    // More may end while these are written.
    const offsets = [...segment.done];
    if (offsets.length === 0) return;
    const path = this.#pathOf(segment.number, 'done');
    const known = this.#doneBytes.get(segment.number);
    const file = await disk.open(path, known === undefined ? 'create' : 'existing');
    try {
      const front = encodeDoneHeader(segment.salt);
      if (known === undefined || known < front.length) {
        this.#doneBytes.set(segment.number, 0);
        await file.write(front, 0);
      }
      const entries = encodeDoneEntries(offsets, segment.salt);
      const at = Math.max(known ?? 0, front.length);
      await file.write(entries, at);
      await file.sync();
      this.#doneBytes.set(segment.number, at + entries.length);
      segment.done = segment.done.slice(offsets.length);
    } finally {
      await file.close();
    }
  }

  /** Removes a segment none of whose hints is needed. */
  async remove(segment: HintSegment): Promise<void> {
    const { disk } = this.#options;
    await disk.remove(segment.path);
    if (this.#doneBytes.delete(segment.number)) await disk.remove(this.#pathOf(segment.number, 'done'));
  }

  async #openSegment(number: number, isLast: boolean, found: FoundHints): Promise<HintSegment | undefined> {
    const { disk, destination, logger } = this.#options;
    const path = this.#pathOf(number, 'hints');
    const file = await disk.open(path, 'existing');
    try {
      const size = await file.size();
      const front = new Uint8Array(Math.min(size, segmentHeaderBytes(destination)));
      await file.read(front, 0);
      const head = readHeader(front, destination, number);
      if (typeof head === 'string' && size <= segmentHeaderBytes(destination)) {
        // The crash came before its first hint.
        await disk.remove(path);
        return undefined;
      }
      if (typeof head === 'string') {
        found.onDamage(path, { offset: 0, bytes: size, problem: head });
        return undefined;
      }
      const { salt } = head.header;
      const done = await this.#readDone(number, salt);
      const segment: HintSegment = { number, salt, path, bytes: size, live: 0, done: [] };
      const onHints = (entries: readonly HintEntry[], keptMs: number): void => {
        const left = entries.filter((entry) => !done.has(entry.offset));
        segment.live += left.length;
        found.onHints(segment, left, keptMs);
      };
      const { end, damage } = await scanSegment({ file, salt, start: head.end, onHints });
      for (const each of damage) {
        if (!isLast || each.offset < end) found.onDamage(path, each);
      }
      if (isLast) {
        if (end < size) {
          // Torn by a crash before anyone was told that it is kept; cut, so that it is not taken for damage later.
          logger.info({ file: path, bytes: size - end }, 'cut the torn end of a file of hints');
          await file.truncate(end);
          segment.bytes = end;
        }
        // A process that was killed may have written what it did not sync. The next file relies on it.
        await file.sync();
      }
      return segment;
    } finally {
      await file.close();
    }
  }

  async #readDone(number: number, salt: Uint8Array): Promise<Set<number>> {
    const { disk } = this.#options;
    try {
      const file = await disk.open(this.#pathOf(number, 'done'), 'existing');
      try {
        const bytes = new Uint8Array(await file.size());
        await file.read(bytes, 0);
        const offsets = decodeDoneList(bytes, salt);
        this.#doneBytes.set(number, offsets === undefined ? 0 : Math.floor(bytes.length / 8) * 8);
        return offsets ?? new Set();
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isVarveError(error, 'not-found')) return new Set();
      throw error;
    }
  }

  #pathOf(number: number, kind: 'hints' | 'done'): string {
    return `${this.#options.directory}/${String(number).padStart(12, '0')}.${kind}`;
  }
}

/** Destinations that there are hints for, by the folders. */
export async function listDestinations(disk: Disk, root: string): Promise<NodeId[]> {
  const names = await disk.list(root);
  return names
    .filter((name) => /^to-[A-Za-z0-9_.-]{1,64}$/.test(name))
    .map((name) => name.slice(3) as NodeId);
}

function readHeader(
  front: Uint8Array,
  destination: NodeId,
  number: number,
): ReturnType<typeof decodeSegmentHeader> | string {
  try {
    const read = decodeSegmentHeader(front);
    const { header } = read;
    if (header.destination === destination && header.number === number) return read;
    return `it is segment ${header.number} of hints for node ${header.destination}; want ${number} for ${destination}, as its name says`;
  } catch (error) {
    return errorMessage(error);
  }
}

async function makeDurableDirectory(disk: Disk, directory: string): Promise<void> {
  await disk.makeDirectory(directory);
  const parts = directory.split('/');
  for (let depth = 0; depth <= parts.length; depth++)
    await disk.syncDirectory(parts.slice(0, depth).join('/'));
}
