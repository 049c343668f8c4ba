import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { AppendResult, Peer } from '../../core/ports/peer.js';
import type { Random } from '../../core/ports/random.js';
import { type ErrorKind, errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { formatDurationMs, formatSizeBytes } from '../../core/std/units.js';
import { type BreakerState, CircuitBreaker } from './circuit-breaker.js';
import type { ReplicationMetrics, SendFailure } from './replication-metrics.js';

export interface DestinationLaneOptions {
  readonly node: NodeId;
  readonly peerOf: (node: NodeId) => Peer | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ReplicationMetrics;
  /** Bytes of batches on their way; one batch goes whatever its size. */
  readonly inFlightBytesMax: number;
}

/** What the node made of a batch, or why it has it not. */
export type LaneAnswer = AppendResult | SendError;

export interface SendError {
  readonly kind: 'failed';
  readonly error: VarveError;
  /** False when the node would refuse the batch at any time. */
  readonly mayRetry: boolean;
}

/** How a lane stands. */
export interface LaneUsage {
  readonly node: NodeId;
  readonly inFlightBatches: number;
  readonly inFlightBytes: number;
  readonly breaker: BreakerState;
}

/** Answers that a sound node gives to a bad batch: they say nothing about the node, and repeating the call changes nothing. */
const refusesBatch: ReadonlySet<ErrorKind> = new Set(['invalid', 'too-large', 'corrupt']);

/**
 * The way to one other node: bounded bytes under way, and none at all while the node fails. It never waits: what
 * cannot go at once fails at once, so that the caller keeps a hint instead.
 */
export class DestinationLane {
  readonly #options: DestinationLaneOptions;
  readonly #breaker: CircuitBreaker;
  #inFlightBatches = 0;
  #inFlightBytes = 0;
  #lastFailure = '';

  constructor(options: DestinationLaneOptions) {
    this.#options = options;
    const { clock, random, node, metrics } = options;
    this.#breaker = new CircuitBreaker({
      clock,
      random,
      onChange: (state) => {
        metrics.breaker(node, state);
        this.#tell(state);
      },
    });
  }

  /** Sends an encoded batch. `deadline` ends the wait, also for a peer that takes no notice of it. Never rejects. */
  async send(batch: Uint8Array, deadline: AbortSignal): Promise<LaneAnswer> {
    const { node, peerOf, metrics, inFlightBytesMax } = this.#options;
    if (this.#inFlightBatches > 0 && this.#inFlightBytes + batch.length > inFlightBytesMax) {
      const message = `${formatSizeBytes(this.#inFlightBytes)} of batches are on their way to it; want at most ${formatSizeBytes(inFlightBytesMax)}`;
      return this.#notTried('in-flight-full', message);
    }
    const peer = peerOf(node);
    if (peer === undefined) return this.#notTried('unavailable', 'it is not known here');
    if (!this.#breaker.admit()) {
      return this.#notTried('breaker-open', `it failed before, ${this.#nextTry()}: ${this.#lastFailure}`);
    }
    this.#inFlightBatches += 1;
    this.#inFlightBytes += batch.length;
    const call = peer.append(batch, deadline);
    const leave = (): void => {
      this.#inFlightBatches -= 1;
      this.#inFlightBytes -= batch.length;
    };
    call.then(leave, leave);
    try {
      const result = await before(deadline, call);
      this.#breaker.succeeded();
      if (result.kind !== 'closed') metrics.sent(node, batch.length);
      return result;
    } catch (error) {
      return this.#failed(error);
    }
  }

  /**
   * Whether the node failed again and again and it is too early to try again. Nothing may be sent to a node that owns
   * nothing, so a breaker may stay open though the node is sound: once the back-off is over that tells nothing any more.
   */
  get isSuspected(): boolean {
    return this.#breaker.state === 'half-open' || this.#breaker.waitMs > 0;
  }

  /** The node is seen again: the next batch is sent to it, whatever the back-off. */
  nodeIsBack(): void {
    this.#breaker.tryNow();
  }

  usage(): LaneUsage {
    return {
      node: this.#options.node,
      inFlightBatches: this.#inFlightBatches,
      inFlightBytes: this.#inFlightBytes,
      breaker: this.#breaker.state,
    };
  }

  #nextTry(): string {
    const { waitMs } = this.#breaker;
    if (waitMs === 0) return 'and one try is under way';
    return `and is tried again in ${formatDurationMs(Math.ceil(waitMs / 1000) * 1000)}`;
  }

  #failed(thrown: unknown): SendError {
    const error = isVarveError(thrown) ? thrown : new VarveError('internal', errorMessage(thrown));
    const mayRetry = !refusesBatch.has(error.kind);
    this.#lastFailure = error.message;
    if (mayRetry) this.#breaker.failed();
    else this.#breaker.succeeded();
    this.#options.metrics.sendFailed(this.#options.node, error.kind);
    return { kind: 'failed', error, mayRetry };
  }

  #notTried(reason: SendFailure, message: string): SendError {
    const { node, metrics } = this.#options;
    metrics.sendFailed(node, reason);
    return {
      kind: 'failed',
      error: new VarveError('unavailable', `node ${node}: ${message}`),
      mayRetry: true,
    };
  }

  #tell(state: BreakerState): void {
    const { node, logger } = this.#options;
    const fields = { node, error: this.#lastFailure };
    if (state === 'open')
      logger.warn(fields, 'an owner fails again and again: what it should have is kept for it');
    if (state === 'closed') logger.info({ node }, 'an owner that failed answers again');
  }
}

/** The call's result, or the signal's reason if that fires first. */
export function before<Result>(signal: AbortSignal, call: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    call.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
