import { digitZero, dot, minus, plus } from './bytes.js';

/**
 * Digits that are read without a detour over text. The fast paths of this file are exact: up to 15 digits a mantissa
 * is an exact double, and dividing it by an exact power of ten (up to 10^22) rounds once, so the result is the double
 * nearest to the text. Everything else goes by way of Number or BigInt. Part of the decoder's hot loop.
 */
export const exactDigitsMax = 15;
const exactPowerMax = 22;
const integerDigitsMax = 20;

/** Powers of ten that are exact doubles. */
export const powersOfTen = Float64Array.from({ length: exactPowerMax + 1 }, (_, power) => 10 ** power);

const letterE = 0x65;
const capitalE = 0x45;

/** The double written in bytes [start, end), or NaN when it is no number or too large for a double. */
export function parseDouble(bytes: Uint8Array, start: number, end: number): number {
  const sign = bytes[start];
  const first = sign === minus || sign === plus ? start + 1 : start;
  let at = endOfDigits(bytes, first, end);
  let digits = at - first;
  let fractionDigits = 0;
  if (at < end && bytes[at] === dot) {
    const fractionStart = at + 1;
    at = endOfDigits(bytes, fractionStart, end);
    fractionDigits = at - fractionStart;
    digits += fractionDigits;
  }
  if (digits === 0 || (at < end && !isExponent(bytes, at, end))) return Number.NaN;
  if (at < end || digits > exactDigitsMax) {
    const value = Number(latin1Text(bytes, start, end));
    return Number.isFinite(value) ? value : Number.NaN;
  }
  let mantissa = 0;
  for (let i = first; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte !== dot) mantissa = mantissa * 10 + byte - digitZero;
  }
  const value = mantissa / (powersOfTen[fractionDigits] as number);
  return sign === minus ? -value : value;
}

/** True when [start, end) is an optional sign and digits, at least one. */
export function isInteger(bytes: Uint8Array, start: number, end: number): boolean {
  const first = bytes[start] === minus || bytes[start] === plus ? start + 1 : start;
  return first < end && endOfDigits(bytes, first, end) === end;
}

/**
 * The exact integer in bytes [start, end), which isInteger has accepted; undefined when it has more digits than any
 * 64-bit integer, because converting a million digits would take long.
 */
export function parseBigInteger(bytes: Uint8Array, start: number, end: number): bigint | undefined {
  const negative = bytes[start] === minus;
  let first = negative || bytes[start] === plus ? start + 1 : start;
  while (first < end - 1 && bytes[first] === digitZero) first++;
  if (end - first > integerDigitsMax) return undefined;
  const magnitude = BigInt(latin1Text(bytes, first, end));
  return negative ? -magnitude : magnitude;
}

/** Low word of the two's complement of an integer of magnitude below 2^53. */
export function lowWord(value: number): number {
  return value | 0;
}

/** High word of the two's complement of an integer of magnitude below 2^53. */
export function highWord(value: number): number {
  return Math.floor(value / 4294967296) | 0;
}

/** The text of bytes that are known to be ASCII. */
export function latin1Text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

/** The position of the first byte in [start, end) that is no digit, or `end`. */
export function endOfDigits(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && (((bytes[at] as number) - digitZero) & 0xff) <= 9) at++;
  return at;
}

function isExponent(bytes: Uint8Array, start: number, end: number): boolean {
  const letter = bytes[start];
  return (letter === letterE || letter === capitalE) && isInteger(bytes, start + 1, end);
}
