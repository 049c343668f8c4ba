import {
  codecZstd,
  convertedType,
  createdBy,
  decimalBytes,
  decimalPrecision,
  type Encoding,
  encoding,
  isOptional,
  pageType,
  physicalType,
  physicalTypeOf,
  repetition,
  storedKind,
} from './format.js';
import { parquetBounds, type ValueStatistics } from './statistics.js';
import { ThriftWriter, thriftType } from './thrift-writer.js';
import type { ParquetColumnSpec } from './types.js';

/** One column of one row group as it lies in the file. */
export interface WrittenChunk {
  readonly spec: ParquetColumnSpec;
  readonly encoding: Encoding;
  /** Offset of the dictionary page; null without one. */
  readonly dictionaryOffset: number | null;
  /** Offset of the first data page. */
  readonly dataOffset: number;
  readonly dataPages: number;
  /** Sizes with page headers. */
  readonly compressedBytes: number;
  readonly uncompressedBytes: number;
  /** Rows, nulls among them. */
  readonly valueCount: number;
  readonly nullCount: number;
  readonly statistics: ValueStatistics;
}

/** A row group as it lies in the file, its chunks in the order of the columns. */
export interface WrittenRowGroup {
  readonly rowCount: number;
  readonly chunks: readonly WrittenChunk[];
}

/** What stands before a page. */
export interface PageHeader {
  readonly type: 'data' | 'dictionary';
  readonly encoding: Encoding;
  readonly valueCount: number;
  readonly compressedBytes: number;
  readonly uncompressedBytes: number;
  /** CRC-32 of the compressed page, as a signed number. */
  readonly crc: number;
}

/** Bytes of a page header; data pages are of version 1, which every reader knows. */
export function encodePageHeader(page: PageHeader): Uint8Array {
  const thrift = new ThriftWriter();
  thrift.beginStruct();
  thrift.i32Field(1, pageType[page.type]);
  thrift.i32Field(2, page.uncompressedBytes);
  thrift.i32Field(3, page.compressedBytes);
  thrift.i32Field(4, page.crc);
  thrift.structField(page.type === 'data' ? 5 : 7);
  thrift.i32Field(1, page.valueCount);
  thrift.i32Field(2, page.encoding);
  if (page.type === 'data') {
    thrift.i32Field(3, encoding.rle);
    thrift.i32Field(4, encoding.rle);
  }
  thrift.endStruct();
  thrift.endStruct();
  return thrift.finish();
}

/** Bytes of the footer's FileMetaData, without its length and the magic. */
export function encodeFileMetadata(
  specs: readonly ParquetColumnSpec[],
  rowGroups: readonly WrittenRowGroup[],
  keyValues: Readonly<Record<string, string>>,
): Uint8Array {
  const thrift = new ThriftWriter();
  thrift.beginStruct();
  thrift.i32Field(1, 1);
  thrift.listField(2, thriftType.struct, specs.length + 1);
  writeRoot(thrift, specs.length);
  for (const spec of specs) writeSchemaElement(thrift, spec);
  thrift.i64Field(
    3,
    rowGroups.reduce((rows, group) => rows + group.rowCount, 0),
  );
  thrift.listField(4, thriftType.struct, rowGroups.length);
  for (const group of rowGroups) writeRowGroup(thrift, group);
  const entries = Object.entries(keyValues);
  thrift.listField(5, thriftType.struct, entries.length);
  for (const [key, value] of entries) {
    thrift.beginStruct();
    thrift.stringField(1, key);
    thrift.stringField(2, value);
    thrift.endStruct();
  }
  thrift.stringField(6, createdBy);
  // TypeDefinedOrder for each column: without it readers must not trust min_value and max_value.
  thrift.listField(7, thriftType.struct, specs.length);
  for (const _ of specs) {
    thrift.beginStruct();
    thrift.emptyStructField(1);
    thrift.endStruct();
  }
  thrift.endStruct();
  return thrift.finish();
}

function writeRoot(thrift: ThriftWriter, children: number): void {
  thrift.beginStruct();
  thrift.stringField(4, 'table');
  thrift.i32Field(5, children);
  thrift.endStruct();
}

function writeSchemaElement(thrift: ThriftWriter, spec: ParquetColumnSpec): void {
  const kind = storedKind(spec);
  thrift.beginStruct();
  thrift.i32Field(1, physicalTypeOf(kind));
  if (physicalTypeOf(kind) === physicalType.fixed) thrift.i32Field(2, decimalBytes);
  thrift.i32Field(3, isOptional(spec) ? repetition.optional : repetition.required);
  thrift.stringField(4, spec.name);
  if (kind === 'string') thrift.i32Field(6, convertedType.utf8);
  if (kind === 'time') thrift.i32Field(6, convertedType.timestampMicros);
  if (kind === 'ubigint') {
    thrift.i32Field(6, convertedType.decimal);
    thrift.i32Field(7, 0);
    thrift.i32Field(8, decimalPrecision);
  }
  thrift.i32Field(9, spec.fieldId);
  if (kind === 'string' || kind === 'time' || kind === 'ubigint') writeLogicalType(thrift, kind);
  thrift.endStruct();
}

