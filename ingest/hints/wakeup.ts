import type { Clock } from '../../core/ports/clock.js';

/** Lets one loop wait until something happens, or a time has passed. What happens while nobody waits is not lost. */
export class Wakeup {
  readonly #clock: Clock;
  #isDue = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the wait, or the next one. */
  wake(): void {
    this.#isDue = true;
    this.#wake?.();
  }

  /** Resolves at the next wake, after `delayMs` if that is given, or when aborted. Never rejects. */
  async wait(delayMs: number | undefined, signal: AbortSignal): Promise<void> {
    if (!this.#isDue && !signal.aborted) {
      const over = new AbortController();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal });
        // Aborted when something else ended the wait.
        if (delayMs !== undefined) this.#clock.sleep(delayMs, over.signal).then(resolve, () => undefined);
      });
      over.abort();
      this.#wake = undefined;
    }
    this.#isDue = false;
  }
}
