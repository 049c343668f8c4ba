import type { StringValues } from '../../core/model/columns.js';
import { grow } from './growing-array.js';

/** Up to so many strings are found by comparing all of them: most tables have few series, and a table of slots costs more. */
const linearCountMax = 8;
const initialEntries = 4;
const initialArenaBytes = 32;

/**
 * Distinct byte strings, numbered in the order they came. Strings lie back to back in an arena and are found by a
 * hash table with open addressing; nothing is allocated for a string that is known.
 */
export class ByteDictionary {
  /** Two numbers an entry: where its bytes end in the arena, and its hash. */
  #entries = new Uint32Array(initialEntries * 2);
  #arena = new Uint8Array(initialArenaBytes);
  /** Entry + 1 by hash; 0 where free. A power of two long, at most half full; empty while few strings are in. */
  #slots = new Int32Array(0);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Bytes that the arrays hold. */
  get bytes(): number {
    return this.#entries.byteLength + this.#arena.byteLength + this.#slots.byteLength;
  }

  /** The number of the string source[from, to); `count` before the call when it is new. */
  intern(source: Uint8Array, from: number, to: number): number {
    const hash = hashBytes(source, from, to);
    const known = this.#lookUp(source, from, to, hash);
    return known >= 0 ? known : this.#add(source, from, to, hash);
  }

  /** The number of the string, or -1. */
  find(source: Uint8Array): number {
    return this.#lookUp(source, 0, source.length, hashBytes(source, 0, source.length));
  }

  /** Bytes of a string. */
  lengthOf(index: number): number {
    return this.#end(index) - this.#start(index);
  }

  /** Orders two strings of the dictionary by their bytes from `depth` on; what is before must be equal. */
  compare(left: number, right: number, depth = 0): number {
    const arena = this.#arena;
    const leftEnd = this.#end(left);
    const rightEnd = this.#end(right);
    let leftAt = this.#start(left) + depth;
    let rightAt = this.#start(right) + depth;
    for (; leftAt < leftEnd && rightAt < rightEnd; leftAt++, rightAt++) {
      const difference = arena[leftAt]! - arena[rightAt]!;
      if (difference !== 0) return difference;
    }
    return leftEnd - leftAt - (rightEnd - rightAt);
  }

  /** Four bytes of a string from `depth` on as a big-endian number; zeros after its end. */
  wordAt(index: number, depth: number): number {
    const arena = this.#arena;
    const end = this.#end(index);
    let at = this.#start(index) + depth;
    let word = 0;
    for (let shift = 24; shift >= 0 && at < end; shift -= 8, at++) word |= arena[at]! << shift;
    return word >>> 0;
  }

  /** The strings of the given numbers, back to back in that order. */
  pack(indexes: Int32Array): StringValues {
    const offsets = new Int32Array(indexes.length + 1);
    for (let at = 0; at < indexes.length; at++) offsets[at + 1] = offsets[at]! + this.lengthOf(indexes[at]!);
    const bytes = new Uint8Array(offsets[indexes.length]!);
    for (let at = 0; at < indexes.length; at++) {
      const start = this.#start(indexes[at]!);
      const first = offsets[at]!;
      const length = offsets[at + 1]! - first;
      for (let byte = 0; byte < length; byte++) bytes[first + byte] = this.#arena[start + byte]!;
    }
    return { offsets, bytes };
  }

  #start(index: number): number {
    return index === 0 ? 0 : this.#entries[index * 2 - 2]!;
  }

  #end(index: number): number {
    return this.#entries[index * 2]!;
  }

  #lookUp(source: Uint8Array, from: number, to: number, hash: number): number {
    if (this.#slots.length === 0) {
      for (let index = 0; index < this.#count; index++) {
        if (this.#matches(index, source, from, to, hash)) return index;
      }
      return -1;
    }
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const index = this.#slots[slot]! - 1;
      if (index < 0 || this.#matches(index, source, from, to, hash)) return index;
    }
  }

  #matches(index: number, source: Uint8Array, from: number, to: number, hash: number): boolean {
    if (this.#entries[index * 2 + 1] !== hash) return false;
    const start = this.#start(index);
    if (this.#end(index) - start !== to - from) return false;
    const arena = this.#arena;
    for (let at = from, other = start; at < to; at++, other++) {
      if (source[at] !== arena[other]) return false;
    }
    return true;
  }

  #add(source: Uint8Array, from: number, to: number, hash: number): number {
    const index = this.#count;
    const start = this.#start(index);
    const end = start + to - from;
    if (end > this.#arena.length) this.#arena = grow(this.#arena, end);
    if (index * 2 === this.#entries.length) this.#entries = grow(this.#entries, index * 2 + 2);
    this.#arena.set(source.subarray(from, to), start);
    this.#entries[index * 2] = end;
    this.#entries[index * 2 + 1] = hash;
    this.#count += 1;
    if (this.#count > linearCountMax) this.#place(index, hash);
    return index;
  }

  #place(index: number, hash: number): void {
    if (this.#count * 2 > this.#slots.length) {
      this.#slots = new Int32Array(Math.max(64, this.#slots.length * 2));
      for (let each = 0; each < this.#count; each++) this.#occupy(each, this.#entries[each * 2 + 1]!);
      return;
    }
    this.#occupy(index, hash);
  }

  #occupy(index: number, hash: number): void {
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = index + 1;
  }
}

/** MurmurHash3's mixing over 32-bit words, as an unsigned number. Hot loop. */
function hashBytes(source: Uint8Array, from: number, to: number): number {
  let hash = to - from;
  let at = from;
  for (const words = to - 3; at < words; at += 4) {
    const word = source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24);
    hash = mix(hash, word);
  }
  let rest = 0;
  for (let shift = 0; at < to; at++, shift += 8) rest |= source[at]! << shift;
  hash = mix(hash, rest);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mix(hash: number, word: number): number {
  word = Math.imul(word, 0xcc9e2d51);
  word = (word << 15) | (word >>> 17);
  hash ^= Math.imul(word, 0x1b873593);
  hash = (hash << 13) | (hash >>> 19);
  return (Math.imul(hash, 5) + 0xe6546b64) | 0;
}
