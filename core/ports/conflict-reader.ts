import type { ShardOwners } from '../catalog/types.js';
import type { GroupId, NodeId } from '../model/batch.js';
import type { HotReadOptions } from './hot-reader.js';

/**
 * Finds conflicts: different values for one field of one point. The merge rule makes one of them stand; this tells
 * what the others were and who wrote them. It looks within one shard of one group at a time: values that meet only
 * later, when history is read or merged, are counted there but not listed.
 */
export interface ConflictReader {
  /** Of a group in flux, by a walk through its rows. `not-found` when it has been dropped here: the caller plans again. */
  conflicts(request: ConflictRequest, signal?: AbortSignal): Promise<ConflictList>;
  /** Of groups that have left the hot tier: the latest that are remembered, newest first. */
  keptConflicts(request: KeptConflictRequest, signal?: AbortSignal): Promise<ConflictList>;
}

export interface ConflictRequest {
  readonly database: string;
  readonly group: GroupId;
  /** More than so many are not looked for. */
  readonly conflictsMax: number;
  /** Shards to look at; all that the node holds where it is left out. */
  readonly only?: readonly number[];
  /** Owners by shard and how to read; a reader over several nodes needs them, the node itself does not. */
  readonly shards?: readonly Pick<ShardOwners, 'owners' | 'filling'>[];
  readonly read?: HotReadOptions;
}

export interface KeptConflictRequest {
  readonly database: string;
  readonly conflictsMax: number;
}

export interface ConflictList {
  readonly conflicts: readonly FieldConflict[];
  /** True when there may be more than are listed. */
  readonly isCut: boolean;
}

/** A field of a point that was given different values. */
export interface FieldConflict {
  readonly table: string;
  /** The tags that the series has, by name in ascending order of UTF-8 bytes. */
  readonly tags: readonly (readonly [name: string, value: string])[];
  readonly timeNs: bigint;
  readonly field: string;
  /** The value that stands first, the others in descending precedence, each once; at most conflictValuesMax. */
  readonly values: readonly ConflictValue[];
  readonly group: GroupId;
  readonly shard: number;
}

export interface ConflictValue {
  /** As text; shortened to conflictTextMax characters, which an ellipsis shows. */
  readonly text: string;
  /** The node that took the write. */
  readonly origin: NodeId;
}

/** Values of a conflict that are told. */
export const conflictValuesMax = 16;
/** Characters of a value that are told. */
export const conflictTextMax = 256;
