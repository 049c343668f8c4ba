/**
 * Hot kernels over 64-bit times, read as pairs of 32-bit lanes (low, high: little-endian) because one BigInt a row
 * would cost more than the whole rest of a merge.
 */

/** The 32-bit lanes of 64-bit times: lane 2i is the low half of time i, lane 2i + 1 the high half. */
export function lanesOf(times: BigInt64Array): Int32Array {
  return new Int32Array(times.buffer, times.byteOffset, times.length * 2);
}

export interface SplitTimes {
  readonly micros: BigInt64Array;
  /** Null when every time is a whole number of microseconds. */
  readonly nanos: Int32Array | null;
}

/**
 * Splits nanoseconds into whole microseconds (rounded down) and the 0 to 999 nanoseconds above. Exact over the whole
 * range: with high = 1000 a + b, the quotient's high half is a and its low half is (b 2^32 + low) / 1000 < 2^32.
 */
export function splitTimes(timesNs: BigInt64Array): SplitTimes {
  const rows = timesNs.length;
  const from = lanesOf(timesNs);
  const micros = new BigInt64Array(rows);
  const to = lanesOf(micros);
  const nanos = new Int32Array(rows);
  let seen = 0;
  for (let row = 0; row < rows; row++) {
    const low = (from[2 * row] as number) >>> 0;
    const high = from[2 * row + 1] as number;
    const quotientHigh = Math.floor(high / 1000);
    const rest = (high - quotientHigh * 1000) * 4294967296 + low;
    const quotientLow = Math.floor(rest / 1000);
    const nano = rest - quotientLow * 1000;
    to[2 * row] = quotientLow | 0;
    to[2 * row + 1] = quotientHigh;
    nanos[row] = nano;
    seen |= nano;
  }
  return { micros, nanos: seen === 0 ? null : nanos };
}

/** Day since the epoch of the time in microseconds at `row`; exact, since a day is a multiple of 64 µs. */
export function dayOfLanes(lanes: Int32Array, row: number): number {
  const low = (lanes[2 * row] as number) >>> 6;
  const high = lanes[2 * row + 1] as number;
  return Math.floor((high * 67108864 + (low & 0x3ffffff)) / 1350000000);
}

/** Compares two times in microseconds with their nanoseconds below: negative, zero or positive. */
export function compareTimes(
  leftLanes: Int32Array,
  leftNanos: Int32Array | null,
  left: number,
  rightLanes: Int32Array,
  rightNanos: Int32Array | null,
  right: number,
): number {
  const high = (leftLanes[2 * left + 1] as number) - (rightLanes[2 * right + 1] as number);
  if (high !== 0) return high;
  const low = ((leftLanes[2 * left] as number) >>> 0) - ((rightLanes[2 * right] as number) >>> 0);
  if (low !== 0) return low;
  const leftNano = leftNanos === null ? 0 : (leftNanos[left] as number);
  const rightNano = rightNanos === null ? 0 : (rightNanos[right] as number);
  return leftNano - rightNano;
}
