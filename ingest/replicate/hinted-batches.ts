import type { SequenceRange } from '../../core/catalog/types.js';
import type { BatchId, GroupId, ShardAddress } from '../../core/model/batch.js';
import type { ShardHoldings } from '../../core/ports/peer.js';

/** The batches that this node keeps as hints for other owners, as far as repair and sealing look at them. */
export interface HintedBatches {
  /** What is kept of the group, by shard; only shards with batches. */
  holdings(database: string, group: GroupId): Promise<readonly ShardHoldings[]>;
  /** The encodings of the named batches that are kept, in any order. */
  fetch(address: ShardAddress, ids: readonly BatchId[], signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Lets a sealed group go: what is sealed is kept no more, the rest is written into the late group first.
   *
   * @returns batches that could not be written there and are still kept
   */
  release(database: string, group: GroupId, sealed: readonly SequenceRange[]): Promise<readonly BatchId[]>;
}
