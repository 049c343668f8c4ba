/**
 * HOT KERNEL. The RLE/bit-packing hybrid of dictionary indices and definition levels: runs of eight or more equal
 * values as (count, value), all else bit-packed in groups of eight. Allocates nothing.
 *
 * Source: https://parquet.apache.org/docs/file-format/data-pages/encodings/#run-length-encoding--bit-packing-hybrid-rle--3
 */
import type { ByteSink } from './byte-sink.js';

/** Bits that every number of [0, maximum] fits in. */
export function bitWidthOf(maximum: number): number {
  return 32 - Math.clz32(maximum);
}

/** Appends values [from, to), each below 2^width, width 1 to 31. */
export function encodeHybrid(
  values: Int32Array | Uint8Array,
  from: number,
  to: number,
  width: number,
  into: ByteSink,
): void {
  // Worst case: every group of eight is its own bit-packed run, five bytes of header each, or a run of eight.
  into.reserve(32 + Math.ceil((to - from) / 8) * (width + 10));
  let at = from;
  while (at < to) {
    const runEnd = endOfRun(values, at, to);
    if (runEnd - at >= 8 || runEnd === to) {
      into.pushVarint((runEnd - at) * 2);
      into.length = writeRunValue(into.bytes, into.length, values[at]!, width);
      at = runEnd;
      continue;
    }
    const literalEnd = endOfLiterals(values, at, to);
    into.pushVarint(Math.ceil((literalEnd - at) / 8) * 2 + 1);
    into.length = packGroups(values, at, literalEnd, width, into.view, into.length);
    at = literalEnd;
  }
}

function endOfRun(values: Int32Array | Uint8Array, start: number, to: number): number {
  const value = values[start];
  let at = start + 1;
  while (at < to && values[at] === value) at++;
  return at;
}

/** Where bit-packing from `start` should stop: before the first whole group of eight equal values, or at `to`. */
function endOfLiterals(values: Int32Array | Uint8Array, start: number, to: number): number {
  let group = start + 8;
  while (group + 8 <= to) {
    const value = values[group];
    let same = 1;
    while (same < 8 && values[group + same] === value) same++;
    if (same === 8) return group;
    group += 8;
  }
  return to;
}

function writeRunValue(bytes: Uint8Array, at: number, value: number, width: number): number {
  for (let bits = 0; bits < width; bits += 8) bytes[at++] = value >>> bits;
  return at;
}

/** Packs [from, to), padded with zeros to a multiple of eight values, hence to whole bytes. */
function packGroups(
  values: Int32Array | Uint8Array,
  from: number,
  to: number,
  width: number,
  view: DataView,
  at: number,
): number {
  const end = at + Math.ceil((to - from) / 8) * width;
  let word = 0;
  let bits = 0;
  for (let i = from; i < to; i++) {
    const value = values[i]!;
    word |= value << bits;
    bits += width;
    if (bits >= 32) {
      view.setInt32(at, word, true);
      at += 4;
      bits -= 32;
      word = bits === 0 ? 0 : value >>> (width - bits);
    }
  }
  while (at < end) {
    view.setUint8(at++, word);
    word >>>= 8;
  }
  return end;
}
