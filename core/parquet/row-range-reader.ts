import { ChunkPages } from './chunk-pages.js';
import { readColumn } from './column-reader.js';
import {
  type ChunkPlace,
  type FileLayout,
  footerBytes,
  footerTailBytes,
  readFooterLayout,
} from './metadata-reader.js';
import { readNumberRange } from './number-range.js';
import { findPages, type PagePlaces } from './page-places.js';
import { type TagRuns, tagRunsOf } from './tag-runs.js';
import type { ParquetColumnData, ParquetColumnSpec } from './types.js';

/** A file that is read where it is wanted. `read` answers exactly so many bytes, or throws. */
export interface FileBytes {
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
}

/** Rows of a column: at least those asked for. */
export interface ColumnRows {
  readonly data: ParquetColumnData;
  /** The row of the row group that `data` begins with, and the one behind its last. */
  readonly firstRow: number;
  readonly endRow: number;
}

/** Most footers fit; a longer one takes a second read. */
const tailBytes = 64 * 1024;

/**
 * Reads pages of a file that Varve wrote, a few rows at a time, and remembers what tells where they are: the footer,
 * the places of pages, and tags as runs. Holds no file open, so that it can be kept as long as it is of use.
 */
export class RowRangeReader {
  readonly layout: FileLayout;
  readonly #pages = new Map<number, PagePlaces>();
  readonly #runs = new Map<number, TagRuns>();
  #weight: number;
  #tagsRead = 0;

  private constructor(layout: FileLayout, weight: number) {
    this.layout = layout;
    this.#weight = weight;
  }

  /** Reads the footer. `corrupt` when it is damaged, `invalid` for a file of another writer. */
  static open(file: FileBytes): RowRangeReader {
    const length = Math.min(file.size, tailBytes);
    let end = file.read(file.size - length, length);
    if (end.length >= footerTailBytes) {
      const needed = footerBytes(end, file.size);
      if (needed > end.length) end = file.read(file.size - needed, needed);
    }
    const layout = readFooterLayout(end, file.size);
    return new RowRangeReader(layout, layout.rowGroups.length * layout.specs.length * 100);
  }

  /** Bytes of memory that it takes, roughly; grows as it is used. */
  get weight(): number {
    return this.#weight;
  }

  /** How many tags of row groups have been read so far, each once. */
  get tagsRead(): number {
    return this.#tagsRead;
  }

  /** A tag over a row group. */
  tagRuns(file: FileBytes, rowGroup: number, column: number): TagRuns {
    const key = this.#keyOf(rowGroup, column);
    const known = this.#runs.get(key);
    if (known !== undefined) return known;
    const { rowCount } = this.layout.rowGroups[rowGroup]!;
    const { offset, compressedBytes } = this.#chunk(rowGroup, column);
    const bytes = file.read(offset, compressedBytes);
    const data = readColumn(bytes, { offset: 0, compressedBytes }, this.layout.specs[column]!, rowCount);
    if (data.kind !== 'tag') throw new TypeError('a column that is no tag has no runs');
    const runs = tagRunsOf(data.tags);
    this.#runs.set(key, runs);
    this.#tagsRead += 1;
    const { starts, dictionary } = runs;
    this.#weight += starts.byteLength * 2 + dictionary.bytes.byteLength + dictionary.offsets.byteLength;
    return runs;
  }

  /** The pages that hold rows [from, to) of a column; `to` is greater than `from`. */
  rows(file: FileBytes, rowGroup: number, column: number, from: number, to: number): ColumnRows {
    const { offset } = this.#chunk(rowGroup, column);
    const { dictionaryBytes, offsets, rows } = this.#pagesOf(file, rowGroup, column);
    const first = lastAtOrBefore(rows, from);
    const end = lastAtOrBefore(rows, to - 1) + 1;
    const start = offsets[first]!;
    const length = offsets[end]! - start;
    const bytes = new Uint8Array(dictionaryBytes + length);
    if (dictionaryBytes > 0) bytes.set(file.read(offset, dictionaryBytes));
    bytes.set(file.read(offset + start, length), dictionaryBytes);
    const place = { offset: 0, compressedBytes: bytes.length };
    const rowCount = rows[end]! - rows[first]!;
    const spec = this.layout.specs[column]!;
    const firstRow = rows[first]!;
    const numbers = readNumberRows(bytes, place, spec, rowCount, from - firstRow, to - firstRow);
    if (numbers !== null) return { data: numbers, firstRow: from, endRow: to };
    return { data: readColumn(bytes, place, spec, rowCount), firstRow, endRow: rows[end]! };
  }

  #pagesOf(file: FileBytes, rowGroup: number, column: number): PagePlaces {
    const key = this.#keyOf(rowGroup, column);
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    const { offset, compressedBytes } = this.#chunk(rowGroup, column);
    const pages = findPages(file.read(offset, compressedBytes), this.layout.rowGroups[rowGroup]!.rowCount);
    this.#pages.set(key, pages);
    this.#weight += pages.offsets.byteLength * 2 + 200;
    return pages;
  }

  #chunk(rowGroup: number, column: number): ChunkPlace {
    return this.layout.rowGroups[rowGroup]!.chunks[column]!;
  }

  #keyOf(rowGroup: number, column: number): number {
    return rowGroup * this.layout.specs.length + column;
  }
}

/** Only the rows asked for, where the column is of 64-bit numbers and has one in every row. */
function readNumberRows(
  bytes: Uint8Array,
  place: ChunkPlace,
  spec: ParquetColumnSpec,
  rowCount: number,
  from: number,
  to: number,
): ParquetColumnData | null {
  const isTime = spec.kind === 'time';
  if (!isTime && !(spec.kind === 'field' && (spec.type === 'bigint' || spec.type === 'double'))) return null;
  const micros = readNumberRange(new ChunkPages(bytes, place, spec, rowCount), from, to);
  if (micros === null) return null;
  if (isTime) return { kind: 'time', micros };
  if (spec.type === 'bigint') return { kind: 'field', type: 'bigint', values: micros, validity: null };
  const values = new Float64Array(micros.buffer);
  return { kind: 'field', type: 'double', values, validity: null };
}

/** Index of the last entry at or before the row. */
function lastAtOrBefore(rows: Int32Array, row: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (rows[middle]! <= row) low = middle;
    else high = middle;
  }
  return low;
}
