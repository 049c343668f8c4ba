import { isUtf8 } from 'node:buffer';
import type { FieldColumn, FieldType, StringValues, TableRows } from '../model/columns.js';
import { stringCount } from '../model/columns.js';
import { assert } from '../std/assert.js';
import { bitmapBytes, packBits, unpackBits } from './bitmap.js';
import { align8, type ByteCursor } from './byte-cursor.js';
import {
  doubleWidth,
  type IntegerWidth,
  readNarrowDoubles,
  readNarrowSigned,
  readNarrowUnsigned,
  signedWidth,
  unsignedWidth,
  writeNarrow,
} from './narrow-integers.js';

/** One table of an encoded batch; see docs/formats/batch.md for the drawn layout. */

const typeCodes: Readonly<Record<FieldType, number>> = {
  double: 1,
  bigint: 2,
  ubigint: 3,
  boolean: 4,
  string: 5,
};
const typesByCode: readonly (FieldType | undefined)[] = [
  undefined,
  'double',
  'bigint',
  'ubigint',
  'boolean',
  'string',
];

const fixedBytes = 24;
const fieldEntryBytes = 8;
const textEncoder = new TextEncoder();

interface PreparedField {
  readonly column: FieldColumn;
  readonly name: Uint8Array;
  /** Bytes a value of a numeric column; 0 for other types. */
  readonly width: IntegerWidth | 0;
  /** Bytes of a string column's strings; 0 for other types. */
  readonly stringBytes: number;
}

/** A table measured, so that the whole batch can be laid out in one buffer. */
export interface PreparedTable {
  readonly rows: TableRows;
  readonly name: Uint8Array;
  readonly fields: readonly PreparedField[];
  /** Bytes of the whole section; a multiple of 8. */
  readonly bytes: number;
}

/** Lays out the section of one table: what it will hold, and how many bytes it takes. */
export function prepareTable(rows: TableRows): PreparedTable {
  const { rowCount, seriesKeys } = rows;
  assert(rows.series.length === rowCount, `table ${rows.table}: ${rows.series.length} series numbers`);
  assert(rows.timesNs.length === rowCount, `table ${rows.table}: ${rows.timesNs.length} times`);
  const name = textEncoder.encode(rows.table);
  const fields = rows.fields.map((column) => prepareField(column, rowCount));
  const nameBytes = fields.reduce((sum, field) => sum + field.name.length, name.length);
  let bytes = align8(fixedBytes + fields.length * fieldEntryBytes + nameBytes);
  bytes += align8(seriesKeys.offsets.length * 4) + align8(contentBytes(seriesKeys));
  bytes += align8(rowCount * 4) + rowCount * 8;
  for (const field of fields) {
    if (field.column.validity !== null) bytes += align8(bitmapBytes(rowCount));
    bytes += valueBytes(field, rowCount);
  }
  return { rows, name, fields, bytes };
}

function prepareField(column: FieldColumn, rowCount: number): PreparedField {
  const count = column.type === 'string' ? stringCount(column.values) : column.values.length;
  assert(count === rowCount, `field ${column.name}: ${count} values for ${rowCount} rows`);
  assert(
    (column.validity?.length ?? rowCount) === rowCount,
    `field ${column.name}: validity of other length`,
  );
  const name = textEncoder.encode(column.name);
  assert(name.length > 0 && name.length < 1 << 16, `field name of ${name.length} bytes`);
  const stringBytes = column.type === 'string' ? contentBytes(column.values) : 0;
  return { column, name, width: widthOf(column), stringBytes };
}

function widthOf(column: FieldColumn): IntegerWidth | 0 {
  switch (column.type) {
    case 'double':
      return doubleWidth(column.values);
    case 'bigint':
      return signedWidth(column.values);
    case 'ubigint':
      return unsignedWidth(column.values);
    case 'boolean':
    case 'string':
      return 0;
  }
}

function valueBytes(field: PreparedField, rowCount: number): number {
  if (field.column.type === 'string') return align8((rowCount + 1) * 4) + align8(field.stringBytes);
  if (field.column.type === 'boolean') return align8(bitmapBytes(rowCount));
  return align8(rowCount * field.width);
}

/** Bytes between the first and the last offset. */
function contentBytes(values: StringValues): number {
  return values.offsets[values.offsets.length - 1]! - values.offsets[0]!;
}

