import { assert } from '../../core/std/assert.js';
import { VarveError } from '../../core/std/errors.js';
import { type Segment, SegmentStore, type SegmentStoreOptions } from './segment-store.js';
import type { WalMetrics } from './wal-metrics.js';

export interface SegmentPoolOptions extends SegmentStoreOptions {
  readonly metrics: WalMetrics;
}

/**
 * Which segments there are and what they are needed for: the one being written, those that hold batches not released,
 * those being read, and the one made ahead. What is needed for nothing goes back to the store.
 */
export class SegmentPool {
  readonly #options: SegmentPoolOptions;
  readonly #store: SegmentStore;
  /** All but the one made ahead. */
  readonly #segments = new Map<number, Segment>();
  /** Batches not released, by segment. */
  readonly #batches = new Map<number, number>();
  /** Readers, by segment. */
  readonly #pins = new Map<number, number>();
  readonly #stopping = new AbortController();
  #writing: Segment | undefined;
  #ahead: Promise<Segment> | undefined;
  #aheadTried = false;
  /** Calls to the store run one after another. */
  #storeWork: Promise<unknown> = Promise.resolve();

  constructor(options: SegmentPoolOptions) {
    this.#options = options;
    this.#store = new SegmentStore(options);
  }

  get segmentCount(): number {
    return this.#segments.size;
  }

  get spareCount(): number {
    return this.#store.spares;
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#store.bytes;
  }

  /** When the oldest segment was made that holds a batch not released; null when there is none. */
  get oldestMs(): number | null {
    let oldest: number | null = null;
    for (const segment of this.#segments.values()) {
      if ((this.#batches.get(segment.number) ?? 0) === 0) continue;
      oldest = Math.min(oldest ?? segment.createdMs, segment.createdMs);
    }
    return oldest;
  }

  /** The segments found on the disk, in order. */
  async open(): Promise<readonly Segment[]> {
    const segments = await this.#store.open();
    for (const segment of segments) this.#segments.set(segment.number, segment);
    return segments;
  }

  get(number: number): Segment {
    const segment = this.#segments.get(number);
    assert(segment !== undefined, `WAL segment ${number} is in use and is not there`);
    return segment;
  }

  /** Takes a segment that was made ahead before the process ended. */
  adoptAhead(segment: Segment): void {
    if (segment.bytes !== this.#options.segmentBytes) return;
    this.#segments.delete(segment.number);
    this.#ahead = Promise.resolve(segment);
  }

  /** The segment that is written from now on. */
  startWriting(segment: Segment): void {
    this.#segments.set(segment.number, segment);
    this.#writing = segment;
  }

  /** Waits for the next segment; it stays the next one until takeNext. */
  next(): Promise<Segment> {
    this.#ahead ??= this.#make().catch((error: unknown) => {
      this.#ahead = undefined;
      throw error;
    });
    return this.#ahead;
  }

  takeNext(segment: Segment): void {
    this.#ahead = undefined;
    this.#aheadTried = false;
    this.startWriting(segment);
  }

  /** Begins to make the next segment; asked again, it tries again only after something has changed. */
  makeAhead(): void {
    if (this.#aheadTried) return;
    this.#aheadTried = true;
    this.next().catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) {
        this.#options.logger.warn({ error }, 'no further WAL segment could be made; it is tried again');
      }
    });
  }

  /** Counts batches that a segment holds, or, negative, that it need not hold any more. */
  countBatches(segment: number, difference: number): void {
    this.#batches.set(segment, (this.#batches.get(segment) ?? 0) + difference);
  }

  /** Keeps the segments as they are until unpin. */
  pin(segments: readonly number[]): void {
    for (const number of segments) this.#pins.set(number, (this.#pins.get(number) ?? 0) + 1);
  }

  unpin(segments: readonly number[]): void {
    for (const number of segments) {
      const count = (this.#pins.get(number) ?? 0) - 1;
      if (count > 0) this.#pins.set(number, count);
      else this.#pins.delete(number);
    }
  }

  /** Gives back the segments that are needed for nothing; durable when it resolves. */
  retireFree(): Promise<void> {
    return this.#inStore(async () => {
      const free = [...this.#segments.values()].filter((segment) => this.#isFree(segment));
      if (free.length === 0) return;
      for (const segment of free) this.#segments.delete(segment.number);
      const kept = new Set(await this.#store.retire(free));
      for (const segment of free) {
        if (kept.has(segment)) this.#segments.set(segment.number, segment);
        else this.#batches.delete(segment.number);
      }
      this.#aheadTried = false;
      this.#options.metrics.segmentsRetired(free.length - kept.size);
    });
  }

  /** The same when nobody waits for it; a failure shows as a segment that stays. */
  retireFreeLater(): void {
    this.retireFree().catch((error: unknown) => {
      this.#options.logger.warn({ error }, 'WAL segments could not be given back; it is tried again');
    });
  }

  /** Ends what is being made ahead and waits until the store is at rest. */
  async stop(): Promise<void> {
    this.#stopping.abort(new VarveError('cancelled', 'the WAL is stopping'));
    await this.#storeWork;
  }

  #make(): Promise<Segment> {
    return this.#inStore(async () => {
      const { clock, metrics } = this.#options;
      const startMs = clock.monotonicMs();
      const segment = await this.#store.make(this.#stopping.signal);
      metrics.segmentMade((clock.monotonicMs() - startMs) / 1000);
      return segment;
    });
  }

  #isFree(segment: Segment): boolean {
    return (
      segment !== this.#writing &&
      (this.#batches.get(segment.number) ?? 0) === 0 &&
      !this.#pins.has(segment.number)
    );
  }

  #inStore<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#storeWork.then(work);
    this.#storeWork = run.catch(() => {});
    return run;
  }
}
