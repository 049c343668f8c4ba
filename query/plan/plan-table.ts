import type { DataFile } from '../../core/iceberg/types.js';
import type { TableSchema } from '../../core/model/schema.js';
import { compareBytes } from '../../core/model/series-key.js';
import type { TableBounds } from './bounds.js';
import type { LastFields } from './last-points.js';
import {
  type HotGroup,
  type HotSource,
  pruneFiles,
  pruneHot,
  type Source,
  type TagRange,
  tagRange,
} from './sources.js';

/** What to read of a table, and how the parts become one: their union. */
export interface TablePlan {
  readonly schema: TableSchema;
  readonly bounds: TableBounds;
  /** Set when the newest row of each series is enough: the fields that are wanted of it. */
  readonly last: LastFields | null;
  readonly parts: readonly PlanPart[];
}

export type PlanPart =
  /** No other source can hold a point of these files: read as they are. */
  | { readonly kind: 'settled'; readonly files: readonly DataFile[] }
  | { readonly kind: 'hot'; readonly source: HotSource }
  /** Sources that may hold the same point, in ascending precedence: the merge rule decides. */
  | { readonly kind: 'merge'; readonly sources: readonly Source[] };

export interface TableSources {
  readonly schema: TableSchema;
  readonly files: readonly DataFile[];
  /** Groups whose points the files do not hold. */
  readonly hotGroups: readonly HotGroup[];
}

/**
 * Plans one table, purely: prunes by statistics, then finds connected components of sources whose times and tags
 * overlap. A source alone in its component needs no merge rule.
 */
export function planTable(
  sources: TableSources,
  bounds: TableBounds,
  last: LastFields | null = null,
): TablePlan {
  const { schema } = sources;
  const files = pruneFiles(sources.files, schema, bounds);
  const hot = pruneHot(sources.hotGroups, bounds);
  // Hot wins over settled: files come first.
  const components = connectedComponents([...files, ...hot], schema);
  const alone: DataFile[] = [];
  const parts: PlanPart[] = [];
  for (const component of components) {
    const [first] = component;
    if (component.length > 1) parts.push({ kind: 'merge', sources: component });
    else if (first?.kind === 'settled') alone.push(first.file);
    else if (first !== undefined) parts.push({ kind: 'hot', source: first });
  }
  if (alone.length > 0) parts.unshift({ kind: 'settled', files: alone });
  return { schema, bounds, last, parts };
}

/** Data files that a plan reads. */
export function plannedFiles(plan: TablePlan): readonly DataFile[] {
  return plan.parts.flatMap((part) => {
    if (part.kind === 'settled') return part.files;
    if (part.kind === 'hot') return [];
    return part.sources.flatMap((source) => (source.kind === 'settled' ? [source.file] : []));
  });
}

/** Hot sources that a plan reads. */
export function plannedHot(plan: TablePlan): readonly HotSource[] {
  return plan.parts.flatMap((part) => {
    if (part.kind === 'hot') return [part.source];
    if (part.kind === 'settled') return [];
    return part.sources.flatMap((source) => (source.kind === 'hot' ? [source] : []));
  });
}

/** Components of sources that may hold the same point; within each the given order is kept. */
function connectedComponents(
  sources: readonly Source[],
  schema: TableSchema,
): readonly (readonly Source[])[] {
  const parents = sources.map((_, index) => index);
  const rootOf = (index: number): number => {
    let root = index;
    while (parents[root] !== root) root = parents[root] ?? root;
    parents[index] = root;
    return root;
  };
  const tagIds = schema.columns.filter((column) => column.kind === 'tag').map((column) => column.fieldId);
  const byStart = sources
    .map((source, index) => ({ source, index }))
    .sort((left, right) => compareBigints(left.source.minTimeNs, right.source.minTimeNs));
  let active: typeof byStart = [];
  for (const next of byStart) {
    active = active.filter((other) => other.source.maxTimeNs >= next.source.minTimeNs);
    for (const other of active) {
      if (rootOf(other.index) === rootOf(next.index)) continue;
      if (mayShare(other.source, next.source, tagIds)) parents[rootOf(other.index)] = rootOf(next.index);
    }
    active.push(next);
  }
  const components = new Map<number, Source[]>();
  sources.forEach((source, index) => {
    const root = rootOf(index);
    const component = components.get(root);
    if (component === undefined) components.set(root, [source]);
    else component.push(source);
  });
  return [...components.values()];
}

function compareBigints(left: bigint, right: bigint): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/**
 * False when the two have no point in common: files of one sequence come of one seal or one merge, which write each
 * point once; or some tag shows that they have no series in common. Of hot chunks no tag ranges are known.
 */
function mayShare(left: Source, right: Source, tagIds: readonly number[]): boolean {
  if (left.kind === 'hot' || right.kind === 'hot') return true;
  if (left.file.sequence === right.file.sequence) return false;
  return tagIds.every((fieldId) =>
    rangesOverlap(tagRange(left.file, fieldId), tagRange(right.file, fieldId)),
  );
}

function rangesOverlap(left: TagRange, right: TagRange): boolean {
  if (left.mayBeNull && right.mayBeNull) return true;
  if (!left.mayHaveValues || !right.mayHaveValues) return false;
  if (left.lower !== null && right.upper !== null && compareBytes(left.lower, right.upper) > 0) return false;
  return left.upper === null || right.lower === null || compareBytes(right.lower, left.upper) <= 0;
}