/** Writes the section at `into[at...]`, which holds zeros; `at` is a multiple of 8. Tells where it ends. */
export function writeTable(table: PreparedTable, into: Uint8Array<ArrayBuffer>, at: number): number {
  const { rows, fields } = table;
  const end = at + table.bytes;
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  view.setUint32(at, table.bytes, true);
  view.setUint32(at + 4, rows.rowCount, true);
  view.setUint32(at + 8, stringCount(rows.seriesKeys), true);
  view.setUint32(at + 12, contentBytes(rows.seriesKeys), true);
  view.setUint32(at + 16, fields.length, true);
  view.setUint32(at + 20, table.name.length, true);
  at += fixedBytes;
  for (const field of fields) {
    view.setUint8(at, typeCodes[field.column.type]);
    view.setUint8(at + 1, field.width);
    view.setUint8(at + 2, field.column.validity === null ? 0 : 1);
    view.setUint16(at + 4, field.name.length, true);
    at += fieldEntryBytes;
  }
  for (const name of [table.name, ...fields.map((field) => field.name)]) {
    into.set(name, at);
    at += name.length;
  }
  at = writeStrings(rows.seriesKeys, into, align8(at));
  into.set(bytesOf(rows.series), at);
  at = align8(at + rows.rowCount * 4);
  into.set(bytesOf(rows.timesNs), at);
  at += rows.rowCount * 8;
  for (const field of fields) at = writeField(field, into, at);
  assert(at === end, `table section ends at ${at}; want ${end}`);
  return at;
}

function writeField(field: PreparedField, into: Uint8Array<ArrayBuffer>, at: number): number {
  const { column, width } = field;
  if (column.validity !== null) {
    packBits(column.validity, into, at);
    at += align8(bitmapBytes(column.validity.length));
  }
  switch (column.type) {
    case 'string':
      return writeStrings(column.values, into, at);
    case 'boolean':
      packBits(column.values, into, at);
      return at + align8(bitmapBytes(column.values.length));
    case 'double':
    case 'bigint':
    case 'ubigint':
      if (width === 8) into.set(bytesOf(column.values), at);
      else if (width !== 0) writeNarrow(column.values, width, into.buffer, into.byteOffset + at);
      return at + align8(column.values.length * width);
  }
}

function writeStrings(values: StringValues, into: Uint8Array<ArrayBuffer>, at: number): number {
  const { offsets } = values;
  const first = offsets[0]!;
  const last = offsets[offsets.length - 1]!;
  if (first === 0) {
    into.set(bytesOf(offsets), at);
  } else {
    const rebased = new Int32Array(into.buffer, into.byteOffset + at, offsets.length);
    for (let index = 0; index < offsets.length; index++) rebased[index] = offsets[index]! - first;
  }
  at += align8(offsets.length * 4);
  into.set(values.bytes.subarray(first, last), at);
  return at + align8(last - first);
}

