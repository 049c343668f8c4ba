import { VarveError } from '../std/errors.js';
import type { ChunkPages, ValuePage } from './chunk-pages.js';
import { decodeDeltaRange } from './delta-decoder.js';
import { encoding } from './format.js';
import { lanesOf } from './lanes.js';
import type { Page } from './page-reader.js';

/**
 * Reads rows [from, to) of the pages of a 64-bit column (not of a ubigint), whose pages have no row without a value;
 * null where some row lacks it: then the pages must be read whole.
 */
export function readNumberRange(pages: ChunkPages, from: number, to: number): BigInt64Array | null {
  const values = new BigInt64Array(to - from);
  const lanes = lanesOf(values);
  let entries: Int32Array | null = null;
  for (const page of pages.draw()) {
    if (page.present !== page.rows) return null;
    const first = Math.max(from, page.row);
    const end = Math.min(to, page.row + page.rows);
    if (first >= end) continue;
    const wanted = { from: first - page.row, to: end - page.row };
    const at = first - from;
    if (page.encoding === encoding.deltaBinaryPacked) {
      decodeDeltaRange(page.bytes, page.valuesAt, page.present, wanted, lanes, at);
    } else if (page.encoding === encoding.plain) {
      const bytes = pages.plainBytes(page, 8).subarray(wanted.from * 8, wanted.to * 8);
      new Uint8Array(lanes.buffer, lanes.byteOffset, lanes.byteLength).set(bytes, at * 8);
    } else if (page.encoding === encoding.rleDictionary && pages.dictionary !== null) {
      entries ??= entriesOf(pages.dictionary);
      gatherEntries(pages, page, entries, wanted, lanes, at);
    } else {
      throw pages.unknownEncoding(page);
    }
  }
  return values;
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
