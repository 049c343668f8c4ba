import type { StringValues } from '../model/columns.js';
import { stringBytes } from '../model/columns.js';
import { compareBytes } from '../model/series-key.js';
import { decimalBytes, type StoredKind } from './format.js';

/**
 * A bound of a column: bigint for time, bigint and ubigint; number for time-ns, double and boolean (0 or 1);
 * UTF-8 bytes for strings.
 */
export type Bound = bigint | number | Uint8Array;

/** The least and the greatest value, both of the same kind. */
export interface Bounds {
  readonly min: Bound;
  readonly max: Bound;
}

/** What is known of the values of one column chunk, or of a whole column. */
export interface ValueStatistics {
  /** Null when no value is present, or none but NaN. */
  readonly bounds: Bounds | null;
  /** NaN values; null for all but doubles. */
  readonly nanCount: number | null;
}

/** Code points of a string that Iceberg bounds keep, its default for metrics. */
const icebergCodePointsMax = 16;
/** Code points of a string that the statistics in the file keep. */
const parquetCodePointsMax = 64;

/** Bounds of 64-bit integers; HOT LOOP over lanes. */
export function integerStatistics(lanes: Int32Array, signed: boolean): ValueStatistics {
  if (lanes.length === 0) return { bounds: null, nanCount: null };
  // Unsigned numbers compare as signed ones once the top bit of both is flipped.
  const flip = signed ? 0 : 0x80000000 | 0;
  let min = 0;
  let max = 0;
  let minLow = lanes[0]! >>> 0;
  let maxLow = minLow;
  let minHigh = lanes[1]! ^ flip;
  let maxHigh = minHigh;
  for (let lane = 2; lane < lanes.length; lane += 2) {
    const low = lanes[lane]! >>> 0;
    const high = lanes[lane + 1]! ^ flip;
    if (high < minHigh || (high === minHigh && low < minLow)) {
      min = lane;
      minLow = low;
      minHigh = high;
    }
    if (high > maxHigh || (high === maxHigh && low > maxLow)) {
      max = lane;
      maxLow = low;
      maxHigh = high;
    }
  }
  return {
    bounds: { min: integerAt(lanes, min, signed), max: integerAt(lanes, max, signed) },
    nanCount: null,
  };
}

function integerAt(lanes: Int32Array, lane: number, signed: boolean): bigint {
  const bits = (BigInt(lanes[lane + 1]!) << 32n) | BigInt(lanes[lane]! >>> 0);
  return signed ? BigInt.asIntN(64, bits) : BigInt.asUintN(64, bits);
}

/**
 * Bounds of doubles without their NaNs; HOT LOOP. A zero bound takes the sign that holds for both zeros, as
 * readers may order -0 before +0 or take them for equal.
 */
export function doubleStatistics(values: Float64Array): ValueStatistics {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let nanCount = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) nanCount++;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (nanCount === values.length) return { bounds: null, nanCount };
  return { bounds: { min: min === 0 ? -0 : min, max: max === 0 ? 0 : max }, nanCount };
}

/** Bounds of small numbers: booleans and nanoseconds; HOT LOOP. */
export function smallStatistics(values: Uint8Array | Int32Array): ValueStatistics {
  if (values.length === 0) return { bounds: null, nanCount: null };
  let min = values[0]!;
  let max = min;
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { bounds: { min, max }, nanCount: null };
}

/** Bounds of the strings that `entries` point at, by their bytes. */
export function stringStatistics(values: StringValues, entries: Int32Array): ValueStatistics {
  let min: Uint8Array | null = null;
  let max: Uint8Array | null = null;
  for (const entry of entries) {
    const bytes = stringBytes(values, entry);
    if (min === null || compareBytes(bytes, min) < 0) min = bytes;
    if (max === null || compareBytes(bytes, max) > 0) max = bytes;
  }
  // Copies: the writer outlives the arrays of a row group.
  const bounds = min === null || max === null ? null : { min: min.slice(), max: max.slice() };
  return { bounds, nanCount: null };
}

/** What holds for two parts of a column together. */
export function mergeStatistics(left: ValueStatistics, right: ValueStatistics): ValueStatistics {
  const nanCount = left.nanCount === null ? right.nanCount : left.nanCount + (right.nanCount ?? 0);
  if (left.bounds === null || right.bounds === null) return { bounds: left.bounds ?? right.bounds, nanCount };
  const min = isLess(right.bounds.min, left.bounds.min) ? right.bounds.min : left.bounds.min;
  const max = isLess(left.bounds.max, right.bounds.max) ? right.bounds.max : left.bounds.max;
  return { bounds: { min, max }, nanCount };
}

