import type { Context, ScheduledEvent } from 'aws-lambda';
import { openLambdaGround } from '../../cli/lambda/lambda-ground.js';
import { openSelfInvoke } from '../../cli/lambda/self-invoke.js';
import { errorMessage } from '../../core/std/errors.js';
import { Compactor } from '../compactor.js';
import { defaultCompactorSettings } from '../compactor-settings.js';
import { compactorTurn, type TurnReport } from './compactor-turn.js';
import { embeddedMetrics } from './embedded-metrics.js';
import { type FanOut, readSealOrder } from './fan-out.js';
import { TurnTally } from './turn-tally.js';

/**
 * The compactor on AWS Lambda: one turn an invocation, begun by EventBridge Scheduler. A composition root; all that is
 * made here lives as long as the execution environment, so that a warm one remembers which tables it has looked at.
 */

/** Kept of an invocation's time for coming to a safe point and giving the lease back. */
const stopWithinMs = 15_000;
/** A failed assertion ends the environment: the next invocation begins with a new one. */
const fatalStatus = 70;

const ground = await openLambdaGround();
const { settings, clock, logger } = ground;
const tally = new TurnTally();
const invokeSelf = openSelfInvoke(settings, clock);
const fanOut: FanOut | undefined = invokeSelf && {
  invoke: invokeSelf,
  random: ground.random,
  logger,
};
const compactorSettings = {
  ...defaultCompactorSettings,
  releaseGraceMs: settings.durationMs('VARVE_RELEASE_GRACE', defaultCompactorSettings.releaseGraceMs),
  ephemeralSilenceMs: settings.durationMs(
    'VARVE_EPHEMERAL_SILENCE',
    defaultCompactorSettings.ephemeralSilenceMs,
  ),
  patienceMs: settings.durationMs('VARVE_SEAL_PATIENCE', defaultCompactorSettings.patienceMs),
  merge: {
    ...defaultCompactorSettings.merge,
    fanIn: settings.count('VARVE_MERGE_FAN_IN', defaultCompactorSettings.merge.fanIn),
  },
  expiry: {
    ...defaultCompactorSettings.expiry,
    graceMs: settings.durationMs('VARVE_UNREFERENCED_GRACE', defaultCompactorSettings.expiry.graceMs),
  },
};
const compactor = new Compactor({
  catalog: ground.catalogs,
  settled: ground.settled,
  objects: ground.objects,
  peers: ground.nodes,
  clock,
  logger,
  metrics: tally,
  holder: `lambda/${Buffer.from(ground.random.bytes(8)).toString('hex')}`,
  onFatal: (error) => {
    logger.fatal({ reason: errorMessage(error) }, 'ending the environment: going on could harm the data');
    process.exit(fatalStatus);
  },
  settings: compactorSettings,
});

/**
 * Takes an event of EventBridge Scheduler, whose content decides nothing, or one of this function's own, which asks it
 * to seal one database under the lease of the turn that sent it; answers what the turn did. An invocation
 * that overlaps with another one finds the lease held and answers `lease-held`. Throws what kept the turn from its
 * work, so that Lambda counts it, tries again and at last puts the event into the dead-letter queue.
 */
export async function handler(event: Partial<ScheduledEvent>, context: Context): Promise<TurnReport> {
  const remainingMs = context.getRemainingTimeInMillis();
  logger.info(
    { requestId: context.awsRequestId, scheduled: event.time ?? null, remainingMs },
    'a turn begins',
  );
  const order = readSealOrder(event);
  const report = await compactorTurn({
    ...(fanOut === undefined ? {} : { fanOut }),
    ...(order === undefined ? {} : { order }),
    compactor,
    tally,
    clock,
    leaseTtlMs: compactorSettings.leaseTtlMs,
    tickMs: compactorSettings.tickMs,
    budgetMs: Math.max(remainingMs - stopWithinMs, remainingMs / 2),
  });
  logger.info({ requestId: context.awsRequestId, ...report }, 'a turn ended');
  for (const line of embeddedMetrics(report, clock.nowMs())) process.stdout.write(`${line}\n`);
  return report;
}
