import type { DataFile } from '../../core/iceberg/types.js';
import type { ColumnStatistics } from '../../core/parquet/types.js';

/**
 * What of a data file tells whether it can hold a point that another holds: its box in time and tags. Files of one
 * sequence never share a point (they come of one seal or one merge, which write each point once), whatever their
 * boxes say.
 */
export interface FileBox {
  readonly sequence: number;
  readonly rows: number;
  readonly minTimeNs: bigint;
  readonly maxTimeNs: bigint;
  readonly columns: readonly ColumnStatistics[];
}

/** True when the two files may hold the same point. `tagFieldIds`: field ids of the table's tags. */
export function mayShare(left: FileBox, right: FileBox, tagFieldIds: readonly number[]): boolean {
  if (left.sequence === right.sequence) return false;
  if (left.maxTimeNs < right.minTimeNs || right.maxTimeNs < left.minTimeNs) return false;
  return tagFieldIds.every((fieldId) => tagMayMatch(left, right, fieldId));
}

/** False when no row of the one can have the same value of the tag (or lack of it) as a row of the other. */
function tagMayMatch(left: FileBox, right: FileBox, fieldId: number): boolean {
  const a = tagRange(left, fieldId);
  const b = tagRange(right, fieldId);
  if (a.mayLack && b.mayLack) return true;
  if (!a.mayHave || !b.mayHave) return false;
  if (a.lower !== null && b.upper !== null && Buffer.compare(a.lower, b.upper) > 0) return false;
  if (b.lower !== null && a.upper !== null && Buffer.compare(b.lower, a.upper) > 0) return false;
  return true;
}

interface TagRange {
  readonly mayLack: boolean;
  readonly mayHave: boolean;
  /** Inclusive bounds, possibly widened; null for unknown. */
  readonly lower: Uint8Array | null;
  readonly upper: Uint8Array | null;
}

function tagRange(file: FileBox, fieldId: number): TagRange {
  const column = file.columns.find((candidate) => candidate.fieldId === fieldId);
  // The file is older than the tag: no row of it has one.
  if (column === undefined) return { mayLack: true, mayHave: false, lower: null, upper: null };
  return {
    mayLack: column.nullCount > 0,
    mayHave: column.nullCount < file.rows,
    lower: column.lower,
    upper: column.upper,
  };
}

/** The box around several files, with the highest of their sequences: what a merge of them makes. */
export function boxAround(files: readonly DataFile[], tagFieldIds: readonly number[]): FileBox {
  const first = files[0] as DataFile;
  let { minTimeNs, maxTimeNs, sequence } = first;
  let rows = 0;
  for (const file of files) {
    if (file.minTimeNs < minTimeNs) minTimeNs = file.minTimeNs;
    if (file.maxTimeNs > maxTimeNs) maxTimeNs = file.maxTimeNs;
    if (file.sequence > sequence) sequence = file.sequence;
    rows += file.rows;
  }
  const columns = tagFieldIds.map((fieldId) => columnAround(files, fieldId, rows));
  return { sequence, rows, minTimeNs, maxTimeNs, columns };
}

function columnAround(files: readonly DataFile[], fieldId: number, rows: number): ColumnStatistics {
  const ranges = files.map((file) => tagRange(file, fieldId));
  const having = ranges.filter((range) => range.mayHave);
  const lowers = having.map((range) => range.lower);
  const uppers = having.map((range) => range.upper);
  const lacking = ranges.some((range) => range.mayLack);
  return {
    fieldId,
    compressedBytes: 0,
    valueCount: rows,
    nullCount: having.length === 0 ? rows : lacking ? 1 : 0,
    nanCount: null,
    lower: extreme(lowers, -1),
    upper: extreme(uppers, 1),
  };
}

/** The smallest (sign -1) or largest (sign 1) bound; null if any is unknown. */
function extreme(bounds: readonly (Uint8Array | null)[], sign: -1 | 1): Uint8Array | null {
  let found: Uint8Array | null = bounds[0] ?? null;
  for (const bound of bounds) {
    if (bound === null || found === null) return null;
    if (Buffer.compare(bound, found) * sign > 0) found = bound;
  }
  return found;
}
