/**
 * Integers in as few bytes as the largest of a column needs. Measured values of machines are mostly small whole
 * numbers: one pass over the column costs less than hashing, checksumming and syncing the bytes it saves.
 * Hot loops: 64-bit values are read and written through 32-bit lanes (low, high).
 */

/** Bytes a value; 8 is the column as it lies in memory. */
export type IntegerWidth = 1 | 2 | 4 | 8;

/** Signed whole numbers in fewer bytes than 8. */
export type NarrowIntegers = Int8Array | Int16Array | Int32Array;

/** The 64 bits of what the numbers stand for: doubles of the same value, or sign-extended integers. */
export function widen(
  values: NarrowIntegers,
  type: 'double' | 'bigint' | 'ubigint',
): Float64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> | BigUint64Array<ArrayBuffer> {
  if (type === 'double') return new Float64Array(values);
  const lanes = new Int32Array(values.length * 2);
  signExtend(values, 0, values.length, lanes, 0);
  return type === 'bigint' ? new BigInt64Array(lanes.buffer) : new BigUint64Array(lanes.buffer);
}

/** Hot loop: writes numbers [from, to) as pairs of lanes from number `at` on. */
export function signExtend(
  values: NarrowIntegers,
  from: number,
  to: number,
  lanes: Int32Array,
  at: number,
): void {
  for (let index = from, lane = at * 2; index < to; index++, lane += 2) {
    const value = values[index]!;
    lanes[lane] = value;
    lanes[lane + 1] = value >> 31;
  }
}

/** Narrowest two's complement width that holds every value. */
export function signedWidth(values: BigInt64Array): IntegerWidth {
  const lanes = new Int32Array(values.buffer, values.byteOffset, values.length * 2);
  let magnitude = 0;
  for (let lane = 0; lane < lanes.length; lane += 2) {
    const low = lanes[lane]!;
    const sign = low >> 31;
    if (lanes[lane + 1]! !== sign) return 8;
    magnitude |= low ^ sign;
  }
  return magnitude < 0x80 ? 1 : magnitude < 0x8000 ? 2 : 4;
}

/** Narrowest unsigned width that holds every value. */
export function unsignedWidth(values: BigUint64Array): IntegerWidth {
  const lanes = new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
  let magnitude = 0;
  for (let lane = 0; lane < lanes.length; lane += 2) {
    if (lanes[lane + 1]! !== 0) return 8;
    magnitude |= lanes[lane]!;
  }
  magnitude >>>= 0;
  return magnitude < 0x100 ? 1 : magnitude < 0x10000 ? 2 : 4;
}

/** Narrowest two's complement width that gives back every double bit for bit; 8 when some value is no such integer. */
export function doubleWidth(values: Float64Array): IntegerWidth {
  let magnitude = 0;
  for (let row = 0; row < values.length; row++) {
    const value = values[row]!;
    const integer = value | 0;
    // -0 has no integer form: its sign would be lost.
    if (integer !== value || (integer === 0 && 1 / value < 0)) return 8;
    magnitude |= integer ^ (integer >> 31);
  }
  return magnitude < 0x80 ? 1 : magnitude < 0x8000 ? 2 : 4;
}

type Narrow = Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array;

/** A view of `count` values of the width at an aligned place. */
function viewOf(
  buffer: ArrayBufferLike,
  offset: number,
  count: number,
  width: 1 | 2 | 4,
  signed: boolean,
): Narrow {
  if (width === 1)
    return signed ? new Int8Array(buffer, offset, count) : new Uint8Array(buffer, offset, count);
  if (width === 2)
    return signed ? new Int16Array(buffer, offset, count) : new Uint16Array(buffer, offset, count);
  return signed ? new Int32Array(buffer, offset, count) : new Uint32Array(buffer, offset, count);
}

/** Writes the values, which must fit the width, at `buffer[offset...]`; the offset is a multiple of 8. */
export function writeNarrow(
  values: BigInt64Array | BigUint64Array | Float64Array,
  width: 1 | 2 | 4,
  buffer: ArrayBuffer,
  offset: number,
): void {
  const into = viewOf(buffer, offset, values.length, width, true);
  if (values instanceof Float64Array) {
    into.set(values);
    return;
  }
  // Typed arrays keep the low bits, so one loop serves signed and unsigned columns.
  const lanes = new Int32Array(values.buffer, values.byteOffset, values.length * 2);
  for (let row = 0; row < into.length; row++) into[row] = lanes[row * 2]!;
}

/** Reads what writeNarrow wrote of a column of signed integers. */
export function readNarrowSigned(
  buffer: ArrayBufferLike,
  offset: number,
  count: number,
  width: 1 | 2 | 4,
): BigInt64Array<ArrayBuffer> {
  const from = viewOf(buffer, offset, count, width, true);
  const values = new BigInt64Array(count);
  const lanes = new Int32Array(values.buffer);
  for (let row = 0; row < count; row++) {
    const value = from[row]!;
    lanes[row * 2] = value;
    lanes[row * 2 + 1] = value >> 31;
  }
  return values;
}

/** Reads what writeNarrow wrote of a column of unsigned integers. */
export function readNarrowUnsigned(
  buffer: ArrayBufferLike,
  offset: number,
  count: number,
  width: 1 | 2 | 4,
): BigUint64Array<ArrayBuffer> {
  const from = viewOf(buffer, offset, count, width, false);
  const values = new BigUint64Array(count);
  const lanes = new Uint32Array(values.buffer);
  for (let row = 0; row < count; row++) lanes[row * 2] = from[row]!;
  return values;
}

/** Reads what writeNarrow wrote of a column of doubles. */
export function readNarrowDoubles(
  buffer: ArrayBufferLike,
  offset: number,
  count: number,
  width: 1 | 2 | 4,
): Float64Array<ArrayBuffer> {
  return new Float64Array(viewOf(buffer, offset, count, width, true));
}