function bytesOf(array: Int32Array | BigInt64Array | BigUint64Array | Float64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

interface FieldEntry {
  readonly type: FieldType;
  readonly width: IntegerWidth | 0;
  readonly nullable: boolean;
  readonly nameBytes: number;
}

/** Reads a section. Columns are views of the encoding's memory where they lie there as they are used. */
export function readTable(cursor: ByteCursor): TableRows {
  const start = cursor.at;
  const sectionBytes = cursor.u32('table section length');
  const rowCount = cursor.u32('row count');
  const seriesCount = cursor.u32('series count');
  const seriesKeyBytes = cursor.u32('series key bytes');
  const fieldCount = cursor.u32('field count');
  const nameBytes = cursor.u32('table name length');
  const entries: FieldEntry[] = [];
  for (let index = 0; index < fieldCount; index++) entries.push(readFieldEntry(cursor));
  const table = cursor.text(nameBytes, 'table name');
  const names = entries.map((entry) => cursor.text(entry.nameBytes, 'field name'));
  cursor.align('the names');
  const seriesKeys = readStrings(cursor, seriesCount, 'series keys', false);
  if (seriesKeys.bytes.length !== seriesKeyBytes) {
    cursor.fail(start + 12, `got ${seriesKeyBytes} series key bytes; want ${seriesKeys.bytes.length}`);
  }
  const series = readSeries(cursor, rowCount, seriesCount);
  const timesAt = cursor.take(rowCount * 8, 'times');
  const timesNs = new BigInt64Array(cursor.buffer, cursor.base + timesAt, rowCount);
  const fields = entries.map((entry, index) => readField(cursor, entry, names[index] ?? '', rowCount));
  const got = cursor.at - start;
  if (got !== sectionBytes) cursor.fail(start, `got a table section of ${sectionBytes} bytes; want ${got}`);
  return { table, rowCount, seriesKeys, series, timesNs, fields };
}

function readFieldEntry(cursor: ByteCursor): FieldEntry {
  const start = cursor.at;
  const code = cursor.u8('field type');
  const type = typesByCode[code];
  if (type === undefined) return cursor.fail(start, `got field type ${code}; want 1 to 5`);
  const width = cursor.u8('value width');
  const validity = cursor.u8('validity');
  if (validity > 1) cursor.fail(start + 2, `got validity ${validity}; want 0 or 1`);
  if (cursor.u8('reserved') !== 0) cursor.fail(start + 3, 'reserved byte is not zero');
  const nameBytes = cursor.u16('field name length');
  if (cursor.u16('reserved') !== 0) cursor.fail(start + 6, 'reserved bytes are not zero');
  if (nameBytes === 0) cursor.fail(start + 4, 'field name is empty');
  const numeric = type === 'double' || type === 'bigint' || type === 'ubigint';
  if (!numeric && width !== 0) cursor.fail(start + 1, `got value width ${width} for ${type}; want 0`);
  if (numeric && width !== 1 && width !== 2 && width !== 4 && width !== 8) {
    return cursor.fail(start + 1, `got value width ${width} for ${type}; want 1, 2, 4 or 8`);
  }
  return { type, width: width as IntegerWidth | 0, nullable: validity === 1, nameBytes };
}

function readSeries(cursor: ByteCursor, rowCount: number, seriesCount: number): Int32Array {
  const start = cursor.take(rowCount * 4, 'series numbers');
  const series = new Int32Array(cursor.buffer, cursor.base + start, rowCount);
  for (let row = 0; row < rowCount; row++) {
    const number = series[row]!;
    if (number < 0 || number >= seriesCount) {
      cursor.fail(start + row * 4, `got series number ${number}; want 0 to ${seriesCount - 1}`);
    }
  }
  cursor.align('series numbers');
  return series;
}

function readField(cursor: ByteCursor, entry: FieldEntry, name: string, rowCount: number): FieldColumn {
  const validity = entry.nullable ? readBits(cursor, rowCount, 'validity') : null;
  if (entry.type === 'string') {
    return { name, validity, type: 'string', values: readStrings(cursor, rowCount, `field ${name}`, true) };
  }
  if (entry.type === 'boolean') {
    return { name, validity, type: 'boolean', values: readBits(cursor, rowCount, `field ${name}`) };
  }
  const { width } = entry;
  const offset = cursor.base + cursor.take(rowCount * width, `field ${name}`);
  cursor.align(`field ${name}`);
  const { buffer } = cursor;
  const plain = width === 8 || width === 0;
  switch (entry.type) {
    case 'double':
      return {
        name,
        validity,
        type: 'double',
        values: plain
          ? new Float64Array(buffer, offset, rowCount)
          : readNarrowDoubles(buffer, offset, rowCount, width),
      };
    case 'bigint':
      return {
        name,
        validity,
        type: 'bigint',
        values: plain
          ? new BigInt64Array(buffer, offset, rowCount)
          : readNarrowSigned(buffer, offset, rowCount, width),
      };
    case 'ubigint':
      return {
        name,
        validity,
        type: 'ubigint',
        values: plain
          ? new BigUint64Array(buffer, offset, rowCount)
          : readNarrowUnsigned(buffer, offset, rowCount, width),
      };
  }
}

function readBits(cursor: ByteCursor, rowCount: number, what: string): Uint8Array {
  const bitmap = cursor.view(bitmapBytes(rowCount), what);
  cursor.align(what);
  return unpackBits(bitmap, 0, rowCount);
}

function readStrings(cursor: ByteCursor, count: number, what: string, text: boolean): StringValues {
  const start = cursor.take((count + 1) * 4, `offsets of ${what}`);
  const offsets = new Int32Array(cursor.buffer, cursor.base + start, count + 1);
  if (offsets[0] !== 0) cursor.fail(start, `got first offset ${offsets[0]} of ${what}; want 0`);
  for (let index = 0; index < count; index++) {
    if (offsets[index + 1]! < offsets[index]!) {
      cursor.fail(start + index * 4 + 4, `offset ${offsets[index + 1]} of ${what} goes back`);
    }
  }
  cursor.align(`offsets of ${what}`);
  const bytesAt = cursor.at;
  const bytes = cursor.view(offsets[count]!, what);
  cursor.align(what);
  if (text) checkText(cursor, bytesAt, offsets, bytes, what);
  return { offsets, bytes };
}

/** Each string is valid UTF-8 when all of them together are and none begins inside a character. */
function checkText(
  cursor: ByteCursor,
  bytesAt: number,
  offsets: Int32Array,
  bytes: Uint8Array,
  what: string,
): void {
  if (!isUtf8(bytes)) cursor.fail(bytesAt, `${what} is not valid UTF-8`);
  for (let index = 0; index < offsets.length; index++) {
    const offset = offsets[index]!;
    if ((bytes[offset] ?? 0) >> 6 === 0b10) {
      cursor.fail(bytesAt + offset, `a string of ${what} begins inside a character`);
    }
  }
}
