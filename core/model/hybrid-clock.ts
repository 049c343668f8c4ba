import type { Clock } from '../ports/clock.js';

const counterBits = 16n;

/** What a hybrid clock is made of. */
export interface HybridClockOptions {
  readonly clock: Clock;
  /** How far ahead of the wall clock an observed stamp may be. Default 60 s. */
  readonly skewMaxMs?: number;
}

/**
 * Source of write stamps: milliseconds since the epoch in 48 bits, then a counter in 16. Stamps of one clock grow
 * strictly, whatever the wall clock does, and are greater than every stamp observed before; a counter that overflows
 * carries into the milliseconds. After Kulkarni et al., "Logical Physical Clocks" (2014).
 */
export class HybridClock {
  readonly #clock: Clock;
  readonly #skewMaxMs: number;
  #last = 0n;

  constructor(options: HybridClockOptions) {
    this.#clock = options.clock;
    this.#skewMaxMs = options.skewMaxMs ?? 60_000;
  }

  /** The next stamp. */
  next(): bigint {
    const wall = BigInt(Math.floor(this.#clock.nowMs())) << counterBits;
    this.#last = wall > this.#last ? wall : this.#last + 1n;
    return this.#last;
  }

  /** Goes beyond a stamp that this node itself gave in an earlier start, however far ahead it is. */
  goBeyond(stamp: bigint): void {
    if (stamp > this.#last) this.#last = stamp;
  }

  /**
   * Learns of a stamp that another clock gave, so that what is written next here wins over it. One further ahead than
   * the bound is left alone: taking it would let one wrong clock push those of all nodes into the future.
   */
  observe(stamp: bigint): 'observed' | 'too-far-ahead' {
    if (stamp <= this.#last) return 'observed';
    const aheadMs = stampMs(stamp) - this.#clock.nowMs();
    if (aheadMs > this.#skewMaxMs) return 'too-far-ahead';
    this.#last = stamp;
    return 'observed';
  }
}

/** The milliseconds since the epoch in a stamp. */
export function stampMs(stamp: bigint): number {
  return Number(stamp >> counterBits);
}
