import { setMaxListeners } from 'node:events';
import type { Clock } from '../../core/ports/clock.js';
import type { Timeline } from './timeline.js';

/** The wall clock of the simulation at its beginning: shortly before a midnight, so that points cross days. */
export const startMs = Date.UTC(2026, 0, 9, 23, 59, 40);

/** No timer is finer; and what is added to the time must make a difference to it, for times are fractions. */
const shortestSleepMs = 0.001;

/**
 * One start of a process: its clock, and what it sees of the world. A process that has ended sees no answer any more
 * and its sleeps never end, so its code stands still wherever it was; one that is paused sees all later.
 */
export class SimulatedProcess implements Clock {
  readonly name: string;
  readonly #timeline: Timeline;
  readonly #bornMs: number;
  readonly #onEnd: ((error: Error) => void)[] = [];
  #skewMs: number;
  #alive = true;
  #paused = false;
  #waiting: (() => void)[] = [];
  /** Each takes back a listener. */
  readonly #listening = new Set<() => void>();

  constructor(timeline: Timeline, name: string, skewMs: number) {
    this.name = name;
    this.#timeline = timeline;
    this.#bornMs = timeline.nowMs;
    this.#skewMs = skewMs;
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  nowMs(): number {
    return Math.floor(startMs + this.#timeline.nowMs + this.#skewMs);
  }

  monotonicMs(): number {
    return this.#timeline.nowMs - this.#bornMs;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const stopListening = this.#onAbort(signal, () => {
        timer.cancel();
        reject(signal?.reason);
      });
      const timer = this.#timeline.after(Math.max(delayMs, shortestSleepMs), () => {
        this.#whenAwake(() => {
          stopListening();
          resolve();
        });
      });
    });
  }

  /** Settles as `work`, or rejects with the signal's reason as soon as it is aborted. */
  orAbort<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (signal === undefined) return work;
    if (signal.aborted) {
      work.catch(() => {
        // The caller has gone.
      });
      return Promise.reject(signal.reason);
    }
    return new Promise((resolve, reject) => {
      const stopListening = this.#onAbort(signal, () => reject(signal.reason));
      work.then(
        (result) => {
          stopListening();
          resolve(result);
        },
        (error: unknown) => {
          stopListening();
          reject(error);
        },
      );
    });
  }

  /** Sets the wall clock forward or back. */
  stepWall(byMs: number): void {
    this.#skewMs += byMs;
  }

  /** Sets the wall clock right up to `skewMs`. */
  setSkew(skewMs: number): void {
    this.#skewMs = skewMs;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** The process is gone; whoever waits for its answer learns it. */
  end(reason: Error): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#waiting = [];
    for (const stopListening of this.#listening) stopListening();
    for (const tell of this.#onEnd.splice(0)) tell(reason);
  }

  /** What came of `work`, when the process can see it. */
  async gate<T>(work: Promise<T>): Promise<T> {
    try {
      const result = await work;
      if (!this.#alive || this.#paused) await this.awake();
      return result;
    } catch (error) {
      if (!this.#alive || this.#paused) await this.awake();
      throw error;
    }
  }

  /** Resolves at once, or when the process goes on; never once it has ended. */
  async awake(): Promise<void> {
    while (this.#alive && this.#paused) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    // A promise of its own: one for all would keep every wait that never ends, and what it holds, for ever.
    if (!this.#alive) await new Promise<never>(() => {});
  }

  /** Rejects as soon as the process ends, if `work` has not settled before. */
  orEnd<T>(work: Promise<T>): Promise<T> {
    if (!this.#alive) return Promise.reject(new Error(`${this.name} has ended`));
    return new Promise((resolve, reject) => {
      this.#onEnd.push(reject);
      const done = (): void => {
        const at = this.#onEnd.indexOf(reject);
        if (at >= 0) this.#onEnd.splice(at, 1);
      };
      work.then(
        (result) => {
          done();
          resolve(result);
        },
        (error) => {
          done();
          reject(error);
        },
      );
    });
  }

  /**
   * Runs `run` when the signal is aborted, until the function that it returns is called or the process ends: a signal
   * made of others is kept for as long as it is listened to, and with it all that the listener knows.
   */
  #onAbort(signal: AbortSignal | undefined, run: () => void): () => void {
    if (signal === undefined) return () => {};
    const stopListening = (): void => {
      signal.removeEventListener('abort', abort);
      this.#listening.delete(stopListening);
    };
    const abort = (): void => {
      stopListening();
      run();
    };
    // Many may wait under one signal.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', abort);
    this.#listening.add(stopListening);
    return stopListening;
  }

  #whenAwake(run: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#waiting.push(() => this.#whenAwake(run));
    else run();
  }
}
