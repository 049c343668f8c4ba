import type { StringValues } from '../model/columns.js';
import type { TagCodes } from './types.js';

/** A tag over the rows of a row group as runs of equal values: in a file sorted by series they are few. */
export interface TagRuns {
  /** First row of run i; one more at the end, which is the count of rows. */
  readonly starts: Int32Array;
  /** Index of the run's value in the dictionary, -1 where the tag is absent. */
  readonly codes: Int32Array;
  readonly dictionary: StringValues;
}

/** Rows [from, to) one after the other, ascending, as [from, to, from, to, …]. */
export type RowRanges = readonly number[];

/** HOT LOOP. Gathers equal codes that follow one another. */
export function tagRunsOf({ codes, dictionary }: TagCodes): TagRuns {
  let runs = 0;
  for (let row = 0; row < codes.length; row++) if (row === 0 || codes[row] !== codes[row - 1]) runs++;
  const starts = new Int32Array(runs + 1);
  const values = new Int32Array(runs);
  for (let row = 0, run = 0; row < codes.length; row++) {
    if (row > 0 && codes[row] === codes[row - 1]) continue;
    starts[run] = row;
    values[run] = codes[row]!;
    run++;
  }
  starts[runs] = codes.length;
  return { starts, codes: values, dictionary };
}

/** The rows that have one of the values; null stands for the lack of the tag. */
export function rowsWithTag(runs: TagRuns, values: readonly (Uint8Array | null)[]): RowRanges {
  const wanted = new Set<number>();
  for (const value of values) {
    if (value === null) wanted.add(-1);
    else for (const code of codesOf(runs.dictionary, value)) wanted.add(code);
  }
  const ranges: number[] = [];
  if (wanted.size === 0) return ranges;
  const { starts, codes } = runs;
  for (let run = 0; run < codes.length; run++) {
    if (!wanted.has(codes[run]!)) continue;
    if (ranges.at(-1) === starts[run]) ranges[ranges.length - 1] = starts[run + 1]!;
    else ranges.push(starts[run]!, starts[run + 1]!);
  }
  return ranges;
}

function codesOf(dictionary: StringValues, value: Uint8Array): readonly number[] {
  const { offsets, bytes } = dictionary;
  const found: number[] = [];
  for (let code = 0; code + 1 < offsets.length; code++) {
    const from = offsets[code]!;
    if (offsets[code + 1]! - from !== value.length) continue;
    let same = 0;
    while (same < value.length && bytes[from + same] === value[same]) same++;
    if (same === value.length) found.push(code);
  }
  return found;
}

/** Rows that are in both. */
export function intersectRanges(left: RowRanges, right: RowRanges): RowRanges {
  const both: number[] = [];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    const from = Math.max(left[i]!, right[j]!);
    const to = Math.min(left[i + 1]!, right[j + 1]!);
    if (from < to) both.push(from, to);
    if (left[i + 1]! < right[j + 1]!) i += 2;
    else j += 2;
  }
  return both;
}

/** How many rows the ranges have. */
export function rowsIn(ranges: RowRanges): number {
  let rows = 0;
  for (let i = 0; i < ranges.length; i += 2) rows += ranges[i + 1]! - ranges[i]!;
  return rows;
}
