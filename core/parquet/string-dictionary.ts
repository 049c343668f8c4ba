/**
 * HOT KERNEL. Finds the distinct strings of a column, and cuts the dictionary of a tag down to the entries that a
 * row group uses.
 */
import type { StringValues } from '../model/columns.js';
import { AssertionError } from '../std/assert.js';
import type { TagCodes } from './types.js';

/** Distinct strings in order of first appearance: entry i is string `entries[i]` of the source. */
export interface StringDictionary {
  readonly entries: Int32Array;
  /** Index into `entries`, by present row. */
  readonly indices: Int32Array;
}

/** One byte a row: 1 where the tag is present; null when it is at every row. */
export function tagValidity(codes: Int32Array): Uint8Array | null {
  let absent = 0;
  for (let row = 0; row < codes.length; row++) absent |= codes[row]!;
  if (absent >= 0) return null;
  const validity = new Uint8Array(codes.length);
  for (let row = 0; row < codes.length; row++) validity[row] = codes[row]! < 0 ? 0 : 1;
  return validity;
}

/** The entries that the present rows of a tag use. Never more than the tag's own dictionary has. */
export function usedTags(tags: TagCodes, present: number): StringDictionary {
  const { codes, dictionary } = tags;
  const places = new Int32Array(dictionary.offsets.length - 1).fill(-1);
  const entries = new Int32Array(Math.min(dictionary.offsets.length - 1, present));
  const indices = new Int32Array(present);
  let count = 0;
  let at = 0;
  for (let row = 0; row < codes.length; row++) {
    const code = codes[row]!;
    if (code < 0) continue;
    let place = places[code];
    if (place === undefined) throw new AssertionError(`got tag code ${code}; want below ${places.length}`);
    if (place < 0) {
      place = count;
      places[code] = count;
      entries[count++] = code;
    }
    indices[at++] = place;
  }
  return { entries: entries.subarray(0, count), indices };
}

/**
 * The dictionary of the given rows of a string column, or null as soon as it has more than `countMax` entries
 * or more than `bytesMax` bytes as a page.
 */
export function buildStringDictionary(
  values: StringValues,
  rows: Int32Array,
  limits: { readonly countMax: number; readonly bytesMax: number },
): StringDictionary | null {
  const { offsets, bytes } = values;
  const indices = new Int32Array(rows.length);
  let entries = new Int32Array(1024);
  let hashes = new Int32Array(1024);
  let slots = new Int32Array(2048).fill(-1);
  let mask = 2047;
  let count = 0;
  let size = 0;
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at]!;
    const start = offsets[row]!;
    const end = offsets[row + 1]!;
    const hash = hashBytes(bytes, start, end);
    let slot = hash & mask;
    let index = slots[slot]!;
    while (index >= 0 && (hashes[index] !== hash || !sameBytes(values, entries[index]!, start, end))) {
      slot = (slot + 1) & mask;
      index = slots[slot]!;
    }
    if (index < 0) {
      size += 4 + end - start;
      if (count === limits.countMax || size > limits.bytesMax) return null;
      index = count++;
      slots[slot] = index;
      entries[index] = row;
      hashes[index] = hash;
      if (count * 2 > mask) {
        entries = doubled(entries);
        hashes = doubled(hashes);
        mask = mask * 2 + 1;
        slots = rehash(hashes, count, mask);
      }
    }
    indices[at] = index;
  }
  return { entries: entries.subarray(0, count), indices };
}

function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  return hash ^ (hash >>> 15);
}

function sameBytes(values: StringValues, entry: number, start: number, end: number): boolean {
  const { offsets, bytes } = values;
  let other = offsets[entry]!;
  if (offsets[entry + 1]! - other !== end - start) return false;
  for (let at = start; at < end; at++, other++) if (bytes[at] !== bytes[other]) return false;
  return true;
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2);
  grown.set(array);
  return grown;
}

function rehash(hashes: Int32Array, count: number, mask: number): Int32Array<ArrayBuffer> {
  const slots = new Int32Array(mask + 1).fill(-1);
  for (let index = 0; index < count; index++) {
    let slot = hashes[index]! & mask;
    while (slots[slot]! >= 0) slot = (slot + 1) & mask;
    slots[slot] = index;
  }
  return slots;
}
