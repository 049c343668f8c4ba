import { assert } from '../std/assert.js';

/**
 * 64-bit columns seen as pairs of 32-bit lanes (low, high), so that kernels need no BigInt a row. Parquet is
 * little-endian as well, hence a PLAIN page of INT64 or DOUBLE is these bytes as they lie in memory.
 */
assert(
  new Uint8Array(Uint32Array.of(1).buffer)[0] === 1,
  'the Parquet codec reads typed arrays as little-endian bytes; this platform is big-endian',
);

/** Signed lanes of a 64-bit column, a view: lane 2i is the low half of value i, lane 2i + 1 its high half. */
export function lanesOf(values: BigInt64Array | BigUint64Array | Float64Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length * 2);
}

/** The bytes of a typed array, a view. */
export function bytesOf(values: Int32Array | BigInt64Array | BigUint64Array | Float64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** The lanes of the values that are present, in order; the same array when all are. */
export function presentLanes(lanes: Int32Array, validity: Uint8Array | null, present: number): Int32Array {
  if (validity === null) return lanes;
  const packed = new Int32Array(present * 2);
  let at = 0;
  for (let row = 0; row < validity.length; row++) {
    if (validity[row] === 0) continue;
    packed[at] = lanes[row * 2]!;
    packed[at + 1] = lanes[row * 2 + 1]!;
    at += 2;
  }
  return packed;
}

/** How many entries of [from, to) are 1. */
export function countPresent(validity: Uint8Array, from: number, to: number): number {
  let present = 0;
  for (let row = from; row < to; row++) present += validity[row]!;
  return present;
}
