import type { EncodedBatch, NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { AppendResult, Peer } from '../../core/ports/peer.js';
import type { Random } from '../../core/ports/random.js';
import { type ErrorKind, errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { before } from '../replicate/destination-lane.js';
import { DoublingWait } from '../replicate/doubling-wait.js';
import { LogThrottle } from '../replicate/log-throttle.js';
import { ByteRate } from './byte-rate.js';
import type { HintRef } from './hint-index.js';
import type { HintMetrics } from './hint-metrics.js';
import type { HintQueue } from './hint-queue.js';
import { Wakeup } from './wakeup.js';

/** How hints are sent. */
export interface ReplayLimits {
  /** Bytes a second to one destination. Default 32 MiB. */
  readonly bytesPerSecond?: number;
  /** Hints on their way to one destination. Default 4; one as long as it is not known to answer. */
  readonly concurrency?: number;
  /** Longest an answer is waited for. Default 10 s. */
  readonly attemptMsMax?: number;
  /** Default 1 s. */
  readonly backOffMinMs?: number;
  /** Default 200 s. */
  readonly backOffMaxMs?: number;
}

export interface HintReplayerOptions extends ReplayLimits {
  readonly queue: HintQueue;
  readonly peerOf: (node: NodeId) => Peer | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: HintMetrics;
}

/** idle: no hints. waiting: none that may be sent now. */
export type ReplayState = 'idle' | 'waiting' | 'replaying' | 'backing-off';

/** Answers that a sound node gives to a bad batch: sending it again at once changes nothing, sending others does. */
const refusesBatch: ReadonlySet<ErrorKind> = new Set([
  'invalid',
  'too-large',
  'corrupt',
  'conflict',
  'internal',
]);
const logEveryMs = 60_000;

/**
 * Sends the hints of one destination while it answers. After a failure it waits, longer each time, shortened by chance
 * so that the nodes do not all knock at once; then it sends one, and all when that one is answered.
 */
export class HintReplayer {
  readonly #options: HintReplayerOptions;
  readonly #queue: HintQueue;
  readonly #rate: ByteRate;
  readonly #wakeup: Wakeup;
  readonly #failures: LogThrottle;
  readonly #refusals: LogThrottle;
  readonly #stopping = new AbortController();
  readonly #inFlight = new Set<Promise<void>>();
  #loop: Promise<void> = Promise.resolve();
  #isFailing = false;
  readonly #backOff: DoublingWait;
  #nextAttemptMs = 0;
  #lastError: string | undefined;
  #lastRefusal: string | undefined;
  #isCatchingUp = false;

  constructor(options: HintReplayerOptions) {
    this.#options = options;
    this.#queue = options.queue;
    this.#rate = new ByteRate(options.clock, options.bytesPerSecond ?? 32 * 2 ** 20);
    this.#wakeup = new Wakeup(options.clock);
    this.#failures = new LogThrottle({ clock: options.clock, intervalMs: logEveryMs });
    this.#refusals = new LogThrottle({ clock: options.clock, intervalMs: logEveryMs });
    const { random, backOffMinMs = 1000, backOffMaxMs = 200_000 } = options;
    this.#backOff = new DoublingWait({ minMs: backOffMinMs, maxMs: backOffMaxMs, random });
  }

  start(): void {
    this.#loop = this.#run(this.#stopping.signal);
  }

  /** Ends the tries under way; their hints stay. */
  async stop(): Promise<void> {
    this.#stopping.abort(new VarveError('cancelled', 'the node is stopping'));
    await this.#loop;
  }

  /** There may be something to send. */
  wake(): void {
    this.#wakeup.wake();
  }

  /** The destination is said to be back: tries now, whatever the back-off. */
  tryNow(): void {
    this.#nextAttemptMs = 0;
    this.#wakeup.wake();
  }

  get state(): ReplayState {
    if (this.#queue.index.count === 0) return 'idle';
    if (this.#isFailing && this.backOffLeftMs > 0) return 'backing-off';
    return this.#inFlight.size > 0 ? 'replaying' : 'waiting';
  }

  /** Milliseconds until the next try; 0 when nothing holds it back. */
  get backOffLeftMs(): number {
    return Math.max(0, this.#nextAttemptMs - this.#options.clock.monotonicMs());
  }

  /** Why the last try failed; undefined when it did not. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** What the node said of the last hint that it refused. */
  get lastRefusal(): string | undefined {
    return this.#lastRefusal;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const backOffMs = this.backOffLeftMs;
      const inFlightMax = this.#isFailing ? 1 : (this.#options.concurrency ?? 4);
      if (this.#inFlight.size >= inFlightMax) await Promise.race(this.#inFlight);
      else if (backOffMs > 0) await this.#wakeup.wait(backOffMs, signal);
      else await this.#next(signal);
    }
    await Promise.all(this.#inFlight);
  }

  async #next(signal: AbortSignal): Promise<void> {
    const ref = this.#queue.index.takeOpen();
    if (ref === undefined) {
      if (this.#inFlight.size > 0) await Promise.race(this.#inFlight);
      else await this.#wakeup.wait(undefined, signal);
      return;
    }
    const bytes = ref.run.place(ref.sequence)?.length ?? 0;
    await this.#rate.take(bytes, signal).catch(() => undefined);
    const sending: Promise<void> = this.#send(ref, signal).finally(() => this.#inFlight.delete(sending));
    this.#inFlight.add(sending);
  }

  /** Never rejects. The hint is ended, refused, or waits again. */
  async #send(ref: HintRef, signal: AbortSignal): Promise<void> {
    const { group, run, sequence } = ref;
    const batch = await this.#read(ref);
    if (batch === undefined) return;
    try {
      const answer = await this.#append(batch, signal);
      this.#answered();
      if (answer.kind !== 'closed') {
        this.#queue.end(ref, 'replayed');
        this.#tellWhenDone();
        return;
      }
      // It takes no more for the group, for ever: what is here is found by whoever seals it.
      group.delivery = 'shut';
      run.set(sequence, 'waiting');
    } catch (error) {
      const isRefused = isVarveError(error) && refusesBatch.has(error.kind);
      run.set(sequence, isRefused ? 'refused' : 'waiting');
      if (signal.aborted) return;
      this.#options.metrics.attemptFailed(this.#queue.destination);
      if (isRefused) this.#refused(error);
      // A defect may be the batch's or the node's: the hint is put aside, and the node is left alone for a while.
      if (!isRefused || isVarveError(error, 'internal')) this.#failed(error);
    }
  }

  async #read(ref: HintRef): Promise<EncodedBatch | undefined> {
    try {
      return await this.#queue.readOrEnd(ref);
    } catch (error) {
      ref.run.set(ref.sequence, 'waiting');
      this.#failed(error);
      return undefined;
    }
  }

  async #append(batch: EncodedBatch, signal: AbortSignal): Promise<AppendResult> {
    const { peerOf, clock, attemptMsMax = 10_000 } = this.#options;
    const { destination } = this.#queue;
    const peer = peerOf(destination);
    if (peer === undefined) throw new VarveError('unavailable', `node ${destination} is not known`);
    const ended = new AbortController();
    const deadline = new AbortController();
    const both = AbortSignal.any([signal, deadline.signal]);
    clock.sleep(attemptMsMax, ended.signal).then(
      () =>
        deadline.abort(
          new VarveError('timeout', `node ${destination} gave no answer within ${attemptMsMax} ms`),
        ),
      () => undefined,
    );
    try {
      return await before(both, peer.append(batch.bytes, both));
    } finally {
      ended.abort();
    }
  }

  #answered(): void {
    const { logger } = this.#options;
    this.#backOff.reset();
    this.#nextAttemptMs = 0;
    this.#lastError = undefined;
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#isCatchingUp = true;
    const { destination, index } = this.#queue;
    logger.info(
      { destination, hints: index.count, bytes: index.bytes },
      'a node answers again: it is sent its hints',
    );
  }

  #tellWhenDone(): void {
    if (!this.#isCatchingUp || this.#queue.index.count > 0) return;
    this.#isCatchingUp = false;
    this.#options.logger.info(
      { destination: this.#queue.destination },
      'a node that was away has been sent all its hints',
    );
  }

  #failed(error: unknown): void {
    const { clock, logger } = this.#options;
    this.#lastError = errorMessage(error);
    // Those that were under way together fail together: once is enough.
    if (this.backOffLeftMs > 0) return;
    this.#isFailing = true;
    const waitMs = this.#backOff.take();
    this.#nextAttemptMs = clock.monotonicMs() + waitMs;
    const { destination, index } = this.#queue;
    this.#failures.run((heldBack) =>
      logger.warn(
        {
          destination,
          hints: index.count,
          bytes: index.bytes,
          waitMs: Math.round(waitMs),
          heldBack,
          error: this.#lastError,
        },
        'hints cannot be sent to a node; it is tried again',
      ),
    );
  }

  #refused(error: unknown): void {
    this.#answered();
    this.#lastRefusal = errorMessage(error);
    this.#refusals.run((heldBack) =>
      this.#options.logger.error(
        { destination: this.#queue.destination, heldBack, error: errorMessage(error) },
        'a node refuses a hint; it is kept, and the others go on',
      ),
    );
  }
}
