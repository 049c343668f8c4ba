import type { TableRows } from './columns.js';

/** Name of a node, unique in a cluster: 1 to 64 of [A-Za-z0-9_.-]. */
export type NodeId = string & { readonly __brand: 'NodeId' };
/** Id of a shard group within a database: `w` or `l` and a number that grows, zero-padded to 12 digits. */
export type GroupId = string & { readonly __brand: 'GroupId' };

/** Names a batch for ever: sequences start at 1 and grow within an epoch; an origin's epoch grows with every start. */
export interface BatchId {
  readonly origin: NodeId;
  readonly epoch: number;
  readonly sequence: number;
}

/** The shard that a batch is for. */
export interface ShardAddress {
  /** The database's id, not its name: a database that is dropped and made again is another one. */
  readonly database: string;
  readonly group: GroupId;
  readonly shard: number;
}

/**
 * The unit of writing, replication, hints, WAL and repair: the rows of one request, or of several coalesced ones,
 * for one shard. Immutable.
 */
export interface Batch extends ShardAddress {
  readonly id: BatchId;
  /**
   * Write stamp from a hybrid logical clock: milliseconds since the epoch << 16 | counter. Of two values for one
   * field of one point the one with the higher (stamp, origin, epoch, sequence, row in batch) wins.
   */
  readonly stamp: bigint;
  readonly tables: readonly TableRows[];
}

/** A batch as bytes (see codec/batch-codec.ts) with the parts of its header that routing and the WAL need. */
export interface EncodedBatch extends ShardAddress {
  readonly id: BatchId;
  readonly stamp: bigint;
  /** The whole encoding, header included; what the WAL stores and peers send. */
  readonly bytes: Uint8Array;
  /** First 16 bytes of the SHA-256 of `bytes`: the leaf of digests. */
  readonly hash: Uint8Array;
}

/** Order of precedence of batches: by stamp, then origin, epoch and sequence. Negative when left is older. */
export function compareBatchPrecedence(
  left: { readonly stamp: bigint; readonly id: BatchId },
  right: { readonly stamp: bigint; readonly id: BatchId },
): number {
  if (left.stamp !== right.stamp) return left.stamp < right.stamp ? -1 : 1;
  if (left.id.origin !== right.id.origin) return left.id.origin < right.id.origin ? -1 : 1;
  if (left.id.epoch !== right.id.epoch) return left.id.epoch - right.id.epoch;
  return left.id.sequence - right.id.sequence;
}

/** Text form of a batch id, for messages and maps. */
export function batchIdText(id: BatchId): string {
  return `${id.origin}/${id.epoch}/${id.sequence}`;
}
