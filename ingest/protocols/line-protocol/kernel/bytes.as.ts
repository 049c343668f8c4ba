// Part of the kernel, see line-kernel.as.ts: bytes of line protocol, and comparing them.

/** Line feed. */
export const newline: u32 = 0x0a;
/** Carriage return. */
export const carriageReturn: u32 = 0x0d;
/** Space. */
export const space: u32 = 0x20;
/** Comma. */
export const comma: u32 = 0x2c;
/** - */
export const minus: u32 = 0x2d;
/** Decimal point. */
export const dot: u32 = 0x2e;
/** 0 */
export const zero: u32 = 0x30;
/** Backslash. */
export const backslash: u32 = 0x5c;
/** i */
export const letterI: u32 = 0x69;
/** u */
export const letterU: u32 = 0x75;

/** Whether equal bytes stand at both addresses; up to 15 bytes beyond are read. */
export function equal(left: usize, right: usize, length: u32): bool {
  while (length >= 16) {
    if (v128.any_true(v128.xor(v128.load(left), v128.load(right)))) return false;
    left += 16;
    right += 16;
    length -= 16;
  }
  if (length == 0) return true;
  const same = i8x16.bitmask(i8x16.eq(v128.load(left), v128.load(right)));
  return (~same & ((1 << length) - 1)) == 0;
}
