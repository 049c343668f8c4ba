import { crc32 } from 'node:zlib';
import { compress } from '@cloudpss/zstd';
import { assert } from '../std/assert.js';
import { ByteSink } from './byte-sink.js';
import { encodeColumn } from './column-encoder.js';
import type { EncodedColumn } from './encoded-column.js';
import {
  type Encoding,
  encoding,
  isOptional,
  magic,
  rowGroupRowsMax,
  storedKind,
  tagsKey,
} from './format.js';
import { encodeHybrid } from './hybrid-encoder.js';
import { countPresent } from './lanes.js';
import {
  encodeFileMetadata,
  encodePageHeader,
  firstOffset,
  type WrittenChunk,
  type WrittenRowGroup,
} from './metadata-writer.js';
import { icebergBounds, mergeStatistics, type ValueStatistics } from './statistics.js';
import type { ColumnStatistics, ParquetColumnData, ParquetColumnSpec, ParquetFile } from './types.js';

/** Settings of a writer; the defaults are what Varve's tables use. */
export interface ParquetWriterOptions {
  /** Level of zstd, 1 to 22; 1 by default: what is left after the encodings hardly shrinks further. */
  readonly compressionLevel?: number;
  /** Rows a data page, by default 32,768. */
  readonly pageRowsMax?: number;
  /** Further entries of the footer's key-value metadata. */
  readonly keyValueMetadata?: Readonly<Record<string, string>>;
}

/** A page ends early when its values take more than this before compression. */
const pageBytesMax = 1 << 20;

/**
 * Builds a Parquet file in memory, row group by row group. Equal rows give equal bytes. Encodings are chosen per
 * column chunk from the data: see docs/formats/parquet.md.
 */
export class ParquetWriter {
  readonly #specs: readonly ParquetColumnSpec[];
  readonly #compressionLevel: number;
  readonly #pageRowsMax: number;
  readonly #keyValues: Readonly<Record<string, string>>;
  readonly #parts: Uint8Array[] = [magic];
  readonly #rowGroups: WrittenRowGroup[] = [];
  readonly #page = new ByteSink(1 << 20);
  #offset = magic.length;
  #finished = false;

  constructor(columns: readonly ParquetColumnSpec[], options: ParquetWriterOptions = {}) {
    const { compressionLevel = 1, pageRowsMax = 32_768, keyValueMetadata = {} } = options;
    assert(columns.length > 0, 'a Parquet file needs a column');
    assert(pageRowsMax > 0, `got pageRowsMax ${pageRowsMax}; want at least 1`);
    assert(
      new Set(columns.map((spec) => spec.name)).size === columns.length,
      'two columns have the same name',
    );
    assert(!(tagsKey in keyValueMetadata), `got metadata for ${tagsKey}, which the writer sets itself`);
    const tags = columns.filter((spec) => spec.kind === 'tag').map((spec) => spec.name);
    this.#specs = columns;
    this.#compressionLevel = compressionLevel;
    this.#pageRowsMax = pageRowsMax;
    this.#keyValues = { [tagsKey]: JSON.stringify(tags), ...keyValueMetadata };
  }

