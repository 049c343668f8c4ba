import { isUtf8 } from 'node:buffer';
import {
  backslash,
  carriageReturn,
  comma,
  equals,
  letterI,
  letterU,
  minus,
  newline,
  nul,
  previewText,
  quote,
  space,
} from './bytes.js';
import {
  type ColumnBuilder,
  fieldTypes,
  typeBigint,
  typeBoolean,
  typeDouble,
  typeString,
  typeUbigint,
} from './column-builder.js';
import {
  exactDigitsMax,
  highWord,
  isInteger,
  lowWord,
  parseBigInteger,
  parseDouble,
} from './number-syntax.js';
import { typeProblem } from './request-schema.js';
import { parseFieldName } from './series-syntax.js';
import type { TableBuilder } from './table-builder.js';

/** What `decode` answers for a malformed field. */
export const fieldMalformed = -1;
/** What `decode` answers for a string that goes on past the input. */
export const fieldIncomplete = -2;

const valueTextMax = 64;
const bigintMin = -(2n ** 63n);
const bigintMax = 2n ** 63n - 1n;
const ubigintMax = 2n ** 64n - 1n;

const booleanTexts: ReadonlyMap<string, boolean> = new Map([
  ...['t', 'T', 'true', 'True', 'TRUE'].map((text): [string, boolean] => [text, true]),
  ...['f', 'F', 'false', 'False', 'FALSE'].map((text): [string, boolean] => [text, false]),
]);

/**
 * Decodes one `name=value`, whatever its form, and writes it to its column: the general way, taken where the hot
 * loop's prediction of the name or its fast path for numbers does not hold.
 */
export class FieldDecoder {
  /** Set by decode: index of the field's column. */
  column = 0;
  /** Set by decode: newlines within the string value. */
  newlines = 0;
  /** Set when decode answers fieldMalformed. */
  problem = '';
  #valueEnd = 0;
  #hasEscape = false;
  #number = 0;
  #lowWord = 0;
  #highWord = 0;

