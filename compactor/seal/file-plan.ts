import type { GroupKind } from '../../core/catalog/types.js';
import type { ChunkReport } from '../../core/ports/peer.js';
import type { DayFilter } from '../rows/series-cursor.js';

/** Which rows of a chunk go into which file (or run of files, where they are many). */
export interface FilePlan {
  /** The day partition; null for a file that spans days. */
  readonly day: number | null;
  /** Bounds of the scan, whole days, inclusive; null for none. */
  readonly minTimeNs: bigint | null;
  readonly maxTimeNs: bigint | null;
  /** What of the scan's rows is wanted beyond the bounds. */
  readonly days: DayFilter;
  /** Shards that can have such rows. */
  readonly shards: readonly number[];
}

export interface FilePlanSettings {
  /** A day of a late group with at least this many rows gets a file of its own. */
  readonly dayRowsMin: number;
  /** Up to this many days get files of their own however few their rows: only more are worth a spanning file. */
  readonly dayFilesMin: number;
}

/** What docs/compaction.md says of files. */
export const defaultFilePlanSettings: FilePlanSettings = { dayRowsMin: 50_000, dayFilesMin: 4 };

const nsPerDay = 86_400_000_000_000n;

/**
 * Plans the files of one table in one group. A window group gets a file a day. A late or ahead group may hold a few
 * points a day over years; such days go together into one spanning file, since a file a day would make thousands.
 */
export function planFiles(
  kind: GroupKind,
  chunks: readonly ChunkReport[],
  settings: FilePlanSettings = defaultFilePlanSettings,
): FilePlan[] {
  const rows = rowsByDay(chunks);
  const days = [...rows.keys()].sort((left, right) => left - right);
  const small = kind === 'window' ? [] : days.filter((day) => (rows.get(day) ?? 0) < settings.dayRowsMin);
  if (small.length <= settings.dayFilesMin) return days.map((day) => dayPlan(day, chunks));
  const spanning = new Set(small);
  const large = days.filter((day) => !spanning.has(day));
  return [...large.map((day) => dayPlan(day, chunks)), spanPlan(small, large, chunks)];
}

function rowsByDay(chunks: readonly ChunkReport[]): Map<number, number> {
  const rows = new Map<number, number>();
  for (const chunk of chunks) {
    for (const { day, rows: count } of chunk.rowsByDay) rows.set(day, (rows.get(day) ?? 0) + count);
  }
  return rows;
}

function dayPlan(day: number, chunks: readonly ChunkReport[]): FilePlan {
  return {
    day,
    ...boundsOfDays(day, day),
    days: null,
    shards: shardsWith(chunks, (candidate) => candidate === day),
  };
}

function spanPlan(
  small: readonly number[],
  large: readonly number[],
  chunks: readonly ChunkReport[],
): FilePlan {
  const first = small[0] ?? 0;
  const last = small.at(-1) ?? 0;
  const between = large.filter((day) => day > first && day < last);
  const wanted = new Set(small);
  return {
    day: null,
    ...boundsOfDays(first, last),
    days: between.length === 0 ? null : { kind: 'except', days: new Set(between) },
    shards: shardsWith(chunks, (day) => wanted.has(day)),
  };
}

function boundsOfDays(first: number, last: number): { minTimeNs: bigint; maxTimeNs: bigint } {
  return { minTimeNs: BigInt(first) * nsPerDay, maxTimeNs: BigInt(last + 1) * nsPerDay - 1n };
}

function shardsWith(chunks: readonly ChunkReport[], wanted: (day: number) => boolean): number[] {
  return chunks
    .filter((chunk) => chunk.rowsByDay.some(({ day }) => wanted(day)))
    .map((chunk) => chunk.shard)
    .sort((left, right) => left - right);
}
