import type { EncodedBatch, NodeId } from '../../core/model/batch.js';

/** Where a coordinator keeps batches for owners that could not be reached. */
export interface HintSink {
  /**
   * Keeps the batch for the owner. Durable (synced) here when it resolves, so that it counts for the level `any`.
   * Errors: `exhausted` at the limit of hints for the owner.
   */
  keep(owner: NodeId, batch: EncodedBatch): Promise<void>;
}
