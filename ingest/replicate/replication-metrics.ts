import type { ConsistencyLevel } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import type { ErrorKind } from '../../core/std/errors.js';
import type { BreakerState } from './circuit-breaker.js';

/** Why a batch did not get to an owner: not tried at all, or the kind of the error that the try ended with. */
export type SendFailure = 'breaker-open' | 'in-flight-full' | ErrorKind;

/** Told of what goes to other nodes. */
export interface ReplicationMetrics {
  /** Another node has a batch. */
  sent(node: NodeId, bytes: number): void;
  sendFailed(node: NodeId, reason: SendFailure): void;
  /** A batch that did not get to the node is kept here for it. */
  hinted(node: NodeId, bytes: number): void;
  /** Nor could it be kept here. */
  hintFailed(node: NodeId): void;
  breaker(node: NodeId, state: BreakerState): void;
  /** A batch with owners on other nodes was answered for. */
  answered(level: ConsistencyLevel, answer: 'met' | 'not-met' | 'closed'): void;
  /** A batch came whose stamp is further ahead of the clock here than clocks may differ. */
  stampTooFarAhead(origin: NodeId): void;
}

/** Counts nothing. */
export const noReplicationMetrics: ReplicationMetrics = {
  sent() {},
  sendFailed() {},
  hinted() {},
  hintFailed() {},
  breaker() {},
  answered() {},
  stampTooFarAhead() {},
};
