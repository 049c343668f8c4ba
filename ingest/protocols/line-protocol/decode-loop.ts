import {
  carriageReturn,
  comma,
  digitZero,
  dot,
  hash,
  letterI,
  letterU,
  minus,
  newline,
  previewText,
  space,
  tab,
} from './bytes.js';
import { type ColumnBuilder, typeBigint, typeDouble, typeUbigint } from './column-builder.js';
import { FieldDecoder, fieldIncomplete } from './field-decoder.js';
import type { KernelRows } from './kernel/kernel-rows.js';
import { LineEndFinder } from './line-end.js';
import { powersOfTen } from './number-syntax.js';
import type { Rejections } from './rejections.js';
import type { RequestTables } from './request-tables.js';
import type { SeriesInterner } from './series-interner.js';
import type { TableBuilder } from './table-builder.js';
import type { TimestampReader } from './timestamp.js';

const lineAccepted = 0;
const lineMalformed = 1;
const lineIncomplete = 2;

/** Digits that fit a 32-bit integer whatever they are. */
const wordDigitsMax = 9;

export interface DecodeLoopParts {
  readonly interner: SeriesInterner;
  readonly tables: RequestTables;
  readonly timestamps: TimestampReader;
  readonly rejections: Rejections;
  /** Time of lines that have none, as two words. */
  readonly nowLow: number;
  readonly nowHigh: number;
  readonly lineBytesMax: number;
  /** Takes lines of the usual form, where the interner has a kernel. */
  readonly kernelRows: KernelRows | undefined;
}

/**
 * HOT LOOP. Takes complete lines out of a buffer and writes their rows to the request's tables. Everything a line
 * of the usual form needs is here or in methods that read words, allocate nothing and make no BigInt; whatever is
 * unusual (a new series, a new field, a string, an error) leaves by a call.
 *
 * A line is predicted from the lines before: its series is the one that followed last time, its fields come in the
 * order of the table's columns. A prediction that fails costs a hash look-up, never a wrong answer.
 */
export class DecodeLoop {
  readonly #parts: DecodeLoopParts;
  readonly #fields = new FieldDecoder();
  readonly #lineEnds = new LineEndFinder();
  #previousSpelling = -1;
  #problem = '';
  /** Position after the line that #line accepted. */
  #next = 0;
  /** Newlines within the strings of the current line. */
  #innerNewlines = 0;
  /** 1-based number of the line that comes next. */
  lineNumber = 1;
  /** Lines taken that are neither blank nor comments. */
  lineCount = 0;

  constructor(parts: DecodeLoopParts) {
    this.#parts = parts;
  }

  /**
   * Takes the lines in bytes [0, end), the last of which is a newline; readSlackBytes beyond are readable. Answers
   * the start of a line that goes on past `end` within a string, or `end`.
   */
  run(bytes: Uint8Array, view: DataView, end: number): number {
    const { kernelRows } = this.#parts;
    let at = 0;
    while (at < end) {
      if (kernelRows !== undefined) {
        at = kernelRows.run(at, end, this.#previousSpelling, this.lineNumber);
        this.#previousSpelling = kernelRows.spelling;
        this.lineNumber += kernelRows.lines;
        this.lineCount += kernelRows.lines;
        if (at >= end) break;
      }
      const byte = bytes[at];
      if (byte === newline) {
        this.lineNumber++;
        at++;
      } else if (byte === space || byte === tab || (byte === carriageReturn && bytes[at + 1] === newline)) {
        at++;
      } else if (byte === hash) {
        at = bytes.indexOf(newline, at);
      } else {
        const next = this.#take(bytes, view, at, end);
        if (next < 0) return at;
        at = next;
      }
    }
    return at;
  }

  /** Takes the line at `start`; answers the position after it, or -1 when it goes on past `end`. */
  #take(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    const outcome = this.#line(bytes, view, start, end);
    if (outcome === lineAccepted && this.#next - start <= this.#parts.lineBytesMax) {
      const table = this.#parts.tables.current as TableBuilder;
      table.rowCount++;
      this.#parts.kernelRows?.admit(this.#previousSpelling, table);
      this.lineNumber += 1 + this.#innerNewlines;
      this.lineCount++;
      return this.#next;
    }
    this.#parts.tables.rollBack();
    if (outcome === lineIncomplete) return -1;
    return this.#reject(bytes, start, end);
  }

