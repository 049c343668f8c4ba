import type { RowBlock } from './row-block.js';
import { type CursorSource, compareSeries, SeriesCursor } from './series-cursor.js';
import { compareTimes } from './time-lanes.js';

/** Takes the merged rows in order. */
export interface RowSink {
  /** Appends rows [from, to) of the block, which follow everything appended before. */
  append(block: RowBlock, from: number, to: number): void | Promise<void>;
  /** Lays the fields of a row over the last row appended (the same point); returns fields that had another value. */
  overlay(block: RowBlock, row: number): number;
}

export interface MergeCounts {
  /** Rows taken from the sources, filtered ones not counted. */
  readonly rowsIn: number;
  /** Points handed to the sink: rowsIn less the rows that were one point with another. */
  readonly rowsOut: number;
  /** Values that another source's value for the same field of the same point displaced. */
  readonly conflicts: number;
}

/**
 * Merges sorted sources into one sorted stream, each point once (the merge rule between files: a point's fields are
 * the union, and of several values for one field the one from the source of the highest precedence wins). Sources
 * must differ in precedence where they can share points. Whole runs of a series are handed on at once as long as
 * one source alone has it; memory is one block a source.
 */
export async function mergeSources(
  sources: readonly CursorSource[],
  sink: RowSink,
  signal?: AbortSignal,
): Promise<MergeCounts> {
  const cursors = sources.map((source) => new SeriesCursor(source));
  const merge = new Merge(sink, signal);
  try {
    await merge.run(cursors);
  } finally {
    await Promise.all(cursors.map((cursor) => cursor.close()));
  }
  const rowsIn = cursors.reduce((sum, cursor) => sum + cursor.rowsTaken, 0);
  return { rowsIn, rowsOut: rowsIn - merge.rowsMerged, conflicts: merge.conflicts };
}

class Merge {
  rowsMerged = 0;
  conflicts = 0;
  readonly #sink: RowSink;
  readonly #signal: AbortSignal | undefined;

  constructor(sink: RowSink, signal: AbortSignal | undefined) {
    this.#sink = sink;
    this.#signal = signal;
  }

  async run(cursors: readonly SeriesCursor[]): Promise<void> {
    const live: SeriesCursor[] = [];
    for (const cursor of cursors) if (await cursor.start()) live.push(cursor);
    const ended = new Set<SeriesCursor>();
    while (live.length > 0) {
      this.#signal?.throwIfAborted();
      const members = smallestSeries(live);
      if (members.length === 1) await this.#takeRun(members[0] as SeriesCursor, ended);
      else await this.#mergeSeries(members, ended);
      if (ended.size > 0) {
        for (const cursor of ended) live.splice(live.indexOf(cursor), 1);
        ended.clear();
      }
    }
  }

  async #takeRun(cursor: SeriesCursor, ended: Set<SeriesCursor>): Promise<void> {
    const appended = this.#sink.append(cursor.block, cursor.row, cursor.runEnd);
    if (appended !== undefined) await appended;
    await this.#move(cursor, cursor.runEnd, ended);
  }

  async #move(cursor: SeriesCursor, row: number, ended: Set<SeriesCursor>): Promise<void> {
    const moved = cursor.moveTo(row);
    if (!(typeof moved === 'boolean' ? moved : await moved)) ended.add(cursor);
  }

  /**
   * Merges by time what several cursors have of one series, until one of them is at the end of its run: the caller
   * then looks again who has the series, for its run may go on in the cursor's next block.
   */
  async #mergeSeries(members: readonly SeriesCursor[], ended: Set<SeriesCursor>): Promise<void> {
    for (;;) {
      const first = earliest(members);
      const next = earliest(members, first);
      if (compareHeads(first, next) < 0) {
        const end = firstNotBefore(first, next);
        const runIsUsedUp = end === first.runEnd;
        const appended = this.#sink.append(first.block, first.row, end);
        if (appended !== undefined) await appended;
        await this.#move(first, end, ended);
        if (runIsUsedUp) return;
        continue;
      }
      const same = members
        .filter((cursor) => compareHeads(cursor, first) === 0)
        .sort((left, right) => left.precedence - right.precedence);
      if (await this.#mergePoint(same, ended)) return;
    }
  }

  /** Hands on one point that all of `same` have, lowest precedence first; true when some run is used up. */
  async #mergePoint(same: readonly SeriesCursor[], ended: Set<SeriesCursor>): Promise<boolean> {
    const [lowest, ...higher] = same as [SeriesCursor, ...SeriesCursor[]];
    const appended = this.#sink.append(lowest.block, lowest.row, lowest.row + 1);
    if (appended !== undefined) await appended;
    for (const cursor of higher) this.conflicts += this.#sink.overlay(cursor.block, cursor.row);
    this.rowsMerged += higher.length;
    let runIsUsedUp = false;
    for (const cursor of same) {
      if (cursor.row + 1 === cursor.runEnd) runIsUsedUp = true;
      await this.#move(cursor, cursor.row + 1, ended);
    }
    return runIsUsedUp;
  }
}

/** The cursors whose head is of the smallest series. */
function smallestSeries(live: readonly SeriesCursor[]): SeriesCursor[] {
  const members = [live[0] as SeriesCursor];
  for (let i = 1; i < live.length; i++) {
    const cursor = live[i] as SeriesCursor;
    const smallest = members[0] as SeriesCursor;
    const order = compareSeries(cursor.block, cursor.row, smallest.block, smallest.row);
    if (order < 0) members.length = 0;
    if (order <= 0) members.push(cursor);
  }
  return members;
}

function earliest(members: readonly SeriesCursor[], except?: SeriesCursor): SeriesCursor {
  let first: SeriesCursor | undefined;
  for (const cursor of members) {
    if (cursor === except) continue;
    if (first === undefined || compareHeads(cursor, first) < 0) first = cursor;
  }
  return first as SeriesCursor;
}

function compareHeads(left: SeriesCursor, right: SeriesCursor): number {
  return compareTimes(left.lanes, left.block.nanos, left.row, right.lanes, right.block.nanos, right.row);
}

/** The first row of `cursor`'s run that is not before the head of `bound`; runEnd when all are. Binary search. */
function firstNotBefore(cursor: SeriesCursor, bound: SeriesCursor): number {
  let low = cursor.row + 1;
  let high = cursor.runEnd;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareTimes(
      cursor.lanes,
      cursor.block.nanos,
      middle,
      bound.lanes,
      bound.block.nanos,
      bound.row,
    );
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