  /**
   * Appends a row group. `columns` are in the order of the writer's specs and have `rowCount` rows each; nothing of
   * them is kept. Entries of a tag's dictionary that no row uses are left out.
   */
  writeRowGroup(rowCount: number, columns: readonly ParquetColumnData[]): void {
    assert(!this.#finished, 'the Parquet file is finished');
    assert(
      rowCount > 0 && rowCount <= rowGroupRowsMax,
      `got a row group of ${rowCount} rows; want 1 to ${rowGroupRowsMax}`,
    );
    assert(
      columns.length === this.#specs.length,
      `got ${columns.length} columns; want ${this.#specs.length}`,
    );
    const chunks = this.#specs.map((spec, index) => {
      const data = columns[index]!;
      assertColumnFits(spec, data, rowCount);
      return this.#writeChunk(spec, encodeColumn(data, rowCount), rowCount);
    });
    this.#rowGroups.push({ rowCount, chunks });
  }

  /** Ends the file. The writer is of no use after that. */
  finish(): ParquetFile {
    assert(!this.#finished, 'the Parquet file is finished');
    this.#finished = true;
    const metadata = encodeFileMetadata(this.#specs, this.#rowGroups, this.#keyValues);
    const length = new Uint8Array(Uint32Array.of(metadata.length).buffer);
    for (const part of [metadata, length, magic]) this.#append(part);
    return {
      bytes: concatenate(this.#parts, this.#offset),
      rowCount: this.#rowGroups.reduce((rows, group) => rows + group.rowCount, 0),
      columns: this.#specs.map((spec, index) =>
        columnStatistics(
          spec,
          this.#rowGroups.map((group) => group.chunks[index]!),
        ),
      ),
      rowGroupOffsets: this.#rowGroups.map((group) => firstOffset(group.chunks[0]!)),
    };
  }

  #writeChunk(spec: ParquetColumnSpec, column: EncodedColumn, rowCount: number): WrittenChunk {
    const start = this.#offset;
    let uncompressedBytes = 0;
    let dictionaryOffset: number | null = null;
    if (column.dictionary !== null) {
      dictionaryOffset = start;
      const { bytes, count } = column.dictionary;
      uncompressedBytes += this.#writePage('dictionary', encoding.plain, count, bytes);
    }
    const dataOffset = this.#offset;
    let dataPages = 0;
    let value = 0;
    for (let row = 0; row < rowCount; dataPages++) {
      const rows = this.#fillPage(spec, column, row, rowCount, value);
      uncompressedBytes += this.#writePage('data', column.encoding, rows, this.#page.written());
      value += column.validity === null ? rows : countPresent(column.validity, row, row + rows);
      row += rows;
    }
    return {
      spec,
      encoding: column.encoding,
      dictionaryOffset,
      dataOffset,
      dataPages,
      compressedBytes: this.#offset - start,
      uncompressedBytes,
      valueCount: rowCount,
      nullCount: rowCount - column.present,
      statistics: column.statistics,
    };
  }

  /** Puts the levels and values of the next page into the sink; returns its rows. */
  #fillPage(
    spec: ParquetColumnSpec,
    column: EncodedColumn,
    row: number,
    rowCount: number,
    value: number,
  ): number {
    const page = this.#page;
    const rowsMax = Math.max(1, Math.min(this.#pageRowsMax, Math.floor(pageBytesMax / column.valueBytes)));
    for (let rows = Math.min(rowsMax, rowCount - row); ; rows = Math.ceil(rows / 2)) {
      page.clear();
      if (isOptional(spec)) writeLevels(column.validity, row, row + rows, page);
      const present = column.validity === null ? rows : countPresent(column.validity, row, row + rows);
      column.write(value, value + present, page);
      if (page.length <= pageBytesMax || rows === 1) return rows;
    }
  }

  #writePage(
    type: 'data' | 'dictionary',
    pageEncoding: Encoding,
    valueCount: number,
    body: Uint8Array,
  ): number {
    const compressed = compress(body, this.#compressionLevel);
    const header = encodePageHeader({
      type,
      encoding: pageEncoding,
      valueCount,
      compressedBytes: compressed.length,
      uncompressedBytes: body.length,
      crc: crc32(compressed) | 0,
    });
    this.#append(header);
    this.#append(compressed);
    return header.length + body.length;
  }

  #append(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#offset += bytes.length;
  }
}

/** Definition levels as version 1 pages have them: their length in four bytes, then the hybrid of 0 and 1. */
function writeLevels(validity: Uint8Array | null, from: number, to: number, into: ByteSink): void {
  into.reserve(4);
  const lengthAt = into.length;
  into.length += 4;
  if (validity !== null) encodeHybrid(validity, from, to, 1, into);
  else {
    into.pushVarint((to - from) * 2);
    into.push(1);
  }
  into.view.setInt32(lengthAt, into.length - lengthAt - 4, true);
}

function assertColumnFits(spec: ParquetColumnSpec, data: ParquetColumnData, rowCount: number): void {
  const type = data.kind === 'field' ? data.type : '';
  const wanted = spec.kind === 'field' ? spec.type : '';
  assert(
    spec.kind === data.kind && type === wanted,
    `column ${spec.name}: got ${data.kind} ${type}; want ${spec.kind} ${wanted}`,
  );
  const rows = rowsOf(data);
  assert(rows === rowCount, `column ${spec.name}: got ${rows} rows; want ${rowCount}`);
  if (data.kind !== 'field' || data.validity === null) return;
  assert(data.validity.length === rowCount, `column ${spec.name}: validity has ${data.validity.length} rows`);
}

function rowsOf(data: ParquetColumnData): number {
  if (data.kind === 'time') return data.micros.length;
  if (data.kind === 'time-ns') return data.nanos.length;
  if (data.kind === 'tag') return data.tags.codes.length;
  return data.type === 'string' ? data.values.offsets.length - 1 : data.values.length;
}

function columnStatistics(spec: ParquetColumnSpec, chunks: readonly WrittenChunk[]): ColumnStatistics {
  const kind = storedKind(spec);
  const nothing: ValueStatistics = { bounds: null, nanCount: kind === 'double' ? 0 : null };
  const { bounds, nanCount } = chunks.map((chunk) => chunk.statistics).reduce(mergeStatistics, nothing);
  const total = (count: (chunk: WrittenChunk) => number): number =>
    chunks.reduce((sum, chunk) => sum + count(chunk), 0);
  return {
    fieldId: spec.fieldId,
    compressedBytes: total((chunk) => chunk.compressedBytes),
    valueCount: total((chunk) => chunk.valueCount),
    nullCount: total((chunk) => chunk.nullCount),
    nanCount,
    ...icebergBounds(kind, bounds),
  };
}

function concatenate(parts: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
