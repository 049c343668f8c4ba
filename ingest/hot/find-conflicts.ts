import type { GroupId } from '../../core/model/batch.js';
import { hasConflict, winningRow } from '../../core/model/merge.js';
import {
  type ConflictValue,
  conflictTextMax,
  conflictValuesMax,
  type FieldConflict,
} from '../../core/ports/conflict-reader.js';
import type { Chunk } from './chunk.js';
import type { HotColumn } from './hot-column.js';
import { collectRows } from './scan-rows.js';
import type { SeriesRows } from './sorted-rows.js';

/** What to look for in a chunk. */
export interface ConflictSearch {
  readonly chunk: Chunk;
  readonly group: GroupId;
  /** Asked at each conflict whether to make a list entry of it. */
  readonly wanted: () => 'list' | 'count' | 'stop';
  readonly list: (conflict: FieldConflict) => void;
  /** Lets other work of the event loop go first. */
  readonly giveWay: () => Promise<void>;
}

/** Points looked at before other work may go first. */
const pointsAtOnce = 16_384;

const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Walks through the points of a chunk that came more than once. Series whose times only grew are passed over. */
export async function findConflicts(search: ConflictSearch): Promise<void> {
  const { chunk, giveWay } = search;
  // What is appended meanwhile does not touch the rows below.
  const rowCount = chunk.rowCount;
  const series = disorderedSeries(chunk);
  if (series.length === 0) return;
  const found = await collectRows({ chunk, rowCount, series, minTimeNs: null, maxTimeNs: null, giveWay });
  const columns = chunk.columns();
  let points = 0;
  for (let place = 0; place < found.series.length; place++) {
    const end = found.starts[place + 1]!;
    for (let at = found.starts[place]!; at < end; ) {
      const from = at;
      at = endOfPoint(chunk, found.rows, from, end);
      if (at - from > 1 && !checkPoint(search, columns, found, place, from, at)) return;
      points += 1;
      if (points % pointsAtOnce === 0) await giveWay();
    }
  }
}

function disorderedSeries({ series }: Chunk): Int32Array {
  const numbers: number[] = [];
  for (let number = 0; number < series.count; number++) {
    if (series.disordered[number] === 1) numbers.push(number);
  }
  return Int32Array.from(numbers);
}

/** End of the rows that have the time of the row at `from`. */
function endOfPoint({ heads }: Chunk, rows: Int32Array, from: number, end: number): number {
  const low = heads.timeLow(rows[from]!);
  const high = heads.timeHigh(rows[from]!);
  let at = from + 1;
  while (at < end && heads.timeLow(rows[at]!) === low && heads.timeHigh(rows[at]!) === high) at += 1;
  return at;
}

/** Looks at every field of a point that came as rows [from, to); false when no more is wanted. */
function checkPoint(
  { chunk, group, wanted, list }: ConflictSearch,
  columns: readonly HotColumn[],
  { series, rows }: SeriesRows,
  place: number,
  from: number,
  to: number,
): boolean {
  for (const column of columns) {
    const winner = winningRow(column, rows, from, to);
    if (winner < 0 || !hasConflict(column, rows, from, to, winner)) continue;
    const verdict = wanted();
    if (verdict === 'stop') return false;
    if (verdict === 'count') continue;
    list({
      table: chunk.table,
      tags: chunk.series.tagsOf(series[place]!),
      timeNs: timeOf(chunk, winner),
      field: column.name,
      values: distinctValues(chunk, column, rows, from, to),
      group,
      shard: chunk.shard,
    });
  }
  return true;
}

/** The values of rows in ascending precedence, the last one first, each once. */
function distinctValues(
  chunk: Chunk,
  column: HotColumn,
  rows: Int32Array,
  from: number,
  to: number,
): readonly ConflictValue[] {
  const distinct: number[] = [];
  for (let at = to - 1; at >= from && distinct.length < conflictValuesMax; at--) {
    const row = rows[at]!;
    if (!column.has(row) || distinct.some((other) => column.same(row, other))) continue;
    distinct.push(row);
  }
  return distinct.map((row) => ({ text: valueText(column, row), origin: chunk.originOf(row) }));
}

function timeOf({ heads }: Chunk, row: number): bigint {
  return (BigInt(heads.timeHigh(row)) << 32n) | BigInt(heads.timeLow(row) >>> 0);
}

function valueText(column: HotColumn, row: number): string {
  switch (column.type) {
    case 'string':
      return shortened(textDecoder.decode(column.textOf(row)));
    case 'boolean':
      return column.flagOf(row) ? 'true' : 'false';
    case 'double': {
      const value = new Float64Array(BigInt64Array.of(column.bitsOf(row)).buffer)[0]!;
      // As SQL's JSON writes them: whole doubles stay doubles.
      return Number.isInteger(value) && !/e/.test(`${value}`) ? value.toFixed(1) : `${value}`;
    }
    case 'bigint':
      return `${column.bitsOf(row)}`;
    case 'ubigint':
      return `${BigInt.asUintN(64, column.bitsOf(row))}`;
  }
}

function shortened(text: string): string {
  return text.length <= conflictTextMax ? text : `${text.slice(0, conflictTextMax - 1)}…`;
}
