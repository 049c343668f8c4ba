import type { NodeId } from '../../core/model/batch.js';

/**
 * How a hint ends. replayed: its owner has it. sealed: history holds it. rerouted: its group took no more, it was
 * written into the late group. dropped: its database is gone. expired: it grew older than the limit. damaged: the disk
 * gave back other bytes than were written.
 */
export type HintEnd = 'replayed' | 'sealed' | 'rerouted' | 'dropped' | 'expired' | 'damaged';

/** All the ways in which a hint ends. */
export const hintEnds: readonly HintEnd[] = [
  'replayed',
  'sealed',
  'rerouted',
  'dropped',
  'expired',
  'damaged',
];

/** Told of what happens to hints. */
export interface HintMetrics {
  /** A hint was made durable. */
  kept(destination: NodeId, bytes: number): void;
  /** One could not be kept: at the limit, or the disk failed. */
  notKept(destination: NodeId): void;
  ended(destination: NodeId, how: HintEnd, bytes: number): void;
  /** A try to send one failed. */
  attemptFailed(destination: NodeId): void;
}

/** Counts nothing. */
export const noHintMetrics: HintMetrics = {
  kept() {},
  notKept() {},
  ended() {},
  attemptFailed() {},
};
