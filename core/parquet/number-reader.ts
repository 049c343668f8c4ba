import { VarveError } from '../std/errors.js';
import type { ChunkPages, ValuePage } from './chunk-pages.js';
import { readDecimals } from './decimal.js';
import { decodeDelta } from './delta-decoder.js';
import { decimalBytes, encoding } from './format.js';

/** How a PLAIN value of a 64-bit column lies in a page. */
export type NumberForm = 'little-endian' | 'decimal';

/** Reads a chunk of 64-bit values into the lanes of all its rows; what stands at null rows is arbitrary. */
export function readNumbers(pages: ChunkPages, form: NumberForm, lanes: Int32Array): void {
  const width = form === 'decimal' ? decimalBytes : 8;
  let entries: Int32Array | null = null;
  let indices = new Int32Array(0);
  for (const page of pages.draw()) {
    if (page.encoding === encoding.deltaBinaryPacked && form === 'little-endian') {
      decodeDelta(page.bytes, page.valuesAt, page.present, lanes, page.row);
    } else if (page.encoding === encoding.plain) {
      readPlain(pages.plainBytes(page, width), form, lanes, page.row);
    } else if (page.encoding === encoding.rleDictionary && pages.dictionary !== null) {
      const { bytes, valueCount } = pages.dictionary;
      entries ??= readEntries(bytes, valueCount, form);
      if (indices.length < page.present) indices = new Int32Array(page.present);
      pages.readIndices(page, entries.length / 2, indices, 0);
      gather(entries, indices, page.present, lanes, page.row);
    } else {
      throw pages.unknownEncoding(page);
    }
    if (pages.validity !== null) spreadLanes(lanes, pages.validity, page);
  }
}

/** Reads booleans, one byte a row. */
export function readBooleans(pages: ChunkPages, values: Uint8Array): void {
  for (const page of pages.draw()) {
    if (page.encoding !== encoding.plain) throw pages.unknownEncoding(page);
    const bytes = pages.plainBytes(page, 1 / 8);
    for (let bit = 0; bit < page.present; bit++) values[page.row + bit] = (bytes[bit >> 3]! >> (bit & 7)) & 1;
    if (pages.validity !== null) spread(values, pages.validity, page);
  }
}

/** Reads nanoseconds: INT32 in deltas. */
export function readNanos(pages: ChunkPages, nanos: Int32Array): void {
  const lanes = new Int32Array(nanos.length * 2);
  for (const page of pages.draw()) {
    if (page.encoding !== encoding.deltaBinaryPacked) throw pages.unknownEncoding(page);
    decodeDelta(page.bytes, page.valuesAt, page.present, lanes, page.row);
  }
  for (let row = 0; row < nanos.length; row++) nanos[row] = lanes[row * 2]!;
}

function readEntries(bytes: Uint8Array, count: number, form: NumberForm): Int32Array {
  const width = form === 'decimal' ? decimalBytes : 8;
  if (count < 0 || bytes.length !== count * width) {
    throw new VarveError(
      'corrupt',
      `reading a Parquet dictionary: got ${bytes.length} bytes; want ${count} values of ${width}`,
    );
  }
  const lanes = new Int32Array(count * 2);
  readPlain(bytes, form, lanes, 0);
  return lanes;
}

function readPlain(bytes: Uint8Array, form: NumberForm, lanes: Int32Array, at: number): void {
  if (form === 'little-endian') {
    // As bytes, because the page may begin at any offset, and because NaNs must keep their bits.
    new Uint8Array(lanes.buffer, lanes.byteOffset, lanes.byteLength).set(bytes, at * 8);
  } else if (!readDecimals(bytes, bytes.length / decimalBytes, lanes, at)) {
    throw new VarveError(
      'corrupt',
      'reading decimals of a Parquet page: got one beyond 64 bits; want ubigint',
    );
  }
}

/** HOT LOOP. */
function gather(
  entries: Int32Array,
  indices: Int32Array,
  count: number,
  lanes: Int32Array,
  at: number,
): void {
  for (let i = 0, lane = at * 2; i < count; i++, lane += 2) {
    const entry = indices[i]! * 2;
    lanes[lane] = entries[entry]!;
    lanes[lane + 1] = entries[entry + 1]!;
  }
}

/** HOT LOOP. Moves the page's values, which stand together at its first rows, to the rows they belong to. */
function spreadLanes(lanes: Int32Array, validity: Uint8Array, { row, rows, present }: ValuePage): void {
  if (present === rows) return;
  for (let to = row + rows - 1, from = row + present - 1; from >= row; to--) {
    if (validity[to] === 0) continue;
    lanes[to * 2] = lanes[from * 2]!;
    lanes[to * 2 + 1] = lanes[from * 2 + 1]!;
    from--;
  }
}

/** HOT LOOP. The same for columns of one element a row. */
export function spread(
  values: Uint8Array | Int32Array,
  validity: Uint8Array,
  { row, rows, present }: ValuePage,
): void {
  if (present === rows) return;
  for (let to = row + rows - 1, from = row + present - 1; from >= row; to--) {
    if (validity[to] === 0) continue;
    values[to] = values[from]!;
    from--;
  }
}
