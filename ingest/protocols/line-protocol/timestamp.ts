import { digitZero, minus } from './bytes.js';
import { endOfDigits, exactDigitsMax, latin1Text } from './number-syntax.js';
import type { TimePrecision } from './precision.js';

/** Earliest time. InfluxDB's range: the outermost values of 64 bits stand for infinities in some engines. */
export const timeNsMin = -9_223_372_036_854_775_806n;
/** Latest time. */
export const timeNsMax = 9_223_372_036_854_775_806n;

/** Seconds that fit whatever the nanoseconds are. */
const safeSecondsMax = 9_223_372_035;

const nsPerUnit: Readonly<Record<Exclude<TimePrecision, 'auto'>, bigint>> = {
  ns: 1n,
  us: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/**
 * Reads timestamps into two 32-bit words of nanoseconds since the epoch. Part of the decoder's hot loop: no BigInt
 * but for numbers of 16 digits and more that are no plain nanoseconds.
 */
export class TimestampReader {
  readonly #precision: TimePrecision;
  /** The last time read. */
  low = 0;
  high = 0;

  constructor(precision: TimePrecision) {
    this.#precision = precision;
  }

  /**
   * Reads an integer at `start`; `end` bounds what may be looked at. Answers the position after it, or -1 when there
   * is none, or -2 when it is out of range.
   */
  read(bytes: Uint8Array, start: number, end: number): number {
    const negative = bytes[start] === minus;
    const first = negative ? start + 1 : start;
    const after = endOfDigits(bytes, first, end);
    const digits = after - first;
    if (digits === 0) return -1;
    if (digits === 19 && !negative && (this.#precision === 'ns' || this.#precision === 'auto')) {
      const seconds = digitsValue(bytes, first, first + 10);
      if (seconds <= safeSecondsMax) {
        this.#set(seconds, digitsValue(bytes, first + 10, after));
        return after;
      }
    } else if (digits <= exactDigitsMax) {
      const count = digitsValue(bytes, first, after);
      if (this.#setCount(negative ? -count : count)) return after;
    }
    return this.setExact(latin1Text(bytes, start, after)) ? after : -2;
  }

  /** Sets the time from decimal text of any length, in units of the precision; false when it is out of range. */
  setExact(text: string): boolean {
    const negative = text.startsWith('-');
    // More digits than any time has only cost time to convert; leading zeros are not counted.
    const digits = text.slice(negative ? 1 : 0).replace(/^0+(?=\d)/, '');
    if (digits.length > 19) return false;
    const count = negative ? -BigInt(digits) : BigInt(digits);
    const unit = this.#precision === 'auto' ? unitByMagnitude(Number(count)) : this.#precision;
    return this.setNs(count * nsPerUnit[unit]);
  }

  /** Sets the time; false when it is out of range. */
  setNs(timeNs: bigint): boolean {
    if (timeNs < timeNsMin || timeNs > timeNsMax) return false;
    this.low = Number(BigInt.asIntN(32, timeNs));
    this.high = Number(timeNs >> 32n);
    return true;
  }

  #setCount(count: number): boolean {
    const unit = this.#precision === 'auto' ? unitByMagnitude(count) : this.#precision;
    switch (unit) {
      case 'ns':
        return this.#setParts(count, 1e9, 1);
      case 'us':
        return this.#setParts(count, 1e6, 1e3);
      case 'ms':
        return this.#setParts(count, 1e3, 1e6);
      case 's':
        return this.#setParts(count, 1, 1e9);
      case 'm':
        return this.#setParts(count * 60, 1, 1e9);
      default:
        return this.#setParts(count * 3600, 1, 1e9);
    }
  }

  #setParts(count: number, perSecond: number, nsPerCount: number): boolean {
    const seconds = Math.floor(count / perSecond);
    if (seconds > safeSecondsMax || seconds < -safeSecondsMax) return false;
    this.#set(seconds, (count - seconds * perSecond) * nsPerCount);
    return true;
  }

  /** seconds × 10^9 + nanoseconds in two words, through products that stay below 2^53. */
  #set(seconds: number, nanoseconds: number): void {
    const top = Math.floor(seconds / 65536);
    const bottom = (seconds - top * 65536) * 1e9 + nanoseconds;
    const carry = Math.floor(bottom / 65536);
    // The time is middle × 2^16 + the low 16 bits of `bottom`.
    const middle = top * 1e9 + carry;
    const middleTop = Math.floor(middle / 65536);
    this.low = ((middle - middleTop * 65536) << 16) | (bottom - carry * 65536) | 0;
    this.high = middleTop | 0;
  }
}

function unitByMagnitude(count: number): 's' | 'ms' | 'us' | 'ns' {
  const magnitude = Math.abs(count);
  if (magnitude < 5e9) return 's';
  if (magnitude < 5e12) return 'ms';
  return magnitude < 5e15 ? 'us' : 'ns';
}

function digitsValue(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) value = value * 10 + (bytes[at] as number) - digitZero;
  return value;
}
