import type { NodeId } from '../core/model/batch.js';
import type { Clock } from '../core/ports/clock.js';
import { errorMessage } from '../core/std/errors.js';
import type { Logger } from '../core/std/logger.js';
import type { Drain } from './drain.js';

export interface LeaveOptions {
  readonly node: NodeId;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly drain: Pick<Drain, 'begin' | 'left' | 'problems'>;
  /** The node takes no writes of clients from then on; resolves when those under way have ended. */
  readonly stopWrites: () => Promise<void>;
  /** The node takes no batches as an owner any more; see LocalOwner. */
  readonly retire: () => Promise<void>;
  /** Notes in the catalog that it does not, so that others take its place. */
  readonly noteHandsOver: (signal: AbortSignal) => Promise<void>;
  /** After so long the process ends, whatever is left. */
  readonly withinMs: number;
}

const retryMs = 1000;

/**
 * Leaves the cluster for good because the node's disk goes with its process: what it holds is handed to other nodes, as
 * a drain does, but without waiting for windows to end. The order is what makes it safe: first it acknowledges nothing
 * any more, then it says so, and only then may a compactor give its place away.
 *
 * @returns false when time ran out; then the other owners have what was acknowledged at quorum, and a compactor brings
 *   the copies back to their number
 */
export async function leaveForGood(options: LeaveOptions): Promise<boolean> {
  const { node, clock, logger, drain, withinMs } = options;
  const isOver = new AbortController();
  const alarm = clock.sleep(withinMs, isOver.signal).then(
    () => 'out of time' as const,
    () => 'out of time' as const,
  );
  logger.info({ node, withinMs }, 'leaving the cluster: what this node holds is handed to others');
  const end = await Promise.race([handOver(options, isOver.signal).then(() => drain.left), alarm]);
  isOver.abort();
  if (end !== 'out of time') return true;
  logger.error(
    { node, left: drain.problems() },
    'ending before everything was handed over; what was acknowledged at quorum is with the other owners',
  );
  return false;
}

async function handOver(options: LeaveOptions, signal: AbortSignal): Promise<void> {
  const { node, clock, logger, drain, stopWrites, retire, noteHandsOver } = options;
  await stopWrites();
  await retire();
  while (!signal.aborted) {
    try {
      await noteHandsOver(signal);
      return drain.begin();
    } catch (error) {
      if (signal.aborted) return;
      logger.warn(
        { node, error: errorMessage(error) },
        'could not note that this node leaves; it is tried again',
      );
      await clock.sleep(retryMs, signal).catch(() => {});
    }
  }
}
