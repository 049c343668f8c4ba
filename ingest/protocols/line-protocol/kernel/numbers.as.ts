// Part of the kernel, see line-kernel.as.ts: numbers and times.

import { dot, letterI, letterU, minus, zero } from './bytes.as';
import { take } from './memory.as';

/** Digits whose number is an exact double, and digits that fit 64 bits whatever they are. */
const exactDigitsMax: u32 = 15;
const wordDigitsMax: u32 = 18;
/** The last nanosecond of the last second that fits whatever its nanoseconds are. */
const timeMax: u64 = 9_223_372_035_999_999_999;

/** Where the number that was read ended. */
export let numberEnd: usize = 0;
let powers: usize = 0;

/** To be called once, and room made for what it takes: powers of ten that are exact doubles. */
export function takePowers(): void {
  powers = take(23 * 8);
}

/** Works them out. */
export function fillPowers(): void {
  let power: f64 = 1;
  for (let at: u32 = 0; at < 23; at++) {
    store<f64>(powers + at * 8, power);
    power *= 10;
  }
}

/** Reads a number of the type to the address; sets `numberEnd`; false where the decoder must look. */
export function readNumber(at: usize, type: u32, to: usize): bool {
  let byte: u32 = load<u8>(at);
  const negative = byte == minus;
  if (negative) byte = load<u8>(++at);
  const first = at;
  let value: u64 = 0;
  let digit = byte - zero;
  while (digit <= 9) {
    value = value * 10 + digit;
    digit = <u32>load<u8>(++at) - zero;
  }
  let digits = <u32>(at - first);
  if (digits == 0) return false;
  byte = load<u8>(at);
  if (type == 0) {
    let number: f64;
    if (byte == dot) {
      const fraction = ++at;
      digit = <u32>load<u8>(at) - zero;
      while (digit <= 9) {
        value = value * 10 + digit;
        digit = <u32>load<u8>(++at) - zero;
      }
      const places = <u32>(at - fraction);
      digits += places;
      if (digits > exactDigitsMax) return false;
      number = <f64>value / load<f64>(powers + places * 8);
    } else {
      if (digits > exactDigitsMax) return false;
      number = <f64>value;
    }
    store<f64>(to, negative ? -number : number);
  } else {
    if (digits > wordDigitsMax || byte != (type == 1 ? letterI : letterU)) return false;
    if (negative && type != 1) return false;
    at++;
    store<i64>(to, negative ? -(<i64>value) : <i64>value);
  }
  numberEnd = at;
  return true;
}

function eightDigits(text: u64): u64 {
  text = text * 10 + (text >> 8);
  return (
    ((text & 0x000000ff000000ff) * 0x000f424000000064 +
      ((text >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >>
    32
  );
}

function areDigits(text: u64): bool {
  return (((text + 0x7676767676767676) | text) & 0x8080808080808080) == 0;
}

/** Reads a time in units of `unitNs` (0: by magnitude) to the address; sets `numberEnd`; false where the decoder must look. */
export function readTime(at: usize, unitNs: u64, to: usize): bool {
  const first = at;
  let value: u64 = 0;
  // A leading zero would make what counts digits differ from what goes by magnitude.
  if (load<u8>(at) == zero) return false;
  const high = load<u64>(at) - 0x3030303030303030;
  const low = load<u64>(at, 8) - 0x3030303030303030;
  if (areDigits(high) && areDigits(low)) {
    value = (eightDigits(high) & 0xffffffff) * 100000000 + (eightDigits(low) & 0xffffffff);
    at += 16;
  }
  let digit = <u32>load<u8>(at) - zero;
  while (digit <= 9) {
    value = value * 10 + digit;
    digit = <u32>load<u8>(++at) - zero;
  }
  const digits = <u32>(at - first);
  if (digits == 0 || digits > 19) return false;
  if (unitNs == 0) {
    unitNs = 1;
    if (value < 5_000_000_000) unitNs = 1_000_000_000;
    else if (value < 5_000_000_000_000) unitNs = 1_000_000;
    else if (value < 5_000_000_000_000_000) unitNs = 1_000;
  }
  if (value > timeMax / unitNs) return false;
  store<u64>(to, value * unitNs);
  numberEnd = at;
  return true;
}
