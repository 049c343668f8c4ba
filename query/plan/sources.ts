import { compareGroupPrecedence } from '../../core/catalog/group-precedence.js';
import type { ShardGroup } from '../../core/catalog/types.js';
import type { DataFile } from '../../core/iceberg/types.js';
import type { GroupId, NodeId } from '../../core/model/batch.js';
import type { TableSchema } from '../../core/model/schema.js';
import { compareBytes } from '../../core/model/series-key.js';
import { windowOf } from '../../core/model/window.js';
import type { HotChunkInfo, TagPredicate } from '../../core/ports/hot-reader.js';
import type { TableBounds } from './bounds.js';

/** A data file of the pinned snapshot. */
export interface SettledSource {
  readonly kind: 'settled';
  readonly file: DataFile;
  readonly minTimeNs: bigint;
  readonly maxTimeNs: bigint;
}

/** The chunks of a table in one group that history does not hold yet; shards have no series in common. */
export interface HotSource {
  readonly kind: 'hot';
  readonly group: GroupId;
  /** With the owners to scan, best first. */
  readonly shards: readonly { readonly shard: number; readonly owners: readonly NodeId[] }[];
  readonly rows: number;
  readonly minTimeNs: bigint;
  readonly maxTimeNs: bigint;
}

export type Source = SettledSource | HotSource;

/** A group with its chunks of one table. */
export interface HotGroup {
  readonly group: ShardGroup;
  readonly chunks: readonly HotChunkInfo[];
}

/** Files that may hold a row within the bounds, in order of precedence, by their statistics. */
export function pruneFiles(
  files: readonly DataFile[],
  schema: TableSchema,
  bounds: TableBounds,
): readonly SettledSource[] {
  const predicates = tagPredicates(schema, bounds);
  return files
    .filter((file) => overlapsBounds(file, bounds))
    .filter((file) => predicates.every((predicate) => mayHoldTag(file, predicate)))
    .toSorted((left, right) => left.sequence - right.sequence || (left.key < right.key ? -1 : 1))
    .map((file) => ({ kind: 'settled', file, ...clipped(file, bounds) }));
}

/** Hot groups with the chunks that may hold a row within the bounds, in order of precedence. */
export function pruneHot(groups: readonly HotGroup[], bounds: TableBounds): readonly HotSource[] {
  return groups
    .toSorted((left, right) => compareGroupPrecedence(left.group, right.group))
    .flatMap(({ group, chunks }) => {
      const within = chunks.filter((chunk) => chunk.rows > 0 && overlapsBounds(chunk, bounds));
      if (within.length === 0) return [];
      const source: HotSource = {
        kind: 'hot',
        group: group.id,
        shards: within.map(({ shard, owners }) => ({
          shard,
          owners: owners ?? group.shards[shard]?.owners ?? [],
        })),
        rows: within.reduce((sum, chunk) => sum + chunk.rows, 0),
        minTimeNs: within.map((chunk) => clipped(chunk, bounds).minTimeNs).reduce(smaller),
        maxTimeNs: within.map((chunk) => clipped(chunk, bounds).maxTimeNs).reduce(larger),
      };
      return [source];
    });
}

/**
 * A window group can be passed over before its chunks are asked for. One that was cut may hold rows up to the end of
 * its window: before the cut they were its own, and a node that had not heard of it yet wrote some after.
 */
export function mayHoldGroup(group: ShardGroup, bounds: TableBounds, windowMs: number): boolean {
  if (group.startNs === null) return true;
  const { endNs } = windowOf(group.startNs, windowMs);
  return overlapsBounds({ minTimeNs: group.startNs, maxTimeNs: endNs - 1n }, bounds);
}

/** A predicate on a tag that the table has, by the tag's own spelling. */
export interface KnownTagPredicate extends TagPredicate {
  readonly fieldId: number;
}

/** The predicates on columns that are tags of the table. */
export function tagPredicates(schema: TableSchema, bounds: TableBounds): readonly KnownTagPredicate[] {
  return bounds.tags.flatMap(({ tag, values }) => {
    const column = schema.columns.find((candidate) => candidate.name.toLowerCase() === tag);
    return column?.kind === 'tag' ? [{ tag: column.name, fieldId: column.fieldId, values }] : [];
  });
}

interface TimeRange {
  readonly minTimeNs: bigint;
  readonly maxTimeNs: bigint;
}

function overlapsBounds(range: TimeRange, bounds: TableBounds): boolean {
  if (bounds.minTimeNs !== null && range.maxTimeNs < bounds.minTimeNs) return false;
  return bounds.maxTimeNs === null || range.minTimeNs <= bounds.maxTimeNs;
}

function clipped(range: TimeRange, bounds: TableBounds): TimeRange {
  return {
    minTimeNs: bounds.minTimeNs === null ? range.minTimeNs : larger(range.minTimeNs, bounds.minTimeNs),
    maxTimeNs: bounds.maxTimeNs === null ? range.maxTimeNs : smaller(range.maxTimeNs, bounds.maxTimeNs),
  };
}

function smaller(left: bigint, right: bigint): bigint {
  return left < right ? left : right;
}

function larger(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}

/** What is known of a tag in a file. Bounds may be shortened text: still bounds. */
export interface TagRange {
  readonly mayBeNull: boolean;
  /** Null: unknown, when the file may have values at all. */
  readonly lower: Uint8Array | null;
  readonly upper: Uint8Array | null;
  readonly mayHaveValues: boolean;
}

/** The range of a tag in a file; a file without the column holds null in every row. */
export function tagRange(file: DataFile, fieldId: number): TagRange {
  const statistics = file.columns.find((column) => column.fieldId === fieldId);
  if (statistics === undefined) return { mayBeNull: true, lower: null, upper: null, mayHaveValues: false };
  return {
    mayBeNull: statistics.nullCount > 0,
    lower: statistics.lower,
    upper: statistics.upper,
    mayHaveValues: statistics.nullCount < statistics.valueCount,
  };
}

function mayHoldTag(file: DataFile, predicate: KnownTagPredicate): boolean {
  const range = tagRange(file, predicate.fieldId);
  return predicate.values.some((value) => isWithin(range, value));
}

function isWithin(range: TagRange, value: string | null): boolean {
  if (value === null) return range.mayBeNull;
  if (!range.mayHaveValues) return false;
  const bytes = Buffer.from(value, 'utf8');
  if (range.lower !== null && compareBytes(bytes, range.lower) < 0) return false;
  return range.upper === null || compareBytes(bytes, range.upper) <= 0;
}
