import type { FastifyInstance } from 'fastify';
import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { DestinationStatus, Hints } from '../hints/hints.js';

export interface HintRoutesOptions {
  /** This node. */
  readonly node: NodeId;
  readonly hints: Pick<Hints, 'status'>;
  readonly clock: Clock;
}

/** Registers `GET /api/v1/hints`: what this node keeps for others. */
export function registerHintRoutes(server: FastifyInstance, { node, hints, clock }: HintRoutesOptions): void {
  server.get('/api/v1/hints', async () => ({
    node,
    destinations: hints.status().map((status) => describeDestination(status, clock.nowMs())),
  }));
}

function describeDestination(status: DestinationStatus, nowMs: number): object {
  const { oldestMs, nextAttemptMs } = status;
  return {
    node: status.node,
    state: status.state,
    hints: status.hints,
    refused: status.refused,
    bytes: status.bytes,
    file_bytes: status.fileBytes,
    bytes_max: status.bytesMax,
    oldest_age_seconds: oldestMs === null ? null : Math.max(0, nowMs - oldestMs) / 1000,
    ...status.ended,
    damaged_bytes: status.damagedBytes,
    next_attempt: nextAttemptMs === null ? null : new Date(nextAttemptMs).toISOString(),
    last_error: status.lastError,
  };
}