function writeLogicalType(thrift: ThriftWriter, kind: 'string' | 'time' | 'ubigint'): void {
  thrift.structField(10);
  if (kind === 'string') thrift.emptyStructField(1);
  if (kind === 'ubigint') {
    thrift.structField(5);
    thrift.i32Field(1, 0);
    thrift.i32Field(2, decimalPrecision);
    thrift.endStruct();
  }
  if (kind === 'time') {
    thrift.structField(8);
    thrift.boolField(1, true);
    thrift.structField(2);
    thrift.emptyStructField(2);
    thrift.endStruct();
    thrift.endStruct();
  }
  thrift.endStruct();
}

function writeRowGroup(thrift: ThriftWriter, group: WrittenRowGroup): void {
  const total = (size: (chunk: WrittenChunk) => number): number =>
    group.chunks.reduce((sum, chunk) => sum + size(chunk), 0);
  thrift.beginStruct();
  thrift.listField(1, thriftType.struct, group.chunks.length);
  for (const chunk of group.chunks) writeChunk(thrift, chunk);
  thrift.i64Field(
    2,
    total((chunk) => chunk.uncompressedBytes),
  );
  thrift.i64Field(3, group.rowCount);
  const first = group.chunks[0];
  thrift.i64Field(5, first === undefined ? 0 : firstOffset(first));
  thrift.i64Field(
    6,
    total((chunk) => chunk.compressedBytes),
  );
  thrift.endStruct();
}

/** Where a chunk begins: at its dictionary page, if it has one. */
export function firstOffset(chunk: WrittenChunk): number {
  return chunk.dictionaryOffset ?? chunk.dataOffset;
}

function writeChunk(thrift: ThriftWriter, chunk: WrittenChunk): void {
  const encodings = [
    ...new Set([...(chunk.dictionaryOffset === null ? [] : [encoding.plain]), chunk.encoding]),
  ];
  if (isOptional(chunk.spec)) encodings.push(encoding.rle);
  thrift.beginStruct();
  thrift.i64Field(2, 0);
  thrift.structField(3);
  thrift.i32Field(1, physicalTypeOf(storedKind(chunk.spec)));
  thrift.listField(2, thriftType.i32, encodings.length);
  for (const used of encodings) thrift.i32(used);
  thrift.listField(3, thriftType.binary, 1);
  thrift.string(chunk.spec.name);
  thrift.i32Field(4, codecZstd);
  thrift.i64Field(5, chunk.valueCount);
  thrift.i64Field(6, chunk.uncompressedBytes);
  thrift.i64Field(7, chunk.compressedBytes);
  thrift.i64Field(9, chunk.dataOffset);
  if (chunk.dictionaryOffset !== null) thrift.i64Field(11, chunk.dictionaryOffset);
  writeStatistics(thrift, chunk);
  writeEncodingStatistics(thrift, chunk);
  thrift.endStruct();
  thrift.endStruct();
}

function writeStatistics(thrift: ThriftWriter, chunk: WrittenChunk): void {
  const { min, max } = parquetBounds(storedKind(chunk.spec), chunk.statistics);
  thrift.structField(12);
  thrift.i64Field(3, chunk.nullCount);
  if (max !== null) thrift.binaryField(5, max.bytes);
  if (min !== null) thrift.binaryField(6, min.bytes);
  if (max !== null) thrift.boolField(7, max.exact);
  if (min !== null) thrift.boolField(8, min.exact);
  thrift.endStruct();
}

/** Lets readers prune by the dictionary: it holds only when every data page uses it. */
function writeEncodingStatistics(thrift: ThriftWriter, chunk: WrittenChunk): void {
  const write = (type: number, used: Encoding, count: number): void => {
    thrift.beginStruct();
    thrift.i32Field(1, type);
    thrift.i32Field(2, used);
    thrift.i32Field(3, count);
    thrift.endStruct();
  };
  thrift.listField(13, thriftType.struct, chunk.dictionaryOffset === null ? 1 : 2);
  if (chunk.dictionaryOffset !== null) write(pageType.dictionary, encoding.plain, 1);
  write(pageType.data, chunk.encoding, chunk.dataPages);
}
