import type { Clock } from '../../core/ports/clock.js';
import type { Logger } from '../../core/std/logger.js';
import type { DestinationStatus } from '../../ingest/hints/hints.js';

export interface FigureLogOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hints kept for other nodes. */
  readonly hints: () => readonly DestinationStatus[];
  /** Between two lines; 0: none are written. */
  readonly intervalMs: number;
}

/**
 * Writes figures to the log, every so often, for platforms that make metrics of log lines and scrape nothing. The names
 * are what infra/ looks for.
 */
export class FigureLog {
  readonly #options: FigureLogOptions;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: FigureLogOptions) {
    this.#options = options;
  }

  /** Begins to write, with a line at once. */
  start(): void {
    if (this.#options.intervalMs > 0) this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, logger, hints, intervalMs } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      logger.info(hintFigures(hints(), clock.nowMs()), 'figures');
      await clock.sleep(intervalMs, signal).catch(() => {});
    }
  }
}

/** What is kept for other nodes together: how many, bytes, and the age of the oldest, 0 where there is none. */
export function hintFigures(status: readonly DestinationStatus[], nowMs: number): object {
  const oldestMs = Math.min(...status.map((each) => each.oldestMs ?? nowMs), nowMs);
  return {
    Hints: status.reduce((sum, each) => sum + each.hints, 0),
    HintBytes: status.reduce((sum, each) => sum + each.bytes, 0),
    OldestHintSeconds: (nowMs - oldestMs) / 1000,
  };
}
