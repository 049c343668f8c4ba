import { randomBytes } from 'node:crypto';
import type { Random } from '../ports/random.js';

/** Randomness of the machine; `bytes` is fit for secrets and ids. */
export class SystemRandom implements Random {
  next(): number {
    return Math.random();
  }

  bytes(length: number): Uint8Array {
    return new Uint8Array(randomBytes(length));
  }
}
