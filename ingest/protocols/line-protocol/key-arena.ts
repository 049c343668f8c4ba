import { lastWordMask, readSlackBytes } from './bytes.js';

/**
 * Byte strings back to back with dense ids and a hash index: open addressing, linear probing, at most half full.
 * Words are compared four bytes at a time, the last one masked. Part of the decoder's hot loop.
 */
export class KeyArena {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  #used = 0;
  #offsets = new Int32Array(1024);
  #lengths = new Int32Array(1024);
  #hashes = new Int32Array(1024);
  /** Ids by hash slot, -1 where empty. */
  #slots = new Int32Array(4096).fill(-1);
  #slotMask = 4095;
  count = 0;

  /** Bytes held, index included. */
  get bytes(): number {
    return this.#bytes.length + this.#slots.length * 4 + this.#offsets.length * 12;
  }

  lengthOf(id: number): number {
    return this.#lengths[id] as number;
  }

  copy(id: number, into: Uint8Array, at: number): number {
    const offset = this.#offsets[id] as number;
    const end = offset + (this.#lengths[id] as number);
    into.set(this.#bytes.subarray(offset, end), at);
    return at + end - offset;
  }

  /** True when the key's bytes stand at `start`; reads up to three bytes beyond its length. */
  equals(id: number, view: DataView, start: number): boolean {
    const length = this.#lengths[id] as number;
    const offset = this.#offsets[id] as number;
    const own = this.#view;
    const words = length & ~3;
    for (let at = 0; at < words; at += 4) {
      if (view.getInt32(start + at, true) !== own.getInt32(offset + at, true)) return false;
    }
    if (words === length) return true;
    const difference = view.getInt32(start + words, true) ^ own.getInt32(offset + words, true);
    return (difference & lastWordMask(length)) === 0;
  }

  /** The id of the key of `length` bytes at `start`, or -1. */
  find(view: DataView, start: number, length: number, hash: number): number {
    return this.#probe(hash & this.#slotMask, view, start, length, hash);
  }

  /** The next id with the same bytes after `id`, or -1, for callers that tell equal keys apart. */
  findNext(id: number, view: DataView, start: number, length: number, hash: number): number {
    let slot = hash & this.#slotMask;
    while (this.#slots[slot] !== id) slot = (slot + 1) & this.#slotMask;
    return this.#probe((slot + 1) & this.#slotMask, view, start, length, hash);
  }

  /** Adds a key that is not there yet; returns its id. */
  add(view: DataView, start: number, length: number, hash: number): number {
    const id = this.count++;
    if (id === this.#offsets.length) this.#growIndex();
    const padded = (length + readSlackBytes) & ~3;
    if (this.#used + padded > this.#bytes.length) this.#growBytes(this.#used + padded);
    this.#bytes.set(new Uint8Array(view.buffer, view.byteOffset + start, length), this.#used);
    this.#offsets[id] = this.#used;
    this.#lengths[id] = length;
    this.#hashes[id] = hash;
    this.#used += padded;
    this.#place(id, hash);
    return id;
  }

  #probe(first: number, view: DataView, start: number, length: number, hash: number): number {
    for (let slot = first; ; slot = (slot + 1) & this.#slotMask) {
      const id = this.#slots[slot] as number;
      if (id < 0) return -1;
      if (this.#hashes[id] === hash && this.#lengths[id] === length && this.equals(id, view, start))
        return id;
    }
  }

  #place(id: number, hash: number): void {
    let slot = hash & this.#slotMask;
    while ((this.#slots[slot] as number) >= 0) slot = (slot + 1) & this.#slotMask;
    this.#slots[slot] = id;
  }

  #growIndex(): void {
    const capacity = this.#offsets.length * 2;
    this.#offsets = resized(this.#offsets, capacity);
    this.#lengths = resized(this.#lengths, capacity);
    this.#hashes = resized(this.#hashes, capacity);
    this.#slots = new Int32Array(capacity * 4).fill(-1);
    this.#slotMask = this.#slots.length - 1;
    for (let id = 0; id < this.count - 1; id++) this.#place(id, this.#hashes[id] as number);
  }

  #growBytes(needed: number): void {
    const bytes = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    bytes.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

function resized(from: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(length);
  to.set(from);
  return to;
}
