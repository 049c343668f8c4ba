/** HOT KERNEL. Reads the RLE/bit-packing hybrid of dictionary indices and definition levels. Allocates nothing a value. */
import { VarveError } from '../std/errors.js';

/** Eight bits may wait while a number is gathered in 32. A dictionary of Varve's needs 18 at most. */
const widthMax = 24;

/** Where encoded numbers lie in a page, and what they may be. */
export interface HybridRun {
  readonly offset: number;
  readonly end: number;
  readonly width: number;
  /** Every number must be below this. */
  readonly limit: number;
}

/**
 * Reads `count` numbers of `width` bits (0 to 24) from bytes [offset, end) of a page into `target`, the first at
 * index `at`. `corrupt` when they end early or a number is not below `limit`.
 */
export function decodeHybrid(
  page: Uint8Array,
  { offset, end, width, limit }: HybridRun,
  count: number,
  target: Int32Array | Uint8Array,
  at: number,
): void {
  if (width > widthMax || end > page.length)
    throw corruptHybrid(`numbers of ${width} bits up to byte ${end}`);
  const stop = at + count;
  const valueBytes = (width + 7) >> 3;
  while (at < stop) {
    let header = 0;
    let byte = 0x80;
    for (let shift = 0; byte >= 0x80; shift += 7) {
      if (offset >= end || shift > 28) throw corruptHybrid(`the end after ${stop - at} numbers too few`);
      byte = page[offset++]!;
      header |= (byte & 0x7f) << shift;
    }
    const size = header >>> 1;
    if ((header & 1) === 0) {
      if (size === 0 || offset + valueBytes > end) throw corruptHybrid(`a run of ${size} at byte ${offset}`);
      let value = 0;
      for (let i = 0; i < valueBytes; i++) value |= page[offset++]! << (i * 8);
      if (value >>> 0 >= limit) throw corruptHybrid(`the number ${value >>> 0}, not below ${limit}`);
      const runEnd = Math.min(stop, at + size);
      target.fill(value, at, runEnd);
      at = runEnd;
    } else {
      const values = Math.min(stop - at, size * 8);
      if (size === 0 || offset + ((values * width + 7) >> 3) > end) {
        throw corruptHybrid(`${size} groups at byte ${offset}`);
      }
      const greatest = unpack(page, offset, width, target, at, values);
      if (greatest >= limit) throw corruptHybrid(`the number ${greatest}, not below ${limit}`);
      offset += size * width;
      at += values;
    }
  }
}

/** Unpacks `count` numbers; returns the greatest. */
function unpack(
  page: Uint8Array,
  offset: number,
  width: number,
  target: Int32Array | Uint8Array,
  at: number,
  count: number,
): number {
  const mask = (1 << width) - 1;
  let greatest = 0;
  let pending = 0;
  let bits = 0;
  for (const stop = at + count; at < stop; at++) {
    for (; bits < width; bits += 8) pending |= page[offset++]! << bits;
    const value = pending & mask;
    pending >>>= width;
    bits -= width;
    target[at] = value;
    if (value > greatest) greatest = value;
  }
  return greatest;
}

function corruptHybrid(got: string): VarveError {
  return new VarveError('corrupt', `reading dictionary indices or levels of a Parquet page: got ${got}`);
}