  #reject(bytes: Uint8Array, start: number, end: number): number {
    this.#lineEnds.reset();
    const next = this.#lineEnds.find(bytes, start, end);
    if (next < 0) return -1;
    const { lineBytesMax, rejections } = this.#parts;
    const problem = next - start > lineBytesMax ? lineTooLong(lineBytesMax) : this.#problem;
    rejections.add(this.lineNumber, bytes, start, next, problem);
    this.lineNumber += this.#lineEnds.newlines;
    this.lineCount++;
    return next;
  }

  /** Decodes the line at `start` into the next row of its table; what it did is taken back if it is not accepted. */
  #line(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    const { interner, tables, timestamps } = this.#parts;
    this.#innerNewlines = 0;
    const spelling = interner.findSpelling(bytes, view, start, this.#previousSpelling);
    if (spelling < 0) {
      tables.current = undefined;
      this.#problem = interner.problem;
      return lineMalformed;
    }
    this.#previousSpelling = spelling;
    const local = tables.begin(interner.seriesOf(spelling));
    if (local < 0) {
      this.#problem = tables.problem;
      return lineMalformed;
    }
    const table = tables.current as TableBuilder;
    if (table.rowCount === table.capacity) table.grow();

    let at = interner.spellingEnd;
    while (bytes[at] === space) at++;
    at = this.#fieldSet(bytes, view, at, end, table);
    if (at < 0) return at === fieldIncomplete ? lineIncomplete : lineMalformed;

    const row = table.rowCount;
    while (bytes[at] === space) at++;
    if (endsLine(bytes, at)) {
      table.times[row * 2] = this.#parts.nowLow;
      table.times[row * 2 + 1] = this.#parts.nowHigh;
    } else {
      const after = timestamps.read(bytes, at, end);
      if (after < 0) return this.#malformedTime(bytes, at, after);
      at = after;
      while (bytes[at] === space) at++;
      if (!endsLine(bytes, at)) return this.#malformedTail(bytes, at);
      table.times[row * 2] = timestamps.low;
      table.times[row * 2 + 1] = timestamps.high;
    }
    table.series[row] = local;
    table.lineNumbers[row] = this.lineNumber;
    this.#next = bytes[at] === newline ? at + 1 : at + 2;
    return lineAccepted;
  }

  /** Decodes `field=value[,field=value…]`; answers the position after it, fieldMalformed or fieldIncomplete. */
  #fieldSet(bytes: Uint8Array, view: DataView, start: number, end: number, table: TableBuilder): number {
    const { columns } = table;
    const row = table.rowCount;
    let at = start;
    for (let expected = 0; ; expected++) {
      let after = -1;
      if (expected < columns.length) {
        const column = columns[expected] as ColumnBuilder;
        if (column.type <= typeUbigint && matchesPrefix(column, view, at)) {
          after = decodeShortNumber(bytes, at + column.prefixLength, column, row);
          if (after >= 0) {
            if (column.dense === row) column.dense = row + 1;
            else column.markSparse(row, table.capacity);
          }
        }
      }
      if (after < 0) {
        after = this.#fields.decode(bytes, at, end, table, expected);
        if (after < 0) {
          this.#problem = this.#fields.problem;
          return after;
        }
        this.#innerNewlines += this.#fields.newlines;
        expected = this.#fields.column;
      }
      if (bytes[after] !== comma) return after;
      at = after + 1;
    }
  }

  #malformedTime(bytes: Uint8Array, at: number, reason: number): number {
    const got = previewText(bytes, at, endOfWord(bytes, at), 32);
    this.#problem =
      reason === -2
        ? `got timestamp ${got}, which is out of the range of 64-bit nanoseconds in the request's precision`
        : `got "${got}" where the timestamp should be; want a whole number`;
    return lineMalformed;
  }

  #malformedTail(bytes: Uint8Array, at: number): number {
    const got = previewText(bytes, at, endOfWord(bytes, at), 32);
    this.#problem = `got "${got}" after the timestamp; want the end of the line`;
    return lineMalformed;
  }
}

/** The message for a line past the limit. */
export function lineTooLong(lineBytesMax: number): string {
  return `got a line of more than ${lineBytesMax} bytes; want at most that`;
}

/** True when the column's name and `=` stand at `at`. */
function matchesPrefix(column: ColumnBuilder, view: DataView, at: number): boolean {
  const words = column.prefixWords;
  const last = words.length - 1;
  for (let i = 0; i < last; i++) {
    if (view.getInt32(at + i * 4, true) !== words[i]) return false;
  }
  return ((view.getInt32(at + last * 4, true) ^ (words[last] as number)) & column.prefixMask) === 0;
}

/**
 * Decodes a number of up to nine digits without an exponent into `row` of a column of its type. Answers the
 * position after it, or -1 for whatever else stands there.
 */
function decodeShortNumber(bytes: Uint8Array, start: number, column: ColumnBuilder, row: number): number {
  let at = start;
  const negative = bytes[at] === minus;
  if (negative) at++;
  let digits = 0;
  let value = 0;
  let byte = bytes[at] as number;
  let digit = byte - digitZero;
  while (digit >= 0 && digit <= 9) {
    if (++digits > wordDigitsMax) return -1;
    value = (value * 10 + digit) | 0;
    byte = bytes[++at] as number;
    digit = byte - digitZero;
  }
  if (digits === 0) return -1;
  if (column.type === typeDouble) {
    let number = value;
    if (byte === dot) {
      const whole = digits;
      byte = bytes[++at] as number;
      digit = byte - digitZero;
      while (digit >= 0 && digit <= 9) {
        if (++digits > wordDigitsMax) return -1;
        value = (value * 10 + digit) | 0;
        byte = bytes[++at] as number;
        digit = byte - digitZero;
      }
      number = value / (powersOfTen[digits - whole] as number);
    }
    if (byte !== comma && byte !== space && byte !== newline) return -1;
    column.doubles[row] = negative ? -number : number;
    return at;
  }
  if (byte !== (column.type === typeBigint ? letterI : letterU)) return -1;
  byte = bytes[++at] as number;
  if (byte !== comma && byte !== space && byte !== newline) return -1;
  if (negative) {
    if (column.type !== typeBigint) return -1;
    value = -value | 0;
  }
  column.lanes[row * 2] = value;
  column.lanes[row * 2 + 1] = value >> 31;
  return at;
}

/** True at a newline or at a carriage return before one. */
function endsLine(bytes: Uint8Array, at: number): boolean {
  const byte = bytes[at];
  return byte === newline || (byte === carriageReturn && bytes[at + 1] === newline);
}

function endOfWord(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at] !== space && bytes[at] !== newline) at++;
  return at;
}
