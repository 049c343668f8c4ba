/** HOT KERNEL. Unsigned 64-bit integers as Parquet decimals: nine bytes, big-endian, two's complement. */
import { decimalBytes } from './format.js';

/** Nine bytes a value. */
export function decimalsOf(lanes: Int32Array): Uint8Array {
  const count = lanes.length >> 1;
  const bytes = new Uint8Array(count * decimalBytes);
  for (let index = 0, at = 0; index < count; index++, at += decimalBytes) {
    const low = lanes[index * 2]!;
    const high = lanes[index * 2 + 1]!;
    bytes[at + 1] = high >>> 24;
    bytes[at + 2] = high >>> 16;
    bytes[at + 3] = high >>> 8;
    bytes[at + 4] = high;
    bytes[at + 5] = low >>> 24;
    bytes[at + 6] = low >>> 16;
    bytes[at + 7] = low >>> 8;
    bytes[at + 8] = low;
  }
  return bytes;
}

/**
 * Reads decimals back into lanes of unsigned integers, value i into lanes[2 (at + i)]. Returns false when one
 * does not fit 64 bits: Varve writes none such.
 */
export function readDecimals(bytes: Uint8Array, count: number, lanes: Int32Array, at: number): boolean {
  let overflow = 0;
  let lane = at * 2;
  for (let index = 0, from = 0; index < count; index++, from += decimalBytes, lane += 2) {
    overflow |= bytes[from]!;
    lanes[lane + 1] =
      (bytes[from + 1]! << 24) | (bytes[from + 2]! << 16) | (bytes[from + 3]! << 8) | bytes[from + 4]!;
    lanes[lane] =
      (bytes[from + 5]! << 24) | (bytes[from + 6]! << 16) | (bytes[from + 7]! << 8) | bytes[from + 8]!;
  }
  return overflow === 0;
}
