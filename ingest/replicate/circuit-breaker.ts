import type { Clock } from '../../core/ports/clock.js';
import type { Random } from '../../core/ports/random.js';
import { DoublingWait } from './doubling-wait.js';

/** closed: calls go out. open: none does. half-open: one goes out, to see whether the others may. */
export type BreakerState = 'closed' | 'open' | 'half-open';

export interface CircuitBreakerOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Failures in a row that open it. Default 3. */
  readonly failuresMax?: number;
  /** Wait before the first probe; doubled after each that fails. Default 1 s. */
  readonly backOffMinMs?: number;
  /** Default 30 s. */
  readonly backOffMaxMs?: number;
  /** Told of every change. */
  readonly onChange?: (state: BreakerState) => void;
}

/**
 * Keeps calls from a destination that fails, so that neither waits for the other in vain. It opens after failures in
 * a row, lets one call through when the back-off is over, and closes with the first success. Back-offs are shortened by
 * chance by up to a half, so that the nodes do not all knock at once. After Nygard, "Release It!".
 */
export class CircuitBreaker {
  readonly #clock: Clock;
  readonly #failuresMax: number;
  readonly #wait: DoublingWait;
  readonly #onChange: (state: BreakerState) => void;
  #state: BreakerState = 'closed';
  #failures = 0;
  #probeAtMs = 0;

  constructor(options: CircuitBreakerOptions) {
    this.#clock = options.clock;
    this.#failuresMax = options.failuresMax ?? 3;
    const { random, backOffMinMs = 1000, backOffMaxMs = 30_000 } = options;
    this.#wait = new DoublingWait({ minMs: backOffMinMs, maxMs: backOffMaxMs, random });
    this.#onChange = options.onChange ?? (() => {});
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Milliseconds until a call is let through; 0 when it is now. */
  get waitMs(): number {
    return this.#state === 'open' ? Math.max(0, this.#probeAtMs - this.#clock.monotonicMs()) : 0;
  }

  /** Whether a call may go out now. One that may must be followed by succeeded() or failed(). */
  admit(): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'half-open' || this.waitMs > 0) return false;
    this.#change('half-open');
    return true;
  }

  /** Something else tells that the destination answers again: the next call goes out, whatever the back-off. */
  tryNow(): void {
    if (this.#state !== 'open') return;
    this.#wait.reset();
    this.#probeAtMs = this.#clock.monotonicMs();
  }

  /** The destination answered. */
  succeeded(): void {
    this.#failures = 0;
    this.#wait.reset();
    if (this.#state !== 'closed') this.#change('closed');
  }

  /** The destination did not answer, or answered that it can take nothing. */
  failed(): void {
    // Calls that were under way when it opened tell nothing new.
    if (this.#state === 'open') return;
    if (this.#state === 'closed' && ++this.#failures < this.#failuresMax) return;
    this.#failures = 0;
    this.#probeAtMs = this.#clock.monotonicMs() + this.#wait.take();
    this.#change('open');
  }

  #change(state: BreakerState): void {
    this.#state = state;
    this.#onChange(state);
  }
}
