import type { Clock } from '../../core/ports/clock.js';

/** Shorter waits are let add up: timers are no finer than this. */
const waitMsMin = 20;

/** Holds a flow to so many bytes a second, on average over a fraction of a second. */
export class ByteRate {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  #freeAtMs = 0;

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Resolves when the bytes may go; rejects with the signal's reason when aborted. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const goAtMs = Math.max(nowMs, this.#freeAtMs);
    this.#freeAtMs = goAtMs + (bytes / this.#bytesPerSecond) * 1000;
    if (goAtMs - nowMs >= waitMsMin) await this.#clock.sleep(goAtMs - nowMs, signal);
  }
}
