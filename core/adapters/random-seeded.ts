import type { Random } from '../ports/random.js';

/**
 * Repeatable randomness: Chris Doty-Humphrey's sfc32 (PractRand), its state filled from the seed by splitmix32.
 * Not fit for secrets.
 */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed any integer; its low 32 bits count */
  constructor(seed: number) {
    let state = seed | 0;
    const fill = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = state ^ (state >>> 16);
      mixed = Math.imul(mixed, 0x21f0aaad);
      mixed ^= mixed >>> 15;
      mixed = Math.imul(mixed, 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.#a = fill();
    this.#b = fill();
    this.#c = fill();
    for (let round = 0; round < 12; round++) this.#nextUint32();
  }

  next(): number {
    const high = this.#nextUint32() >>> 6;
    const low = this.#nextUint32() >>> 5;
    return (high * 2 ** 27 + low) / 2 ** 53;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let word = 0;
    for (let i = 0; i < length; i++) {
      if (i % 4 === 0) word = this.#nextUint32();
      bytes[i] = word >>> ((i % 4) * 8);
    }
    return bytes;
  }

  #nextUint32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}
