/**
 * Reads Avro's binary form step by step, never past the end. Hot: manifests of thousands of files are read with it.
 * Throws RangeError when the bytes end too early or a number does not fit.
 */
export class AvroCursor {
  readonly bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    // A Buffer's slices would be Buffers, which compare unlike plain arrays and are slower to make.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
  }

  /** Offset of the next byte. */
  get at(): number {
    return this.#at;
  }

  /** An int or a long of up to 53 bits, the sign included. */
  long(): number {
    let low = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#byte();
      low += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
    }
    if (low > Number.MAX_SAFE_INTEGER) throw new RangeError('got a long of more than 53 bits');
    // Zigzag: even numbers stand for 0, 1, 2 …, odd ones for -1, -2 …
    return low % 2 === 0 ? low / 2 : -(low + 1) / 2;
  }

  /** A long of up to 64 bits. */
  exactLong(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n));
    }
    throw new RangeError('got a long of more than 10 bytes');
  }

  /** Passes over an int or long. */
  skipLong(): void {
    while (this.#byte() >= 0x80);
  }

  /** Bytes or the bytes of a string: a view, not a copy. */
  slice(): Uint8Array {
    const length = this.long();
    const start = this.#at;
    this.#move(length);
    return this.bytes.subarray(start, this.#at);
  }

  /** Passes over bytes or a string. */
  skipSlice(): void {
    this.#move(this.long());
  }

  text(): string {
    const { buffer, byteOffset, byteLength } = this.slice();
    return Buffer.from(buffer, byteOffset, byteLength).toString('utf8');
  }

  /** Of a union ['null', type]: true when a value follows. */
  present(): boolean {
    const branch = this.long();
    if (branch !== 0 && branch !== 1) throw new RangeError(`got branch ${branch} of a union; want 0 or 1`);
    return branch === 1;
  }

  /** Calls `item` for each item of an array. */
  items(item: () => void): void {
    for (;;) {
      let count = this.long();
      if (count === 0) return;
      if (count < 0) {
        count = -count;
        this.skipLong();
      }
      for (let index = 0; index < count; index++) item();
    }
  }

  #byte(): number {
    const byte = this.bytes[this.#at++];
    if (byte === undefined) throw new RangeError(`got a file that is cut off at byte ${this.#at - 1}`);
    return byte;
  }

  #move(length: number): void {
    if (length < 0 || this.#at + length > this.bytes.length) {
      throw new RangeError(
        `got ${length} bytes at byte ${this.#at}; want at most ${this.bytes.length - this.#at}`,
      );
    }
    this.#at += length;
  }
}
