import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import { isVarveError } from '../../core/std/errors.js';
import type { CallKind, OwnerCall, OwnerStanding } from './owner-standing.js';

export interface HedgedCallOptions<Answer> {
  /** Best first; any of them will do. */
  readonly owners: readonly NodeId[];
  readonly kind: CallKind;
  /** Asks one owner; the signal fires when its answer is not wanted any more. */
  readonly ask: (owner: NodeId, signal: AbortSignal) => Promise<Answer>;
  /** Lets go of an answer that came when another had won. */
  readonly discard?: (answer: Answer) => void;
  readonly standing: OwnerStanding;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** Why an owner gave no answer. */
export interface OwnerFailure {
  readonly owner: NodeId;
  readonly error: unknown;
}

export type HedgedAnswer<Answer> =
  | {
      readonly kind: 'answered';
      readonly owner: NodeId;
      readonly answer: Answer;
      /** Owners that were asked because those before them were slow, not because they failed. */
      readonly raced: number;
      readonly failures: readonly OwnerFailure[];
    }
  | { readonly kind: 'failed'; readonly failures: readonly OwnerFailure[] };

/**
 * Asks the first owner; the next one as well when it fails, or has not answered within the delay that its standing
 * gives. The first answer wins, and the other calls are ended. An error that says something of what was asked rather
 * than of the owner (`not-found`, `invalid`, the caller going away) ends all and is thrown.
 */
export function hedgedCall<Answer>(options: HedgedCallOptions<Answer>): Promise<HedgedAnswer<Answer>> {
  const { owners, kind, standing, clock, signal } = options;
  return new Promise((resolve, reject) => {
    const failures: OwnerFailure[] = [];
    const running = new Map<AbortController, OwnerCall>();
    const timer = new AbortController();
    let asked = 0;
    let raced = 0;
    let isOver = false;

    const finish = (settle: () => void): void => {
      isOver = true;
      timer.abort();
      for (const [abort, call] of running) {
        call.left();
        abort.abort();
      }
      running.clear();
      settle();
    };
    const startNext = (): void => {
      const owner = owners[asked];
      if (owner === undefined) {
        if (running.size === 0) finish(() => resolve({ kind: 'failed', failures }));
        return;
      }
      asked += 1;
      const abort = new AbortController();
      const call = standing.begin(owner, kind);
      running.set(abort, call);
      const callSignal = signal === undefined ? abort.signal : AbortSignal.any([signal, abort.signal]);
      // Asynchronous also where finding the owner fails at once.
      (async () => options.ask(owner, callSignal))().then(
        (answer) => {
          if (isOver) {
            options.discard?.(answer);
            return;
          }
          running.delete(abort);
          call.answered();
          finish(() => resolve({ kind: 'answered', owner, answer, raced, failures }));
        },
        (error: unknown) => {
          if (isOver) return;
          running.delete(abort);
          if (signal?.aborted || !isOfOwner(error)) {
            call.left();
            finish(() => reject(error));
            return;
          }
          call.failed();
          failures.push({ owner, error });
          startNext();
        },
      );
      startNextAfterDelay(owner);
    };
    const startNextAfterDelay = (owner: NodeId): void => {
      const waitedFor = asked;
      if (waitedFor === owners.length) return;
      clock.sleep(standing.delayMs(owner, kind), timer.signal).then(
        () => {
          // Meanwhile that owner may have failed and the next been asked, which has a delay of its own.
          if (isOver || asked !== waitedFor) return;
          raced += 1;
          startNext();
        },
        () => {},
      );
    };
    startNext();
  });
}

/** Whether another owner may well answer what this one did not. */
export function isOfOwner(error: unknown): boolean {
  return !isVarveError(error, 'not-found', 'invalid', 'cancelled');
}
