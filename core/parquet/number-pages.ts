import { VarveError } from '../std/errors.js';
import { ChunkPages, type ValuePage } from './chunk-pages.js';
import { DeltaMarks, decodeDeltaRange } from './delta-decoder.js';
import { encoding } from './format.js';
import type { Page } from './page-reader.js';
import type { ParquetColumnSpec } from './types.js';

/** A data page of a 64-bit column (not of a ubigint), decompressed, of which ranges of rows are read again and again. */
export class NumberPage {
  /** Bytes of memory, roughly. */
  readonly weight: number;
  readonly #pages: ChunkPages;
  readonly #page: ValuePage;
  readonly #entries: Int32Array | null;
  readonly #marks: DeltaMarks | null;

  private constructor(pages: ChunkPages, page: ValuePage) {
    this.#pages = pages;
    this.#page = page;
    this.#entries = pages.dictionary === null ? null : entriesOf(pages.dictionary);
    this.#marks = page.encoding === encoding.deltaBinaryPacked ? new DeltaMarks(page.present) : null;
    const kept = [page.bytes, pages.validity, this.#entries];
    const bytes = kept.reduce((sum, part) => sum + (part?.byteLength ?? 0), 0);
    this.weight = 500 + bytes + (this.#marks?.weight ?? 0);
  }

  /** @param bytes the page, and the chunk's dictionary page in front of it if there is one */
  static open(bytes: Uint8Array, spec: ParquetColumnSpec, rowCount: number): NumberPage {
    const pages = new ChunkPages(bytes, { offset: 0, compressedBytes: bytes.length }, spec, rowCount);
    const [page, ...others] = pages.draw();
    if (page === undefined || others.length > 0)
      throw new VarveError('corrupt', `reading column ${spec.name} of a Parquet file: want one data page`);
    return new NumberPage(pages, page);
  }

  /** False when some row lacks its value: then rows cannot be counted off. */
  get isComplete(): boolean {
    return this.#page.present === this.#page.rows;
  }

  /** Reads rows [from, to) of a complete page as values `at` and following of `lanes`. */
  read(from: number, to: number, lanes: Int32Array, at: number): void {
    const page = this.#page;
    if (this.#marks !== null) {
      const wanted = { from, to, marks: this.#marks };
      decodeDeltaRange(page.bytes, page.valuesAt, page.present, wanted, lanes, at);
    } else if (page.encoding === encoding.plain) {
      const bytes = this.#pages.plainBytes(page, 8).subarray(from * 8, to * 8);
      new Uint8Array(lanes.buffer, lanes.byteOffset, lanes.byteLength).set(bytes, at * 8);
    } else if (page.encoding === encoding.rleDictionary && this.#entries !== null) {
      gatherEntries(this.#pages, page, this.#entries, { from, to }, lanes, at);
    } else {
      throw this.#pages.unknownEncoding(page);
    }
  }
}

/** Pages that were read last, as many as the limit of memory takes; the least recently used goes first. */
export class NumberPages {
  readonly #pages = new Map<string, NumberPage>();
  readonly #weightMax: number;
  #weight = 0;

  /** @param weightMax bytes of memory, roughly */
  constructor(weightMax: number) {
    this.#weightMax = weightMax;
  }

  get weight(): number {
    return this.#weight;
  }

  /** The page of that name, opened if it is not here. */
  page(name: string, open: () => NumberPage): NumberPage {
    const known = this.#pages.get(name);
    const page = known ?? open();
    if (known !== undefined) this.#pages.delete(name);
    else this.#weight += page.weight;
    this.#pages.set(name, page);
    for (const [oldest, { weight }] of this.#pages) {
      if (this.#weight <= this.#weightMax) break;
      this.#pages.delete(oldest);
      this.#weight -= weight;
    }
    return page;
  }
}

function entriesOf({ bytes, valueCount }: Page): Int32Array {
  if (valueCount >= 0 && bytes.length === valueCount * 8) return new Int32Array(bytes.slice().buffer);
  throw new VarveError(
    'corrupt',
    `reading a Parquet dictionary: got ${bytes.length} bytes; want ${valueCount} values of 8`,
  );
}

function gatherEntries(
  pages: ChunkPages,
  page: ValuePage,
  entries: Int32Array,
  { from, to }: { readonly from: number; readonly to: number },
  lanes: Int32Array,
  at: number,
): void {
  const indices = new Int32Array(page.present);
  pages.readIndices(page, entries.length >> 1, indices, 0);
  for (let row = from, lane = at * 2; row < to; row++, lane += 2) {
    const entry = indices[row]! * 2;
    lanes[lane] = entries[entry]!;
    lanes[lane + 1] = entries[entry + 1]!;
  }
}
