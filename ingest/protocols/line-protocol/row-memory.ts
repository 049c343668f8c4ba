import { VarveError } from '../../../core/std/errors.js';
import { formatSizeBytes } from '../../../core/std/units.js';

type Scratch = Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/**
 * Arrays that are used again from request to request, so that decoding does not feed the garbage collector. A
 * request takes arrays through a RowMemory, which also bounds what one request may take: columns are dense, so a
 * request of few bytes but many rows and columns would otherwise need far more memory than it has bytes.
 */
export class ScratchPool {
  readonly #bytesMax: number;
  /** Free buffers by the power of two of their size. */
  readonly #free: ArrayBuffer[][] = Array.from({ length: 48 }, () => []);
  #bytes = 0;

  /** `bytesMax` bounds what is kept while no request uses it. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** A buffer of at least `bytes` bytes, a power of two, with arbitrary content. */
  take(bytes: number): ArrayBuffer {
    const power = powerOf(bytes);
    const buffer = this.#free[power]?.pop();
    if (buffer === undefined) return new ArrayBuffer(2 ** power);
    this.#bytes -= buffer.byteLength;
    return buffer;
  }

  giveBack(buffer: ArrayBuffer): void {
    if (this.#bytes + buffer.byteLength > this.#bytesMax) return;
    this.#free[powerOf(buffer.byteLength)]?.push(buffer);
    this.#bytes += buffer.byteLength;
  }
}

/** The arrays of one request. */
export class RowMemory {
  readonly #pool: ScratchPool;
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(pool: ScratchPool, bytesMax: number) {
    this.#pool = pool;
    this.#bytesMax = bytesMax;
  }

  /** An array of at least `length` with the content of `from`, which is given back. */
  doubles(from: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
    const to = new Float64Array(this.#take(length * 8));
    to.set(from);
    this.giveBack(from);
    return to;
  }

  words(from: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
    const to = new Int32Array(this.#take(length * 4));
    to.set(from);
    this.giveBack(from);
    return to;
  }

  bytes(from: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
    const to = new Uint8Array(this.#take(length));
    to.set(from);
    this.giveBack(from);
    return to;
  }

  giveBack(array: Scratch): void {
    if (array.length === 0) return;
    this.#bytes -= array.buffer.byteLength;
    this.#pool.giveBack(array.buffer);
  }

  /** Counts arrays that the caller makes itself; `too-large` past the limit. */
  charge(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax) {
      throw new VarveError(
        'too-large',
        `got a request whose rows take more than ${formatSizeBytes(this.#bytesMax)} in memory as columns; send it in smaller parts`,
      );
    }
    this.#bytes += bytes;
  }

  #take(bytes: number): ArrayBuffer {
    const size = 2 ** powerOf(bytes);
    this.charge(size);
    return this.#pool.take(size);
  }
}

function powerOf(bytes: number): number {
  return bytes <= 64 ? 6 : 32 - Math.clz32(bytes - 1);
}
