import type { Clock } from '../../core/ports/clock.js';

/** Lets a message through once an interval, and counts those it held back. */
export class LogThrottle {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  #nextMs = Number.NEGATIVE_INFINITY;
  #held = 0;

  constructor(options: { readonly clock: Clock; readonly intervalMs: number }) {
    this.#clock = options.clock;
    this.#intervalMs = options.intervalMs;
  }

  /** Calls `log` if the interval is over, with the number of messages held back since the last one. */
  run(log: (held: number) => void): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#nextMs) {
      this.#held += 1;
      return;
    }
    this.#nextMs = nowMs + this.#intervalMs;
    const held = this.#held;
    this.#held = 0;
    log(held);
  }
}
