import type { ColumnNeed, ColumnRoom } from '../../core/codec/arrow-room.js';
import { packBits } from '../../core/codec/bitmap.js';
import type { IntegerWidth } from '../../core/codec/narrow-integers.js';
import { hasConflict, winningRow } from '../../core/model/merge.js';
import { blockMask, blockRows } from './blocks.js';
import type { Chunk } from './chunk.js';
import type { ColumnBlock, HotColumn } from './hot-column.js';
import { gatherNarrow, gatherNumbers, gatherTarget } from './number-block.js';
import { headTimeHigh, headTimeLow, headWidth } from './row-heads.js';
import { type PointBatch, type RowSelection, selectRows } from './scan-points.js';
import type { TagDictionary } from './scan-series.js';
import type { SeriesRows } from './sorted-rows.js';

/** A column of a record batch that knows how much room it needs and writes itself there. */
export interface GatheredColumn {
  readonly need: ColumnNeed;
  fill(room: ColumnRoom): void;
}

/** Writes the times of the points. */
export function gatherTimes(
  chunk: Chunk,
  { rows, parts, timesNs: known }: PointBatch,
  timesNs: BigInt64Array,
): void {
  if (known !== null) {
    timesNs.set(known);
    return;
  }
  const lanes = new Int32Array(timesNs.buffer, timesNs.byteOffset, timesNs.length * 2);
  for (let part = 0; part < parts.length; part += 3) {
    copyTimes(chunk.heads.blocks[parts[part]!]!.heads, rows, parts[part + 1]!, parts[part + 2]!, lanes);
  }
}

/** A tag over the points, in codes of `width` bytes. */
export function gatherTag(
  dictionary: TagDictionary,
  { runs, rows }: PointBatch,
  width: IntegerWidth,
): GatheredColumn {
  const present = dictionary.hasAbsent ? new Uint8Array(rows.length) : null;
  if (present !== null) {
    for (let run = 0; run < runs.length; run += 3) {
      if (dictionary.codes[runs[run]!]! >= 0) present.fill(1, runs[run + 1]!, runs[run + 2]!);
    }
  }
  return {
    need: { kind: 'tag', nullCount: countAbsent(present), textBytes: 0, width },
    fill: ({ narrow, validity }) => {
      for (let run = 0; run < runs.length; run += 3) {
        // At an absent row stands code 0: readers may look up what they then ignore.
        narrow?.fill(Math.max(0, dictionary.codes[runs[run]!]!), runs[run + 1]!, runs[run + 2]!);
      }
      if (present !== null && validity !== null) packBits(present, validity, 0);
    },
  };
}

/** A field over the points, after the merge rule, in numbers of `width` bytes if they are numbers, and how many points had different values for it. */
export function gatherField(
  column: HotColumn,
  rowCount: number,
  found: SeriesRows,
  points: PointBatch,
  width: IntegerWidth,
): GatheredColumn & { readonly conflicts: number } {
  const { selected, conflicts } = mergeField(column, found, points);
  const present = column.mayLack(rowCount) ? gatherPresence(column, selected) : null;
  return {
    conflicts,
    need: {
      kind: column.type,
      nullCount: countAbsent(present),
      textBytes: column.type === 'string' ? countText(column, selected.rows, present) : 0,
      width,
    },
    fill: (room) => {
      if (present !== null && room.validity !== null) packBits(present, room.validity, 0);
      fillValues(column, selected, present, room);
    },
  };
}

/** Takes the winner's row for every merged point. */
function mergeField(
  column: HotColumn,
  found: SeriesRows,
  points: PointBatch,
): { readonly selected: RowSelection; readonly conflicts: number } {
  let rows: Int32Array | undefined;
  let conflicts = 0;
  const { merged } = points;
  for (let at = 0; at < merged.length; at += 3) {
    const winner = winningRow(column, found.rows, merged[at + 1]!, merged[at + 2]!);
    if (winner < 0) continue;
    if (hasConflict(column, found.rows, merged[at + 1]!, merged[at + 2]!, winner)) conflicts += 1;
    if (winner === points.rows[merged[at]!]) continue;
    rows ??= points.rows.slice();
    rows[merged[at]!] = winner;
  }
  return { selected: rows === undefined ? points : selectRows(rows), conflicts };
}

