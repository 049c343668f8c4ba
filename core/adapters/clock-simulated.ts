import type { Clock } from '../ports/clock.js';

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

export interface SimulatedClockOptions {
  /** Wall clock at the start; default 2024-01-01T00:00:00Z. */
  readonly startMs?: number;
  /**
   * `manual` (default): sleepers wait for advance(). `jump`: whenever all that runs has come to rest, the clock
   * moves to the next due time by itself; for tests in which sleeps are back-offs and no loop sleeps for ever.
   */
  readonly sleeps?: 'manual' | 'jump';
}

/** Time that moves only when told to. Deterministic: the same calls wake the same sleepers in the same order. */
export class SimulatedClock implements Clock {
  readonly #sleeps: 'manual' | 'jump';
  /** In order of arrival, which decides among sleepers that are due at the same moment. */
  readonly #sleepers = new Set<Sleeper>();
  #jumping = false;
  #elapsedMs = 0;
  #wallOffsetMs: number;

  constructor(options: SimulatedClockOptions = {}) {
    this.#wallOffsetMs = options.startMs ?? Date.UTC(2024, 0, 1);
    this.#sleeps = options.sleeps ?? 'manual';
  }

  nowMs(): number {
    return Math.floor(this.#wallOffsetMs + this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** Sleepers that advance() has not reached yet. */
  get sleeperCount(): number {
    return this.#sleepers.size;
  }

  /** Milliseconds until the next sleeper is due; undefined when nobody sleeps. */
  get nextDelayMs(): number | undefined {
    const next = this.#nextSleeper();
    return next === undefined ? undefined : Math.max(0, next.dueMs - this.#elapsedMs);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const dueMs = this.#elapsedMs + Math.max(0, delayMs);
      const onAbort = (): void => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const sleeper: Sleeper = { dueMs, wake };
      this.#sleepers.add(sleeper);
      if (this.#sleeps === 'jump' && !this.#jumping) void this.#jump();
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /**
   * Moves time on. Sleepers wake one by one in order of their due time, each at exactly that time; what a sleeper
   * sets going without waiting for the outside world has run before the next one wakes.
   */
  async advance(byMs: number): Promise<void> {
    const targetMs = this.#elapsedMs + byMs;
    for (;;) {
      await eventLoopTurn();
      const next = this.#nextSleeper();
      if (next === undefined || next.dueMs > targetMs) break;
      this.#wake(next);
    }
    this.#elapsedMs = Math.max(this.#elapsedMs, targetMs);
  }

  /** Sets the wall clock forward or, with a negative value, back, as an operator or NTP would. Sleepers do not notice. */
  stepWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  async #jump(): Promise<void> {
    this.#jumping = true;
    for (;;) {
      await eventLoopTurn();
      const next = this.#nextSleeper();
      if (next === undefined) break;
      this.#wake(next);
    }
    this.#jumping = false;
  }

  #wake(sleeper: Sleeper): void {
    this.#sleepers.delete(sleeper);
    this.#elapsedMs = Math.max(this.#elapsedMs, sleeper.dueMs);
    sleeper.wake();
  }

  #nextSleeper(): Sleeper | undefined {
    let next: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (next === undefined || sleeper.dueMs < next.dueMs) next = sleeper;
    }
    return next;
  }
}

/** Lets every promise that can settle without I/O settle. */
function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
