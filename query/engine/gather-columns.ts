import { packStrings, stringBytes } from '../../core/model/columns.js';
import { type RowRanges, rowsIn, type TagRuns } from '../../core/parquet/tag-runs.js';
import type { ParquetColumnData } from '../../core/parquet/types.js';
import type { BatchColumn } from './scan.js';
import { TagDictionary } from './tag-dictionary.js';

/** Gather ranges of rows out of decoded pages into the columns of one batch. Hot: nothing is made a row. */

/** One column of a batch while its rows come together. */
export interface ColumnGatherer {
  /** Rows of a column that is no tag; the ranges count from the first row of `data`. */
  append(data: ParquetColumnData, ranges: RowRanges): void;
  finish(): BatchColumn;
}

type Field = Extract<ParquetColumnData, { readonly kind: 'field' }>;

interface StringPiece {
  readonly values: Extract<Field, { readonly type: 'string' }>['values'];
  readonly from: number;
  readonly to: number;
}

/** Presence a row, as long as some row lacks the value. */
class PresenceGatherer {
  #rows = 0;
  #hasNulls = false;
  readonly #pieces: { readonly validity: Uint8Array | null; readonly from: number; readonly to: number }[] =
    [];

  append(validity: Uint8Array | null, from: number, to: number): void {
    this.#pieces.push({ validity, from, to });
    this.#rows += to - from;
    this.#hasNulls ||= validity !== null;
  }

  /** As an Arrow bitmap; null when every row has the value, as far as is known. */
  bitmap(): Uint8Array | null {
    if (!this.#hasNulls) return null;
    const bits = new Uint8Array((this.#rows + 7) >> 3);
    let at = 0;
    for (const { validity, from, to } of this.#pieces) {
      for (let row = from; row < to; row++, at++) {
        if (validity === null || validity[row] !== 0) bits[at >> 3]! |= 1 << (at & 7);
      }
    }
    return bits;
  }
}

/** Times and numbers, by their bytes. */
export class FixedGatherer implements ColumnGatherer {
  readonly #width: 1 | 4 | 8;
  readonly #pieces: Uint8Array[] = [];
  readonly #presence = new PresenceGatherer();
  #bytes = 0;

  constructor(width: 1 | 4 | 8) {
    this.#width = width;
  }

  append(data: ParquetColumnData, ranges: RowRanges): void {
    const values = numbersOf(data);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let i = 0; i < ranges.length; i += 2) {
      const from = ranges[i]!;
      const to = ranges[i + 1]!;
      this.#pieces.push(bytes.subarray(from * this.#width, to * this.#width));
      this.#bytes += (to - from) * this.#width;
      this.#presence.append(data.kind === 'field' ? data.validity : null, from, to);
    }
  }

  finish(): BatchColumn {
    const bytes = new Uint8Array(this.#bytes);
    let at = 0;
    for (const piece of this.#pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    const validity = this.#presence.bitmap();
    return { kind: 'fixed', bytes, width: this.#width, validity, validityOffset: 0 };
  }
}

function numbersOf(
  data: ParquetColumnData,
): BigInt64Array | BigUint64Array | Float64Array | Int32Array | Uint8Array {
  if (data.kind === 'time') return data.micros;
  if (data.kind === 'time-ns') return data.nanos;
  if (data.kind === 'field' && data.type !== 'string') return data.values;
  throw new TypeError(`a ${data.kind} has no numbers`);
}

/** String fields. */
export class StringGatherer implements ColumnGatherer {
  readonly #pieces: StringPiece[] = [];
  readonly #presence = new PresenceGatherer();

  append(data: ParquetColumnData, ranges: RowRanges): void {
    if (data.kind !== 'field' || data.type !== 'string') throw new TypeError(`a ${data.kind} has no strings`);
    for (let i = 0; i < ranges.length; i += 2) {
      this.#pieces.push({ values: data.values, from: ranges[i]!, to: ranges[i + 1]! });
      this.#presence.append(data.validity, ranges[i]!, ranges[i + 1]!);
    }
  }

  finish(): BatchColumn {
    const rows = this.#pieces.reduce((sum, { from, to }) => sum + to - from, 0);
    const bytes = new Uint8Array(this.#pieces.reduce((sum, piece) => sum + bytesIn(piece), 0));
    const offsets = new Int32Array(rows + 1);
    let row = 0;
    for (const { values, from, to } of this.#pieces) {
      const shift = offsets[row]! - values.offsets[from]!;
      bytes.set(values.bytes.subarray(values.offsets[from], values.offsets[to]), offsets[row]);
      for (let index = from + 1; index <= to; index++) offsets[++row] = values.offsets[index]! + shift;
    }
    return { kind: 'string', offsets, bytes, validity: this.#presence.bitmap(), validityOffset: 0 };
  }
}

function bytesIn({ values, from, to }: StringPiece): number {
  return values.offsets[to]! - values.offsets[from]!;
}

/** Tags, from the runs that are known of them: no page is read. */
export class TagGatherer {
  /** Of each dictionary the codes that its own have here, from 1; 0 for one that no row has had. */
  readonly #known = new Map<TagRuns, Int32Array>();
  /** A value that stands in two dictionaries stands here twice, which costs nothing but its bytes. */
  readonly #values: Uint8Array[] = [];
  /** Code, then rows; the code of the lack of the tag is -1. */
  readonly #runs: number[] = [];
  #rows = 0;

  append(tag: TagRuns, ranges: RowRanges): void {
    const { starts, codes } = tag;
    for (let i = 0; i < ranges.length; i += 2) {
      const to = ranges[i + 1]!;
      let from = ranges[i]!;
      for (let run = runAt(starts, from); from < to; run++) {
        const end = Math.min(to, starts[run + 1]!);
        this.#runs.push(this.#codeOf(tag, codes[run]!), end - from);
        from = end;
      }
    }
    this.#rows += rowsIn(ranges);
  }

  finish(): BatchColumn {
    const dictionary = new TagDictionary(packStrings(this.#values));
    const codes = new Int32Array(this.#rows);
    let at = 0;
    for (let i = 0; i < this.#runs.length; i += 2) {
      const code = this.#runs[i]!;
      const end = at + this.#runs[i + 1]!;
      codes.fill(code < 0 ? dictionary.nullCode : code, at, end);
      at = end;
    }
    return { kind: 'tag', codes, dictionary };
  }

  #codeOf(tag: TagRuns, code: number): number {
    if (code < 0) return -1;
    let known = this.#known.get(tag);
    if (known === undefined) {
      known = new Int32Array(tag.dictionary.offsets.length);
      this.#known.set(tag, known);
    }
    if (known[code] === 0) known[code] = this.#values.push(stringBytes(tag.dictionary, code));
    return known[code]! - 1;
  }
}

/** The run that the row lies in. */
function runAt(starts: Int32Array, row: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= row) low = middle;
    else high = middle;
  }
  return low;
}
