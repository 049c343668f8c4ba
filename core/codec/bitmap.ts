/** Bitmaps of row flags: row i is bit i % 8 of byte i / 8, least significant bit first, as in Arrow and Parquet. */

/** Bytes of a bitmap over `count` rows. */
export function bitmapBytes(count: number): number {
  return (count + 7) >>> 3;
}

/** Packs one byte a row (0 or 1) into bits at `into[at...]`. The target's bytes are overwritten. */
export function packBits(flags: Uint8Array, into: Uint8Array, at: number): void {
  const whole = flags.length & ~7;
  for (let row = 0; row < whole; row += 8) {
    into[at++] =
      flags[row]! |
      (flags[row + 1]! << 1) |
      (flags[row + 2]! << 2) |
      (flags[row + 3]! << 3) |
      (flags[row + 4]! << 4) |
      (flags[row + 5]! << 5) |
      (flags[row + 6]! << 6) |
      (flags[row + 7]! << 7);
  }
  if (whole === flags.length) return;
  let last = 0;
  for (let row = whole; row < flags.length; row++) last |= flags[row]! << (row - whole);
  into[at] = last;
}

/** Unpacks the bitmap at `from[at...]` to one byte a row. */
export function unpackBits(from: Uint8Array, at: number, count: number): Uint8Array {
  const flags = new Uint8Array(count);
  for (let row = 0; row < count; row++) flags[row] = (from[at + (row >>> 3)]! >>> (row & 7)) & 1;
  return flags;
}
