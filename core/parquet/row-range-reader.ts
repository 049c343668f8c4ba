import { readColumn } from './column-reader.js';
import { lanesOf } from './lanes.js';
import {
  type ChunkPlace,
  type FileLayout,
  footerBytes,
  footerTailBytes,
  readFooterLayout,
} from './metadata-reader.js';
import { NumberPage, NumberPages } from './number-pages.js';
import { findPages, type PagePlaces } from './page-places.js';
import { type TagRuns, tagRunsOf } from './tag-runs.js';
import type { ParquetColumnData, ParquetColumnSpec } from './types.js';

/** A file that is read where it is wanted. `read` answers exactly so many bytes, or throws. */
export interface FileBytes {
  /** In bytes. */
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

let readers = 0;

/**
 * Reads pages of a file that Varve wrote, a few rows at a time, and remembers what tells where they are: the footer,
 * the places of pages, and tags as runs. Holds no file open, so that it can be kept as long as it is of use.
 */
export class RowRangeReader {
  readonly layout: FileLayout;
  readonly #places = new Map<number, PagePlaces>();
  /** In front of the names of its pages. */
  readonly #name = `${readers++}`;
  readonly #numbers: NumberPages;
  readonly #runs = new Map<number, TagRuns>();
  #weight: number;
  #tagsRead = 0;

  private constructor(layout: FileLayout, weight: number, numbers: NumberPages) {
    this.layout = layout;
    this.#numbers = numbers;
    this.#weight = weight;
  }

  /**
   * Reads the footer. `corrupt` when it is damaged, `invalid` for a file of another writer.
   * @param numbers keeps pages of numbers, of several readers if they share it; by default none is kept
   */
  static open(file: FileBytes, numbers = new NumberPages(0)): RowRangeReader {
    const length = Math.min(file.size, tailBytes);
    let end = file.read(file.size - length, length);
    if (end.length >= footerTailBytes) {
      const needed = footerBytes(end, file.size);
      if (needed > end.length) end = file.read(file.size - needed, needed);
    }
    const layout = readFooterLayout(end, file.size);
    return new RowRangeReader(layout, layout.rowGroups.length * layout.specs.length * 100, numbers);
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
    const spec = this.layout.specs[column]!;
    if (hasNumbers(spec)) {
      const numbers = this.#numberRows(file, rowGroup, column, from, to);
      if (numbers !== null) return { data: numberData(spec, numbers), firstRow: from, endRow: to };
    }
    const { rows } = this.#placesOf(file, rowGroup, column);
    const first = lastAtOrBefore(rows, from);
    const end = lastAtOrBefore(rows, to - 1) + 1;
    const bytes = this.#pageBytes(file, rowGroup, column, first, end);
    const place = { offset: 0, compressedBytes: bytes.length };
    const data = readColumn(bytes, place, spec, rows[end]! - rows[first]!);
    return { data, firstRow: rows[first]!, endRow: rows[end]! };
  }

  /** Only the rows asked for, of a column of 64-bit numbers; null where some row of the pages lacks its number. */
  #numberRows(
    file: FileBytes,
    rowGroup: number,
    column: number,
    from: number,
    to: number,
  ): BigInt64Array | null {
    const { rows } = this.#placesOf(file, rowGroup, column);
    const spec = this.layout.specs[column]!;
    const values = new BigInt64Array(to - from);
    for (let index = lastAtOrBefore(rows, from); rows[index]! < to; index++) {
      const firstRow = rows[index]!;
      const endRow = rows[index + 1]!;
      const page = this.#numbers.page(`${this.#name} ${this.#keyOf(rowGroup, column)} ${index}`, () => {
        const bytes = this.#pageBytes(file, rowGroup, column, index, index + 1);
        return NumberPage.open(bytes, spec, endRow - firstRow);
      });
      if (!page.isComplete) return null;
      const first = Math.max(from, firstRow);
      page.read(first - firstRow, Math.min(to, endRow) - firstRow, lanesOf(values), first - from);
    }
    return values;
  }

  /** Pages [first, end) of a column, behind its dictionary. */
  #pageBytes(file: FileBytes, rowGroup: number, column: number, first: number, end: number): Uint8Array {
    const { offset } = this.#chunk(rowGroup, column);
    const { dictionaryBytes, offsets } = this.#placesOf(file, rowGroup, column);
    const start = offsets[first]!;
    const length = offsets[end]! - start;
    const bytes = new Uint8Array(dictionaryBytes + length);
    if (dictionaryBytes > 0) bytes.set(file.read(offset, dictionaryBytes));
    bytes.set(file.read(offset + start, length), dictionaryBytes);
    return bytes;
  }

  #placesOf(file: FileBytes, rowGroup: number, column: number): PagePlaces {
    const key = this.#keyOf(rowGroup, column);
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const { offset, compressedBytes } = this.#chunk(rowGroup, column);
    const pages = findPages(file.read(offset, compressedBytes), this.layout.rowGroups[rowGroup]!.rowCount);
    this.#places.set(key, pages);
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

function hasNumbers(spec: ParquetColumnSpec): boolean {
  return (
    spec.kind === 'time' || (spec.kind === 'field' && (spec.type === 'bigint' || spec.type === 'double'))
  );
}

function numberData(spec: ParquetColumnSpec, numbers: BigInt64Array): ParquetColumnData {
  if (spec.kind === 'time') return { kind: 'time', micros: numbers };
  if (spec.kind === 'field' && spec.type === 'double') {
    return { kind: 'field', type: 'double', values: new Float64Array(numbers.buffer), validity: null };
  }
  return { kind: 'field', type: 'bigint', values: numbers, validity: null };
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