function isLess(left: Bound, right: Bound): boolean {
  if (left instanceof Uint8Array && right instanceof Uint8Array) return compareBytes(left, right) < 0;
  return left < right || (Object.is(left, -0) && Object.is(right, 0));
}

/** A bound as Parquet's statistics hold it, and whether it is a value of the column or only beyond all of them. */
export interface ParquetBound {
  readonly bytes: Uint8Array;
  readonly exact: boolean;
}

/**
 * min_value and max_value of a column chunk. None where NaN occurs: engines that order NaN above all numbers
 * (DuckDB, Spark) would skip rows by a maximum that leaves it out.
 */
export function parquetBounds(
  kind: StoredKind,
  { bounds, nanCount }: ValueStatistics,
): { readonly min: ParquetBound | null; readonly max: ParquetBound | null } {
  if (bounds === null || (nanCount ?? 0) > 0) return { min: null, max: null };
  const { min, max } = bounds;
  if (min instanceof Uint8Array && max instanceof Uint8Array) {
    const lower = truncatedLower(min, parquetCodePointsMax);
    const upper = truncatedUpper(max, parquetCodePointsMax);
    return {
      min: { bytes: lower, exact: lower.length === min.length },
      max: upper === null ? null : { bytes: upper, exact: upper === max },
    };
  }
  const toBytes = kind === 'ubigint' ? fixedDecimal : (bound: Bound) => scalarBytes(kind, bound);
  return { min: { bytes: toBytes(min), exact: true }, max: { bytes: toBytes(max), exact: true } };
}

/**
 * Bounds as single-value bytes of Iceberg.
 *
 * Source: https://iceberg.apache.org/spec/#appendix-d-single-value-serialization
 */
export function icebergBounds(
  kind: StoredKind,
  bounds: Bounds | null,
): { readonly lower: Uint8Array | null; readonly upper: Uint8Array | null } {
  if (bounds === null) return { lower: null, upper: null };
  const { min, max } = bounds;
  if (min instanceof Uint8Array && max instanceof Uint8Array) {
    return {
      lower: truncatedLower(min, icebergCodePointsMax),
      upper: truncatedUpper(max, icebergCodePointsMax),
    };
  }
  const toBytes = kind === 'ubigint' ? minimalDecimal : (bound: Bound) => scalarBytes(kind, bound);
  return { lower: toBytes(min), upper: toBytes(max) };
}

/** Numbers of fixed width: the same bytes in Parquet's statistics and in Iceberg. */
function scalarBytes(kind: StoredKind, bound: Bound): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  if (typeof bound === 'bigint') view.setBigInt64(0, bound, true);
  else if (kind === 'double') view.setFloat64(0, Number(bound), true);
  else view.setInt32(0, Number(bound), true);
  const width = kind === 'boolean' ? 1 : kind === 'time-ns' ? 4 : 8;
  return new Uint8Array(view.buffer, 0, width);
}

function fixedDecimal(bound: Bound): Uint8Array {
  const bytes = new Uint8Array(decimalBytes);
  new DataView(bytes.buffer).setBigUint64(1, BigInt(bound as bigint), false);
  return bytes;
}

/** Big-endian two's complement in as few bytes as hold the sign bit. */
function minimalDecimal(bound: Bound): Uint8Array {
  const bytes = fixedDecimal(bound);
  let first = 0;
  while (first < decimalBytes - 1 && bytes[first] === 0 && bytes[first + 1]! < 0x80) first++;
  return bytes.subarray(first);
}

/** Offset behind the first `codePoints` code points of UTF-8, or its length. */
function prefixLength(bytes: Uint8Array, codePoints: number): number {
  let seen = 0;
  for (let at = 0; at < bytes.length; at++) {
    const continues = (bytes[at]! & 0xc0) === 0x80;
    if (!continues && seen++ === codePoints) return at;
  }
  return bytes.length;
}

/** A prefix is never above the whole. */
function truncatedLower(bytes: Uint8Array, codePointsMax: number): Uint8Array {
  return bytes.subarray(0, prefixLength(bytes, codePointsMax));
}

/** The least string of at most `codePointsMax` code points that is not below `bytes`; null when there is none. */
function truncatedUpper(bytes: Uint8Array, codePointsMax: number): Uint8Array | null {
  const length = prefixLength(bytes, codePointsMax);
  if (length === bytes.length) return bytes;
  const prefix = Array.from(new TextDecoder().decode(bytes.subarray(0, length)));
  while (prefix.length > 0) {
    const last = prefix.pop()?.codePointAt(0) ?? 0;
    if (last === 0x10ffff) continue;
    // UTF-8 has no surrogates.
    prefix.push(String.fromCodePoint(last === 0xd7ff ? 0xe000 : last + 1));
    return new TextEncoder().encode(prefix.join(''));
  }
  return null;
}
