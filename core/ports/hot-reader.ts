import type { ShardOwners } from '../catalog/types.js';
import type { GroupId, NodeId } from '../model/batch.js';
import type { ShardHoldings } from './peer.js';

/**
 * Reads chunks of the hot tier. The answer is an Arrow IPC stream (schema, dictionaries, record batches) cut into
 * byte pieces. Columns: `time` (timestamp, nanoseconds, UTC, not null), then the requested columns in the order
 * requested; tags as Dictionary<Int32, Utf8>, fields as Float64, Int64, Uint64, Bool, Utf8; all nullable. A requested
 * column that the chunk does not have is left out of the schema. The merge rule has been applied: each (series, time)
 * comes once. Rows come series by series, series in ascending order of their tag values (tags by name, absent first,
 * values by UTF-8 bytes), times ascending within a series. Only rows whose batch was acknowledged before the call are
 * promised; rows that come during the scan may or may not be in it, whole batches at a time.
 */
export interface HotReader {
  /**
   * Statistics of the chunks of a table in a group, from memory; empty when there are none or the group is not known
   * here. `not-found` when the group has been dropped here: history then holds it, and the caller plans again.
   */
  describe(request: HotDescribeRequest, signal?: AbortSignal): Promise<readonly HotChunkInfo[]>;
  /** `not-found` when the group has been dropped here: the caller plans again, history then holds it. */
  scan(request: HotScanRequest, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * What the node holds of the group as an owner, by shard, only shards with batches; from memory, with digests that
   * are kept. Empty when the group is not known here; `not-found` when it has been dropped here.
   */
  holdings(request: HotGroupRequest, signal?: AbortSignal): Promise<readonly ShardHoldings[]>;
}

/** A group of a database, by its id. */
export interface HotGroupRequest {
  readonly database: string;
  readonly group: GroupId;
}

export interface HotDescribeRequest {
  readonly database: string;
  readonly group: GroupId;
  readonly table: string;
  /** Owners by shard, as the group's record has them; a reader over several nodes needs them, the node itself does not. */
  readonly shards?: readonly Pick<ShardOwners, 'owners' | 'filling'>[];
  /** How a reader over several nodes reads; the node itself does not need it. */
  readonly read?: HotReadOptions;
}

export interface HotReadOptions {
  /** `quorum`: of what a quorum of owners holds together. `one`: of what some owner holds. */
  readonly consistency: 'one' | 'quorum';
  /** Given: the answer leaves out the shards that cannot be read, and tells them here. Not given: it fails. */
  readonly onIncomplete?: (shard: IncompleteShard) => void;
}

/** A shard that could not be read. */
export interface IncompleteShard {
  readonly group: GroupId;
  readonly shard: number;
  readonly reason: string;
}

export interface HotChunkInfo {
  readonly shard: number;
  readonly rows: number;
  readonly minTimeNs: bigint;
  readonly maxTimeNs: bigint;
  /** Owners to scan, best first: each holds all that the consistency of the read asks for. Only from a reader over several nodes. */
  readonly owners?: readonly NodeId[];
}

export interface HotScanRequest {
  readonly database: string;
  readonly group: GroupId;
  readonly shard: number;
  readonly table: string;
  /** Tags and fields wanted; `time` always comes. */
  readonly columns: readonly string[];
  /** Inclusive bounds; null for none. */
  readonly minTimeNs: bigint | null;
  readonly maxTimeNs: bigint | null;
  /** All must hold; a series without the tag matches only a predicate that lists null. */
  readonly tags: readonly TagPredicate[];
  /**
   * Whether tags may come as codes of 8 or 16 bits, and numbers that are whole as Int8, Int16 or Int32 whose column's
   * metadata names their type (docs/formats/hot-scan.md). Who asks must read both: nodes of old do not know it.
   */
  readonly narrow?: boolean;
  /** Owners of the shard; a reader over several nodes needs them, the node itself does not. */
  readonly owners?: readonly NodeId[];
}

/** The tag's value is one of these; null stands for "the series lacks the tag". */
export interface TagPredicate {
  readonly tag: string;
  readonly values: readonly (string | null)[];
}