  /**
   * Decodes the field at `start` into the row `table.rowCount`. `expected` is the column whose turn it is. Answers
   * the position after the value, fieldMalformed, or fieldIncomplete when a string goes on past `end`.
   */
  decode(bytes: Uint8Array, start: number, end: number, table: TableBuilder, expected: number): number {
    this.newlines = 0;
    const nameEnd = findNameEnd(bytes, start);
    if (bytes[nameEnd] !== equals) return this.#malformedName(bytes, start, nameEnd);
    const valueStart = nameEnd + 1;
    const type = this.#readValue(bytes, valueStart, end);
    if (type < 0) return type;
    const index = this.#resolve(bytes, start, nameEnd, type, table, expected);
    if (index < 0) return fieldMalformed;
    const row = table.rowCount;
    const column = table.columns[index] as ColumnBuilder;
    if (column.type !== type) {
      const got = describeValue(bytes, valueStart, this.#valueEnd, type);
      this.problem = typeProblem(table.table, column.name, got, fieldTypes[column.type] ?? 'double');
      return fieldMalformed;
    }
    if (type === typeDouble) column.doubles[row] = this.#number;
    else if (type === typeBoolean) column.booleans[row] = this.#number;
    else if (type === typeString) this.#appendText(bytes, valueStart + 1, column, row);
    else {
      column.lanes[row * 2] = this.#lowWord;
      column.lanes[row * 2 + 1] = this.#highWord;
    }
    if (column.dense === row) column.dense = row + 1;
    else column.markSparse(row, table.capacity);
    this.column = index;
    return this.#valueEnd;
  }

  /** The column of the name in [start, nameEnd), made if the schema admits it; -1 when it does not. */
  #resolve(
    bytes: Uint8Array,
    start: number,
    nameEnd: number,
    type: number,
    table: TableBuilder,
    expected: number,
  ): number {
    const length = nameEnd + 1 - start;
    // Fields are mostly in the order of the lines before, some left out.
    for (let index = expected; index < table.columns.length && index < expected + 4; index++) {
      if (hasPrefix(table.columns[index] as ColumnBuilder, bytes, start, length)) return index;
    }
    const parsed = parseFieldName(bytes, start, nameEnd);
    if ('problem' in parsed) {
      this.problem = parsed.problem;
      return -1;
    }
    const known = table.columnIndex(parsed.name);
    if (known >= 0) return known;
    const problem = table.schema.addField(parsed.name, fieldTypes[type] ?? 'double', () =>
      describeValue(bytes, nameEnd + 1, this.#valueEnd, type),
    );
    if (problem === undefined) return table.addColumn(parsed.name, bytes.slice(start, nameEnd + 1), type);
    this.problem = problem;
    return -1;
  }

  /** Reads the value at `start`: its type, or fieldMalformed, or fieldIncomplete. */
  #readValue(bytes: Uint8Array, start: number, end: number): number {
    if (bytes[start] === quote) return this.#readString(bytes, start + 1, end);
    let at = start;
    while (!endsValue(bytes, at)) at++;
    this.#valueEnd = at;
    if (at === start) return this.#malformed('got a field without a value; want field=value');
    const last = bytes[at - 1];
    if ((last === letterI || last === letterU) && isInteger(bytes, start, at - 1)) {
      return this.#readInteger(bytes, start, at - 1, last === letterI);
    }
    const number = parseDouble(bytes, start, at);
    this.#number = number;
    if (!Number.isNaN(number)) return typeDouble;
    const boolean = at - start <= 5 ? booleanTexts.get(previewText(bytes, start, at, 5)) : undefined;
    if (boolean === undefined) {
      const got = previewText(bytes, start, at, valueTextMax);
      return this.#malformed(
        `got value ${got}; want a finite number, an integer with i or u, true or false, or a string in double quotes`,
      );
    }
    this.#number = boolean ? 1 : 0;
    return typeBoolean;
  }

  #readInteger(bytes: Uint8Array, start: number, end: number, signed: boolean): number {
    if (!signed && bytes[start] === minus) return this.#outOfRange(bytes, start, end + 1);
    if (end - start <= exactDigitsMax) {
      const value = parseDouble(bytes, start, end);
      this.#lowWord = lowWord(value);
      this.#highWord = highWord(value);
      return signed ? typeBigint : typeUbigint;
    }
    const value = parseBigInteger(bytes, start, end);
    const [min, max] = signed ? [bigintMin, bigintMax] : [0n, ubigintMax];
    if (value === undefined || value < min || value > max) {
      return this.#outOfRange(bytes, start, end + 1);
    }
    this.#lowWord = Number(BigInt.asIntN(32, value));
    this.#highWord = Number(BigInt.asIntN(32, value >> 32n));
    return signed ? typeBigint : typeUbigint;
  }

  #readString(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    let seen = 0;
    let newlines = 0;
    this.#hasEscape = false;
    for (; at < end && bytes[at] !== quote; at++) {
      const byte = bytes[at] as number;
      seen |= byte;
      if (byte === newline) newlines++;
      else if (byte === nul) return this.#malformed('got a NUL byte in a string; want none');
      else if (byte === backslash) {
        this.#hasEscape = true;
        const next = bytes[at + 1];
        if (at + 1 < end && (next === quote || next === backslash)) at++;
      }
    }
    if (at >= end) return fieldIncomplete;
    if (seen >= 0x80 && !isUtf8(bytes.subarray(start, at))) {
      return this.#malformed('got a string that is not valid UTF-8');
    }
    if (!endsValue(bytes, at + 1)) {
      const got = previewText(bytes, at + 1, at + 2, 1);
      return this.#malformed(
        `got "${got}" after the end of a string; want a comma, a space or the end of the line`,
      );
    }
    this.newlines = newlines;
    this.#valueEnd = at + 1;
    return typeString;
  }

  #appendText(bytes: Uint8Array, start: number, column: ColumnBuilder, row: number): void {
    const end = this.#valueEnd - 1;
    column.reserveText(end - start);
    const { text } = column;
    let to = column.textLength;
    column.spans[row * 2] = to;
    for (let at = start; at < end; at++) {
      let byte = bytes[at] as number;
      if (this.#hasEscape && byte === backslash && at + 1 < end) {
        const next = bytes[at + 1] as number;
        if (next === quote || next === backslash) {
          byte = next;
          at++;
        }
      }
      text[to++] = byte;
    }
    column.spans[row * 2 + 1] = to;
    column.textLength = to;
  }

  #malformedName(bytes: Uint8Array, start: number, nameEnd: number): number {
    const name = previewText(bytes, start, nameEnd, valueTextMax);
    return this.#malformed(
      name === ''
        ? 'got nothing where a field should be; want field=value'
        : `got field "${name}" without "="; want field=value`,
    );
  }

  #outOfRange(bytes: Uint8Array, start: number, end: number): number {
    const got = previewText(bytes, start, end, valueTextMax);
    const signed = bytes[end - 1] === letterI;
    return this.#malformed(
      `got integer ${got}; want ${signed ? `${bigintMin}i to ${bigintMax}i` : `0u to ${ubigintMax}u`}`,
    );
  }

  #malformed(problem: string): number {
    this.problem = problem;
    return fieldMalformed;
  }
}

/** The position of the unescaped `=`, comma, space or newline that ends a field name. */
function findNameEnd(bytes: Uint8Array, start: number): number {
  for (let at = start; ; at++) {
    const byte = bytes[at];
    if (byte === newline) return at;
    if ((byte === equals || byte === comma || byte === space) && bytes[at - 1] !== backslash) return at;
  }
}

/** True where a value may end: at a comma, a space, or the end of the line. */
function endsValue(bytes: Uint8Array, at: number): boolean {
  const byte = bytes[at];
  return (
    byte === comma ||
    byte === space ||
    byte === newline ||
    (byte === carriageReturn && bytes[at + 1] === newline)
  );
}

function hasPrefix(column: ColumnBuilder, bytes: Uint8Array, start: number, length: number): boolean {
  if (column.prefixLength !== length) return false;
  const { prefix } = column;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

function describeValue(bytes: Uint8Array, start: number, end: number, type: number): string {
  return `${fieldTypes[type]} ${previewText(bytes, start, end, valueTextMax)}`;
}
