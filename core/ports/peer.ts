import type { SequenceRange } from '../catalog/types.js';
import type { BatchId, GroupId, NodeId, ShardAddress } from '../model/batch.js';

/** An ingest node as another process sees it. Every call may fail with `unavailable`. */
export interface Peer {
  readonly node: NodeId;
  /** Appends an encoded batch; it is durable (or was already, under the same id) when this resolves. */
  append(batch: Uint8Array, signal?: AbortSignal): Promise<AppendResult>;
  /** Takes no further batch for the group and tells what it holds. Idempotent. Waits for appends under way. */
  closeGroup(database: string, group: GroupId, signal?: AbortSignal): Promise<GroupReport>;
  /** What the node holds of a group now, open or closed. */
  reportGroup(database: string, group: GroupId, signal?: AbortSignal): Promise<GroupReport>;
  /** Leaves of the digest tree of one shard: which batches, and the hash of each one's bytes. */
  listBatches(address: ShardAddress, signal?: AbortSignal): Promise<readonly BatchLeaf[]>;
  /** The encodings of the named batches that the node holds, in any order. */
  fetchBatches(
    address: ShardAddress,
    ids: readonly BatchId[],
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Drops the sealed group's batches if all of them are in the sealed set; tells which are not. */
  releaseGroup(
    database: string,
    group: GroupId,
    sealed: readonly SequenceRange[],
    signal?: AbortSignal,
  ): Promise<ReleaseResult>;
  /**
   * Fetches from `source` those batches of `ranges` that this node lacks, and makes them durable here. Works on open
   * and closed groups. `not-found` once the group has been dropped here, `unavailable` when the source does not answer;
   * what had come by then stays.
   */
  catchUp(
    address: ShardAddress,
    source: NodeId,
    ranges: readonly SequenceRange[],
    signal?: AbortSignal,
  ): Promise<CatchUpResult>;
}

/** `closed`: the group takes no more; the coordinator routes the rows to the late group. */
export type AppendResult =
  | { readonly kind: 'applied' }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'closed' };

export interface BatchLeaf {
  readonly id: BatchId;
  /** 16 bytes, see EncodedBatch.hash. */
  readonly hash: Uint8Array;
}

export type ReleaseResult =
  | { readonly kind: 'released' }
  | { readonly kind: 'kept'; readonly notSealed: readonly BatchId[] };

/** `fetched`: batches that were not here before. */
export interface CatchUpResult {
  readonly fetched: number;
}

/** What one node holds of one shard of a group. */
export interface ShardHoldings {
  readonly shard: number;
  /** Hex of the root over the shard's batches; equal roots, equal batches. */
  readonly digest: string;
  /** By origin, epoch and sequence, neighbours joined. */
  readonly batches: readonly SequenceRange[];
}

/** What one node holds of a group. */
export interface GroupReport {
  readonly group: GroupId;
  readonly closed: boolean;
  /** Hex of the digest root over all shards held; equal roots, equal batches. */
  readonly digest: string;
  readonly batches: readonly SequenceRange[];
  /** Bytes of the encoded batches. */
  readonly bytes: number;
  readonly chunks: readonly ChunkReport[];
  /** What it holds as an owner, by shard; only shards with batches. */
  readonly shards: readonly ShardHoldings[];
  /** Batches of the group kept here as hints for others, by shard; fetchBatches gives them back too. */
  readonly hinted: readonly ShardHoldings[];
}

/** Statistics of a chunk: the rows of one table in one shard. */
export interface ChunkReport {
  readonly table: string;
  readonly shard: number;
  /** Rows before the merge rule. */
  readonly rows: number;
  readonly seriesCount: number;
  readonly minTimeNs: bigint;
  readonly maxTimeNs: bigint;
  /** Rows before the merge rule by day (days since the epoch), ascending. */
  readonly rowsByDay: readonly { readonly day: number; readonly rows: number }[];
  /** True when some time is no whole number of microseconds. */
  readonly hasTimeNs: boolean;
}
