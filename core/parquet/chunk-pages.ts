import { VarveError } from '../std/errors.js';
import { isOptional } from './format.js';
import { decodeHybrid } from './hybrid-decoder.js';
import { countPresent } from './lanes.js';
import type { ChunkPlace } from './metadata-reader.js';
import { type Page, readPages } from './page-reader.js';
import type { ParquetColumnSpec } from './types.js';

/** A data page with its definition levels already read. */
export interface ValuePage {
  readonly encoding: number;
  readonly bytes: Uint8Array;
  /** Where the values begin in `bytes`. */
  readonly valuesAt: number;
  /** First row of the page within the row group. */
  readonly row: number;
  readonly rows: number;
  /** Values that follow: rows less nulls. */
  readonly present: number;
}

/** A column chunk, page by page; filled in as the pages are drawn. */
export class ChunkPages {
  /** One byte a row, complete once all pages are drawn; null as long as every row drawn has the value. */
  validity: Uint8Array | null = null;
  /** Set before the first data page is drawn, where the chunk has a dictionary. */
  dictionary: Page | null = null;
  present = 0;
  readonly #spec: ParquetColumnSpec;
  readonly #rowCount: number;
  readonly #pages: Iterable<Page>;

  constructor(file: Uint8Array, chunk: ChunkPlace, spec: ParquetColumnSpec, rowCount: number) {
    this.#spec = spec;
    this.#rowCount = rowCount;
    this.#pages = readPages(file, chunk);
  }

  /** Draws the data pages; `corrupt` unless their rows add up to the row group's. */
  *draw(): Generator<ValuePage> {
    let row = 0;
    for (const page of this.#pages) {
      if (page.type === 'dictionary') {
        if (this.dictionary !== null || row > 0)
          throw this.#corrupt('a second dictionary', 'one, first of all');
        this.dictionary = page;
        continue;
      }
      const rows = page.valueCount;
      if (rows < 0 || row + rows > this.#rowCount)
        throw this.#corrupt(`${row + rows} rows`, `${this.#rowCount}`);
      const { present, valuesAt } = this.#readLevels(page, row);
      this.present += present;
      yield { encoding: page.encoding, bytes: page.bytes, valuesAt, row, rows, present };
      row += rows;
    }
    if (row !== this.#rowCount) throw this.#corrupt(`${row} rows`, `${this.#rowCount}`);
  }

  /** Reads the indices of a dictionary-encoded page; each is below `entries`. */
  readIndices(page: ValuePage, entries: number, target: Int32Array, at: number): void {
    if (page.present === 0) return;
    const width = page.bytes[page.valuesAt];
    if (width === undefined) throw this.#corrupt('a page that ends before its values', 'a bit width');
    const run = { offset: page.valuesAt + 1, end: page.bytes.length, width, limit: entries };
    decodeHybrid(page.bytes, run, page.present, target, at);
  }

  /** The page's `present` values of `width` bytes each, a fraction for bits. */
  plainBytes(page: ValuePage, width: number): Uint8Array {
    const end = page.valuesAt + Math.ceil(page.present * width);
    if (end > page.bytes.length)
      throw this.#corrupt(`${page.bytes.length} bytes of values`, `at least ${end}`);
    return page.bytes.subarray(page.valuesAt, end);
  }

  /** The error for a page in an encoding that the column's type does not have here. */
  unknownEncoding(page: ValuePage): VarveError {
    const what = `reading column ${this.#spec.name} of a Parquet file`;
    return new VarveError('invalid', `${what}: got encoding ${page.encoding}; want one that Varve writes`);
  }

  #readLevels(page: Page, row: number): { readonly present: number; readonly valuesAt: number } {
    const { bytes, valueCount: rows } = page;
    if (!isOptional(this.#spec)) return { present: rows, valuesAt: 0 };
    if (bytes.length < 4) throw this.#corrupt(`a page of ${bytes.length} bytes`, 'definition levels');
    const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
    const valuesAt = 4 + length;
    if (isRunOfOnes(bytes, 4, valuesAt, rows)) {
      this.validity?.fill(1, row, row + rows);
      return { present: rows, valuesAt };
    }
    this.validity ??= new Uint8Array(this.#rowCount).fill(1, 0, row);
    decodeHybrid(bytes, { offset: 4, end: valuesAt, width: 1, limit: 2 }, rows, this.validity, row);
    return { present: countPresent(this.validity, row, row + rows), valuesAt };
  }

  #corrupt(got: string, want: string): VarveError {
    return new VarveError(
      'corrupt',
      `reading column ${this.#spec.name} of a Parquet file: got ${got}; want ${want}`,
    );
  }
}

/** Whether bytes [offset, end) of a page are one run that says of all its rows that they are present. */
function isRunOfOnes(bytes: Uint8Array, offset: number, end: number, rows: number): boolean {
  if (end > bytes.length) return false;
  let header = 0;
  let byte = 0x80;
  for (let shift = 0; byte >= 0x80; shift += 7) {
    if (offset >= end || shift > 28) return false;
    byte = bytes[offset++]!;
    header |= (byte & 0x7f) << shift;
  }
  return header === rows * 2 && offset + 1 === end && bytes[offset] === 1;
}
