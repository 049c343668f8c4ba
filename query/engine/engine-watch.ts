import type { Clock } from '../../core/ports/clock.js';

/** `fatal`: the engine will answer nothing any more. `stuck`: it goes on with a query that it was told to leave. */
export type EngineDefect = 'fatal' | 'stuck';

/** Who looks after an engine that cannot look after itself. */
export interface EngineWatch {
  readonly clock: Clock;
  /** A query that goes on for so long though it is interrupted is stuck, milliseconds. */
  readonly stuckAfterMs: number;
  /** Called when the engine has to be opened anew; `fatal` also when a query that was stuck has come back. */
  readonly onDefect: (defect: EngineDefect) => void;
}

/** Nothing that the engine does between two looks at its interrupt takes so long, be the machine ever so busy. */
export const stuckAfterMsDefault = 30_000;

/** For an engine whose defects nobody waits for. */
export function unwatched(clock: Clock): EngineWatch {
  return { clock, stuckAfterMs: stuckAfterMsDefault, onDefect: () => {} };
}

/** Pauses between interrupts, up to the last: the first come at once, since a statement may just be beginning. */
const interruptPausesMs = [0, 0, 0, 1, 2, 5, 10, 20, 50];

/** Interrupts again and again until `isDone`; true when it gave up because the query is stuck. */
export async function interruptUntil(
  isDone: () => boolean,
  interrupt: () => void,
  { clock, stuckAfterMs, onDefect }: EngineWatch,
): Promise<boolean> {
  const sinceMs = clock.monotonicMs();
  for (let times = 0; !isDone(); times++) {
    interrupt();
    if (clock.monotonicMs() - sinceMs > stuckAfterMs) {
      onDefect('stuck');
      return true;
    }
    await clock.sleep(interruptPausesMs[Math.min(times, interruptPausesMs.length - 1)] ?? 0);
  }
  return false;
}
