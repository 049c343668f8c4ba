import type { Clock } from '../../core/ports/clock.js';
import { VarveError } from '../../core/std/errors.js';
import type { Compactor } from '../compactor.js';
import { type FanOut, handOut, type SealOrder } from './fan-out.js';
import type { TurnCounts, TurnTally } from './turn-tally.js';

/**
 * How a turn ended. `done`: nothing more was due. `out-of-time`: it stopped at a safe point, the next turn goes on
 * from there. `lease-held`: another compactor works, so there was nothing to do.
 */
export type TurnOutcome = 'done' | 'out-of-time' | 'lease-held';

/** What a turn answers: JSON. */
export interface TurnReport extends TurnCounts {
  readonly outcome: TurnOutcome;
  readonly passes: number;
  readonly seconds: number;
  /** Databases whose groups other environments were asked to seal. */
  readonly fannedOut: number;
}

export interface TurnOptions {
  readonly compactor: Compactor;
  /** The compactor's metrics. */
  readonly tally: TurnTally;
  readonly clock: Clock;
  /** Time to live of the lease: it is renewed well before. */
  readonly leaseTtlMs: number;
  /** Between two looks at the groups while files are being merged. */
  readonly tickMs: number;
  /** After this the turn stops at its next safe point. */
  readonly budgetMs: number;
  /** Hands the sealing of a database to another environment; without it this one seals them all. */
  readonly fanOut?: FanOut;
  /** Seals this database under that lease, and does nothing else. */
  readonly order?: SealOrder;
}

/** A pass that changes history can make the next one's work; under steady writes it always does. */
const passesMax = 16;
/** Between two looks at shards that are being filled, and how many such looks a turn takes. */
const fillLookMs = 5000;
const fillLooksMax = 8;

/**
 * One turn of a compactor that does not live on: takes the lease, seals what is due, merges and expires, and gives the
 * lease back. A turn that is cut off, even by the end of its process, leaves nothing to repair: the lease runs out and
 * the next turn does again what was not committed (invariants 7 and 8). Errors: `unavailable` when the catalog cannot
 * be reached.
 */
export async function compactorTurn(options: TurnOptions): Promise<TurnReport> {
  const { compactor, tally, clock, budgetMs } = options;
  const startedMs = clock.monotonicMs();
  const turnIsOver = new AbortController();
  const outOfTime = new AbortController();
  const alarm = clock.sleep(budgetMs, turnIsOver.signal).then(
    () => {
      outOfTime.abort();
      compactor.interrupt(new VarveError('cancelled', 'the turn is out of time'));
    },
    () => {},
  );
  let outcome: TurnOutcome;
  let passes = 0;
  let fannedOut = 0;
  const { order } = options;
  try {
    if (order !== undefined) {
      compactor.adopt(order.lease);
      compactor.restrictTo((database) => database === order.database);
    }
    await compactor.keepLease();
    if (!tally.leaseIsHeld) {
      outcome = leaseHeldElsewhere(tally);
    } else if (outOfTime.signal.aborted) {
      // The alarm rang before there was a hold that it could interrupt.
      outcome = 'out-of-time';
    } else {
      if (options.fanOut !== undefined && order === undefined)
        fannedOut = await handOut(compactor, options.fanOut, outOfTime.signal);
      const renewing = repeat(() => compactor.keepLease(), options.leaseTtlMs / 6, clock, turnIsOver.signal);
      try {
        passes = await passesUntilDone(options, outOfTime.signal);
        await fillUntilDone(options, outOfTime.signal);
      } finally {
        turnIsOver.abort();
        await renewing;
      }
      outcome = outOfTime.signal.aborted ? 'out-of-time' : 'done';
    }
  } finally {
    turnIsOver.abort();
    await alarm;
    compactor.restrictTo(() => true);
    // Others may still seal under the lease: they renew it, and once none does it runs out.
    if (fannedOut > 0 || order !== undefined) compactor.handOver();
    else await compactor.stop();
  }
  const seconds = (clock.monotonicMs() - startedMs) / 1000;
  return { outcome, passes, seconds, fannedOut, ...tally.take() };
}

/** No lease is a fine outcome when another has it, and a failure when it could not be asked for. */
function leaseHeldElsewhere(tally: TurnTally): TurnOutcome {
  if (tally.take().failed.lease === 0) return 'lease-held';
  throw new VarveError('unavailable', 'could not ask for the lease of the compactor; the log says why');
}

async function passesUntilDone(options: TurnOptions, outOfTime: AbortSignal): Promise<number> {
  const { tally } = options;
  for (let passes = 1; ; passes++) {
    const before = tally.changes;
    try {
      await onePass(options);
    } catch (error) {
      if (outOfTime.aborted) return passes;
      throw error;
    }
    if (outOfTime.aborted || tally.changes === before || passes === passesMax) return passes;
  }
}

/** A node that hands over waits until its successors are filled, and may not live to see the next turn. */
async function fillUntilDone(
  { compactor, tally, clock }: TurnOptions,
  outOfTime: AbortSignal,
): Promise<void> {
  for (let looks = 0; looks < fillLooksMax && tally.fillingShards > 0; looks++) {
    await clock.sleep(fillLookMs, outOfTime).catch(() => {});
    if (outOfTime.aborted) return;
    await compactor.sealTick();
  }
}

/** Seals first; then merges and expires, and goes on sealing meanwhile: a long merge must not delay it. */
async function onePass({ compactor, clock, tickMs, order }: TurnOptions): Promise<void> {
  await compactor.sealTick();
  if (order !== undefined) return;
  const upkeepIsOver = new AbortController();
  const works = await Promise.allSettled([
    compactor.upkeepTick().finally(() => upkeepIsOver.abort()),
    repeat(() => compactor.sealTick(), tickMs, clock, upkeepIsOver.signal),
  ]);
  for (const work of works) if (work.status === 'rejected') throw work.reason;
}

/** Does the work every so often until the signal fires; work under way is waited for. */
async function repeat(
  work: () => Promise<unknown>,
  everyMs: number,
  clock: Clock,
  until: AbortSignal,
): Promise<void> {
  for (;;) {
    await clock.sleep(everyMs, until).catch(() => {});
    if (until.aborted) return;
    await work();
  }
}
