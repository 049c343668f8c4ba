import type { Clock } from '../core/ports/clock.js';

/**
 * The stages of a query, one after the other: reading the SQL, deciding what to read, waiting for a slot, reading the
 * hot tier, fetching settled files, running until the answer begins, and handing it out (which is the client's pace
 * too). A query that is planned anew goes through some of them again.
 */
export const queryStages = ['parse', 'plan', 'wait', 'hot', 'files', 'execute', 'answer'] as const;
/** One of them. */
export type QueryStage = (typeof queryStages)[number];

/** Where one query is, and how long its stages took. It begins with the first. */
export class StageTimes {
  readonly #clock: Clock;
  readonly #millis = new Map<QueryStage, number>();
  #current: QueryStage = 'parse';
  #enteredMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#enteredMs = clock.monotonicMs();
  }

  /** The stage that the query is in. */
  get current(): QueryStage {
    return this.#current;
  }

  /** Ends the current stage and begins another. */
  enter(stage: QueryStage): void {
    this.#add();
    this.#current = stage;
  }

  /** Milliseconds of the stages that the query came to, with the current one up to now. */
  millis(): Readonly<Partial<Record<QueryStage, number>>> {
    this.#add();
    return Object.fromEntries(this.#millis);
  }

  #add(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#millis.set(this.#current, (this.#millis.get(this.#current) ?? 0) + nowMs - this.#enteredMs);
    this.#enteredMs = nowMs;
  }
}
