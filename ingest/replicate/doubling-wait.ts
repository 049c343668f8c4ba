import type { Random } from '../../core/ports/random.js';

export interface DoublingWaitOptions {
  readonly minMs: number;
  readonly maxMs: number;
  readonly random: Random;
}

/** Waits between tries: each twice the one before, and shortened by chance by up to a half, so that the nodes do not all knock at once. */
export class DoublingWait {
  readonly #options: DoublingWaitOptions;
  #nextMs: number;

  constructor(options: DoublingWaitOptions) {
    this.#options = options;
    this.#nextMs = options.minMs;
  }

  /** Milliseconds to wait after one more failure. */
  take(): number {
    const waitMs = this.#nextMs * (1 - this.#options.random.next() / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#options.maxMs);
    return waitMs;
  }

  /** A try succeeded. */
  reset(): void {
    this.#nextMs = this.#options.minMs;
  }
}
