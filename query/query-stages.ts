import type { Clock } from '../core/ports/clock.js';

/**
 * The stages of a query, one after the other: reading the SQL, deciding what to read, waiting for a slot, reading the
 * hot tier, fetching settled files, running until the answer begins, and handing it out (which is the client's pace
 * too). A query that is planned anew goes through some of them again.
 */
export const queryStages = ['parse', 'plan', 'wait', 'hot', 'files', 'execute', 'answer'] as const;
/** One of them. */
export type QueryStage = (typeof queryStages)[number];

/** How long the stages of one query took. */
export class StageTimes {
  readonly #clock: Clock;
  readonly #millis = new Map<QueryStage, number>();
  #lastMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMs = clock.monotonicMs();
  }

  /** Ends a stage: all the time since the last one ended is its. */
  end(stage: QueryStage): void {
    const nowMs = this.#clock.monotonicMs();
    this.#millis.set(stage, (this.#millis.get(stage) ?? 0) + nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }

  /** Milliseconds of the stages that the query came to. */
  millis(): Readonly<Partial<Record<QueryStage, number>>> {
    return Object.fromEntries(this.#millis);
  }
}
