/**
 * HOT KERNEL. DELTA_BINARY_PACKED over 64-bit lanes: blocks of 128 deltas in four miniblocks of 32. Allocates
 * nothing, knows no BigInt; all arithmetic wraps at 64 bits as the format demands, so the full range is fine.
 *
 * Source: https://parquet.apache.org/docs/file-format/data-pages/encodings/#delta-encoding-delta_binary_packed--5
 */
import type { ByteSink } from './byte-sink.js';

/** Deltas of a block, which share one least delta. */
export const deltaBlockValues = 128;
/** Miniblocks of a block, each with a bit width of its own. */
export const deltaMiniblocks = 4;
const miniblockValues = deltaBlockValues / deltaMiniblocks;

const low = new Int32Array(deltaBlockValues);
const high = new Int32Array(deltaBlockValues);

/** Appends values [from, to) of the column that `lanes` shows, as one delta-encoded run. */
export function encodeDelta(lanes: Int32Array, from: number, to: number, into: ByteSink): void {
  const count = to - from;
  into.reserve(32 + (Math.ceil(count / deltaBlockValues) + 1) * (16 + deltaBlockValues * 8));
  into.pushVarint(deltaBlockValues);
  into.pushVarint(deltaMiniblocks);
  into.pushVarint(count);
  const firstLow = count === 0 ? 0 : lanes[from * 2]!;
  const firstHigh = count === 0 ? 0 : lanes[from * 2 + 1]!;
  into.length = writeZigzag(into.bytes, into.length, firstLow, firstHigh);
  for (let start = from + 1; start < to; start += deltaBlockValues) {
    const deltas = Math.min(deltaBlockValues, to - start);
    into.length = encodeBlock(lanes, start, deltas, into.bytes, into.view, into.length);
  }
}

/** Fills `low` and `high` with the deltas of one block and writes it; returns the offset behind it. */
function encodeBlock(
  lanes: Int32Array,
  start: number,
  deltas: number,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): number {
  let previousLow = lanes[start * 2 - 2]!;
  let previousHigh = lanes[start * 2 - 1]!;
  let wide = 0;
  let minimum = 0x7fffffff;
  for (let i = 0, lane = start * 2; i < deltas; i++, lane += 2) {
    const valueLow = lanes[lane]!;
    const valueHigh = lanes[lane + 1]!;
    const borrow = valueLow >>> 0 < previousLow >>> 0 ? 1 : 0;
    const deltaLow = (valueLow - previousLow) | 0;
    const deltaHigh = (valueHigh - previousHigh - borrow) | 0;
    low[i] = deltaLow;
    high[i] = deltaHigh;
    wide |= deltaHigh ^ (deltaLow >> 31);
    if (deltaLow < minimum) minimum = deltaLow;
    previousLow = valueLow;
    previousHigh = valueHigh;
  }
  return wide === 0
    ? writeNarrowBlock(deltas, minimum, bytes, view, at)
    : writeWideBlock(deltas, bytes, view, at);
}

/** All deltas of the block are 32-bit numbers, so their distances from the least fit 32 unsigned bits. */
function writeNarrowBlock(
  deltas: number,
  minimum: number,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): number {
  at = writeZigzag(bytes, at, minimum, minimum >> 31);
  const widths = at;
  at += deltaMiniblocks;
  for (let miniblock = 0; miniblock < deltaMiniblocks; miniblock++) {
    const first = miniblock * miniblockValues;
    const end = Math.min(first + miniblockValues, deltas);
    let used = 0;
    for (let i = first; i < end; i++) {
      const distance = (low[i]! - minimum) | 0;
      low[i] = distance;
      used |= distance;
    }
    for (let i = Math.max(first, end); i < first + miniblockValues; i++) low[i] = 0;
    const width = 32 - Math.clz32(used);
    bytes[widths + miniblock] = width;
    if (width > 0) at = packNarrow(first, width, view, at);
  }
  return at;
}

function packNarrow(first: number, width: number, view: DataView, at: number): number {
  let word = 0;
  let bits = 0;
  for (let i = first; i < first + miniblockValues; i++) {
    const value = low[i]!;
    word |= value << bits;
    bits += width;
    if (bits >= 32) {
      view.setInt32(at, word, true);
      at += 4;
      bits -= 32;
      word = bits === 0 ? 0 : value >>> (width - bits);
    }
  }
  return at;
}

function writeWideBlock(deltas: number, bytes: Uint8Array, view: DataView, at: number): number {
  let minimumLow = low[0]!;
  let minimumHigh = high[0]!;
  for (let i = 1; i < deltas; i++) {
    if (high[i]! > minimumHigh || (high[i] === minimumHigh && low[i]! >>> 0 >= minimumLow >>> 0)) continue;
    minimumLow = low[i]!;
    minimumHigh = high[i]!;
  }
  at = writeZigzag(bytes, at, minimumLow, minimumHigh);
  const widths = at;
  at += deltaMiniblocks;
  for (let miniblock = 0; miniblock < deltaMiniblocks; miniblock++) {
    const first = miniblock * miniblockValues;
    const end = Math.min(first + miniblockValues, deltas);
    let usedLow = 0;
    let usedHigh = 0;
    for (let i = first; i < end; i++) {
      const borrow = low[i]! >>> 0 < minimumLow >>> 0 ? 1 : 0;
      usedLow |= low[i] = (low[i]! - minimumLow) | 0;
      usedHigh |= high[i] = (high[i]! - minimumHigh - borrow) | 0;
    }
    for (let i = Math.max(first, end); i < first + miniblockValues; i++) low[i] = high[i] = 0;
    const width = usedHigh !== 0 ? 64 - Math.clz32(usedHigh) : 32 - Math.clz32(usedLow);
    bytes[widths + miniblock] = width;
    if (width > 32) at = packWide(first, width, view, at);
    else if (width > 0) at = packNarrow(first, width, view, at);
  }
  return at;
}

/** Packs values of 33 to 64 bits: the low half of each, then the rest of its high half. */
function packWide(first: number, width: number, view: DataView, at: number): number {
  const highWidth = width - 32;
  let word = 0;
  let bits = 0;
  for (let i = first; i < first + miniblockValues; i++) {
    const valueLow = low[i]!;
    const valueHigh = high[i]!;
    view.setInt32(at, word | (valueLow << bits), true);
    at += 4;
    word = bits === 0 ? 0 : valueLow >>> (32 - bits);
    word |= valueHigh << bits;
    bits += highWidth;
    if (bits >= 32) {
      view.setInt32(at, word, true);
      at += 4;
      bits -= 32;
      word = bits === 0 ? 0 : valueHigh >>> (highWidth - bits);
    }
  }
  return at;
}

/** Writes a signed 64-bit number, given by its lanes, as a zigzag varint of at most ten bytes. */
function writeZigzag(bytes: Uint8Array, at: number, valueLow: number, valueHigh: number): number {
  const sign = valueHigh >> 31;
  let restLow = (valueLow << 1) ^ sign;
  let restHigh = ((valueHigh << 1) | (valueLow >>> 31)) ^ sign;
  while (restHigh !== 0 || restLow >>> 0 > 0x7f) {
    bytes[at++] = (restLow & 0x7f) | 0x80;
    restLow = (restLow >>> 7) | (restHigh << 25);
    restHigh >>>= 7;
  }
  bytes[at++] = restLow;
  return at;
}
