import type { CompactorStamp } from '../core/catalog/group-catalog.js';
import type { Clock } from '../core/ports/clock.js';
import { VarveError } from '../core/std/errors.js';

/** The right to work: the lease's epoch, which every commit carries, and a signal that ends when the lease is lost. */
export interface Hold {
  readonly epoch: number;
  /** Monotonic time since when the lease has been held without a gap. */
  readonly sinceMs: number;
  readonly signal: AbortSignal;
}

/** What a compactor throws that has met a higher epoch: it stops at once (invariant 7). */
export function fencedError(doing: string, epoch: number, by: number): VarveError {
  return new VarveError('fenced', `${doing}: got epoch ${by} in the catalog; this compactor holds ${epoch}`);
}

/** The outcome of a transition, unless it was refused because another compactor has taken over: then throws `fenced`. */
export function notFenced<Outcome extends { readonly kind: string }>(
  outcome: Outcome | { readonly kind: 'fenced'; readonly by: number },
  doing: string,
  hold: Hold,
): Exclude<Outcome, { readonly kind: 'fenced' }> {
  if (isFenced(outcome)) throw fencedError(doing, hold.epoch, outcome.by);
  return outcome as Exclude<Outcome, { readonly kind: 'fenced' }>;
}

function isFenced(outcome: {
  readonly kind: string;
}): outcome is { readonly kind: 'fenced'; readonly by: number } {
  return outcome.kind === 'fenced';
}

/** When and under which epoch a transition of the group list is asked for. */
export function stampOf(clock: Clock, hold: Hold): CompactorStamp {
  return { nowMs: clock.nowMs(), epoch: hold.epoch };
}