function gatherPresence(column: HotColumn, { rows, parts }: RowSelection): Uint8Array {
  const present = new Uint8Array(rows.length);
  for (let part = 0; part < parts.length; part += 3) {
    const number = parts[part]!;
    const block = column.blocks[number];
    if (block === undefined) continue;
    const written = column.rowCount - number * blockRows;
    markPresent(block.validity, written, rows, parts[part + 1]!, parts[part + 2]!, present);
  }
  return present;
}

function countAbsent(present: Uint8Array | null): number {
  if (present === null) return 0;
  let absent = present.length;
  for (let at = 0; at < present.length; at++) absent -= present[at]!;
  return absent;
}

function countText(column: HotColumn, rows: Int32Array, present: Uint8Array | null): number {
  let bytes = 0;
  for (let at = 0; at < rows.length; at++) {
    if (present === null || present[at] === 1) bytes += column.textBytesOf(rows[at]!);
  }
  return bytes;
}

function fillValues(
  column: HotColumn,
  { rows, parts }: RowSelection,
  present: Uint8Array | null,
  room: ColumnRoom,
): void {
  switch (column.type) {
    case 'string':
      fillText(column, rows, present, room);
      return;
    case 'boolean': {
      const values = new Uint8Array(rows.length);
      forEachPart(column, parts, (block, from, to) => copyBytes(block.flags, rows, from, to, values));
      packBits(values, room.bytes, 0);
      return;
    }
    default: {
      const { type } = column;
      const { narrow } = room;
      if (narrow !== null) {
        forEachPart(column, parts, (block, from, to) =>
          gatherNarrow(block.numbers, type, rows, blockMask, from, to, narrow),
        );
        return;
      }
      const into = gatherTarget(room.longs);
      forEachPart(column, parts, (block, from, to) =>
        gatherNumbers(block.numbers, type, rows, blockMask, from, to, into),
      );
    }
  }
}

function fillText(column: HotColumn, rows: Int32Array, present: Uint8Array | null, room: ColumnRoom): void {
  let end = 0;
  for (let at = 0; at < rows.length; at++) {
    if (present === null || present[at] === 1) {
      const text = column.textOf(rows[at]!);
      room.bytes.set(text, end);
      end += text.length;
    }
    room.words[at + 1] = end;
  }
}

function forEachPart(
  column: HotColumn,
  parts: Int32Array,
  visit: (block: ColumnBlock, from: number, to: number) => void,
): void {
  for (let part = 0; part < parts.length; part += 3) {
    const block = column.blocks[parts[part]!];
    if (block !== undefined) visit(block, parts[part + 1]!, parts[part + 2]!);
  }
}

// Hot loops, hence the plain parameters: output [from, to) is taken from the rows' places in one block.

function copyTimes(heads: Int32Array, rows: Int32Array, from: number, to: number, lanes: Int32Array): void {
  for (let at = from; at < to; at++) {
    const head = (rows[at]! & blockMask) * headWidth;
    lanes[at * 2] = heads[head + headTimeLow]!;
    lanes[at * 2 + 1] = heads[head + headTimeHigh]!;
  }
}

function copyBytes(source: Uint8Array, rows: Int32Array, from: number, to: number, into: Uint8Array): void {
  for (let at = from; at < to; at++) into[at] = source[rows[at]! & blockMask]!;
}

function markPresent(
  validity: Uint8Array | null,
  written: number,
  rows: Int32Array,
  from: number,
  to: number,
  present: Uint8Array,
): void {
  for (let at = from; at < to; at++) {
    const place = rows[at]! & blockMask;
    present[at] = place < written ? (validity === null ? 1 : validity[place]!) : 0;
  }
}
