import {
  doubleWidth,
  type IntegerWidth,
  type NarrowIntegers,
  signExtend,
  signedWidth,
} from '../../core/codec/narrow-integers.js';
import { resize } from './growing-array.js';

/**
 * Numbers of one block of a hot column, in as few bytes each as the largest of them needs: whole numbers, which
 * measured values mostly are, as signed integers of 1, 2 or 4 bytes; all else as the 64 bits of the value
 * (BigInt64Array). Scans read small columns many times as fast, for they stay in the processor's caches. An unsigned
 * number stands as the signed one of the same bits.
 */
export type NumberValues = NarrowIntegers | BigInt64Array;

/** What the numbers are. */
export type NumberType = 'double' | 'bigint' | 'ubigint';

/** Numbers of a column as they come: views of 64-bit arrays. */
export type GivenNumbers = BigInt64Array | BigUint64Array | Float64Array;

/** No numbers. */
export const noNumbers: NumberValues = new Int8Array(0);

/** Bytes a number; 8 means that any number fits. */
export function widthOf(values: NumberValues): IntegerWidth {
  return values.BYTES_PER_ELEMENT as IntegerWidth;
}

/** The width that the numbers need. */
export function neededWidth(given: GivenNumbers): IntegerWidth {
  if (given instanceof Float64Array) return doubleWidth(given);
  return signedWidth(new BigInt64Array(given.buffer, given.byteOffset, given.length));
}

/** A copy with room for `capacity` numbers of `width` bytes, neither less than now. */
export function resized(
  values: NumberValues,
  type: NumberType,
  width: IntegerWidth,
  capacity: number,
): NumberValues {
  if (widthOf(values) === width) return resizeSame(values, capacity);
  const wider = numbersOf(width, capacity);
  if (values instanceof BigInt64Array) throw new RangeError('64-bit numbers do not get narrower');
  if (wider instanceof BigInt64Array) {
    if (type === 'double') new Float64Array(wider.buffer).set(values);
    else signExtend(values, 0, values.length, new Int32Array(wider.buffer), 0);
  } else wider.set(values);
  return wider;
}

/** Writes numbers that fit the width of `into`. */
export function store(given: GivenNumbers, into: NumberValues, at: number): void {
  if (into instanceof BigInt64Array) {
    into.set(new BigInt64Array(given.buffer, given.byteOffset, given.length), at);
  } else if (given instanceof Float64Array) into.set(given, at);
  else storeLow(new Int32Array(given.buffer, given.byteOffset, given.length * 2), into, at);
}

/** The 64 bits of a number, for comparing. */
export function bitsOf(values: NumberValues, type: NumberType, at: number): bigint {
  const value = values[at]!;
  if (typeof value === 'bigint') return value;
  if (type !== 'double') return BigInt(value);
  return new BigInt64Array(Float64Array.of(value).buffer)[0]!;
}

/** Writes the 64 bits of numbers [from, to) of `rows`, each masked, to the same places of `into`. */
export function gatherNumbers(
  values: NumberValues,
  type: NumberType,
  rows: Int32Array,
  mask: number,
  from: number,
  to: number,
  into: GatherTarget,
): void {
  if (values instanceof BigInt64Array) gatherLongs(values, rows, mask, from, to, into.longs);
  else if (type === 'double') gatherDoubles(values, rows, mask, from, to, into.doubles);
  else gatherExtended(values, rows, mask, from, to, into.lanes);
}

/** The same as whole numbers of fewer than 8 bytes, into which all of these rows' values must fit. */
export function gatherNarrow(
  values: NumberValues,
  type: NumberType,
  rows: Int32Array,
  mask: number,
  from: number,
  to: number,
  into: NarrowIntegers,
): void {
  if (!(values instanceof BigInt64Array)) gatherIntegers(values, rows, mask, from, to, into);
  else if (type === 'double') gatherDoubleValues(new Float64Array(values.buffer), rows, mask, from, to, into);
  else gatherLowLanes(new Int32Array(values.buffer), rows, mask, from, to, into);
}

/** One array of 64-bit numbers, seen as each of what is written there. */
export interface GatherTarget {
  readonly longs: BigInt64Array;
  readonly doubles: Float64Array;
  readonly lanes: Int32Array;
}

/** The views of an array to gather into. */
export function gatherTarget({ buffer, byteOffset, length }: BigInt64Array): GatherTarget {
  return {
    longs: new BigInt64Array(buffer, byteOffset, length),
    doubles: new Float64Array(buffer, byteOffset, length),
    lanes: new Int32Array(buffer, byteOffset, length * 2),
  };
}

function numbersOf(width: IntegerWidth, length: number): NumberValues {
  switch (width) {
    case 1:
      return new Int8Array(length);
    case 2:
      return new Int16Array(length);
    case 4:
      return new Int32Array(length);
    case 8:
      return new BigInt64Array(length);
  }
}

function resizeSame(values: NumberValues, capacity: number): NumberValues {
  return resize(values as Int32Array, capacity);
}

// Hot loops, hence the plain parameters.

function storeLow(lanes: Int32Array, into: NarrowIntegers, at: number): void {
  for (let lane = 0; lane < lanes.length; lane += 2) into[at++] = lanes[lane]!;
}

/**
 * Compiled, this moves 64 bits a row: no BigInt comes to be, and unlike by way of doubles no bit can change. A block
 * may end where its column stopped coming: the rows behind lack it, and have no number to be moved.
 */
function gatherLongs(
  values: BigInt64Array,
  rows: Int32Array,
  mask: number,
  from: number,
  to: number,
  into: BigInt64Array,
): void {
  for (let at = from; at < to; at++) {
    const place = rows[at]! & mask;
    if (place < values.length) into[at] = values[place]!;
  }
}

function gatherDoubles(
  values: NarrowIntegers,
  rows: Int32Array,
  mask: number,
  from: number,
  to: number,
  into: Float64Array,
): void {
  for (let at = from; at < to; at++) into[at] = values[rows[at]! & mask]!;
}

function gatherIntegers(
  values: NarrowIntegers,
  rows: Int32Array,
  mask: number,
  from: number,
  to: number,
  into: NarrowIntegers,
): void {
  for (let at = from; at < to; at++) into[at] = values[rows[at]! & mask]!;
}

// Blocks that have become wide while they were read: rows that came first still fit.

function gatherDoubleValues(
  values: Float64Array,
  rows: Int32Array,
  mask: number,
  from: number,
  to: number,
  into: NarrowIntegers,
): void {
  for (let at = from; at < to; at++) into[at] = values[rows[at]! & mask]!;
}

function gatherLowLanes(
  lanes: Int32Array,
  rows: Int32Array,
  mask: number,
  from: number,
  to: number,
  into: NarrowIntegers,
): void {
  for (let at = from; at < to; at++) into[at] = lanes[(rows[at]! & mask) * 2]!;
}

function gatherExtended(
  values: NarrowIntegers,
  rows: Int32Array,
  mask: number,
  from: number,
  to: number,
  lanes: Int32Array,
): void {
  for (let at = from; at < to; at++) {
    const value = values[rows[at]! & mask]!;
    lanes[at * 2] = value;
    lanes[at * 2 + 1] = value >> 31;
  }
}
