import { isUtf8 } from 'node:buffer';
import { VarveError } from '../std/errors.js';

/** Rounds up to the next multiple of 8, past 2^31 too. */
export function align8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/**
 * Reads one encoding front to back, little-endian, and refuses to step past its end. Every failure is `corrupt` and
 * names what was read, the offset, what was got and what was wanted.
 */
export class ByteCursor {
  readonly #subject: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;

  constructor(subject: string, bytes: Uint8Array, at = 0) {
    this.#subject = subject;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
  }

  /** Offset in the encoding of what is read next. */
  get at(): number {
    return this.#at;
  }

  /** The memory under the encoding, and where in it the encoding begins: for views of columns. */
  get buffer(): ArrayBufferLike {
    return this.#bytes.buffer;
  }

  get base(): number {
    return this.#bytes.byteOffset;
  }

  fail(offset: number, problem: string): never {
    throw new VarveError(
      'corrupt',
      `decoding ${this.#subject} of ${this.#bytes.length} bytes: at offset ${offset} ${problem}`,
    );
  }

  /** Steps over `length` bytes and tells where they begin. */
  take(length: number, what: string): number {
    const start = this.#at;
    const rest = this.#bytes.length - start;
    if (length > rest) this.fail(start, `${what} takes ${length} bytes; got ${rest}`);
    this.#at = start + length;
    return start;
  }

  u8(what: string): number {
    return this.#view.getUint8(this.take(1, what));
  }

  u16(what: string): number {
    return this.#view.getUint16(this.take(2, what), true);
  }

  u32(what: string): number {
    return this.#view.getUint32(this.take(4, what), true);
  }

  u64(what: string): bigint {
    return this.#view.getBigUint64(this.take(8, what), true);
  }

  /** A 64-bit count that must be exact as a number. */
  safeInteger(what: string): number {
    const start = this.#at;
    const value = this.u64(what);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      this.fail(start, `got ${what} ${value}; want at most 2^53 - 1`);
    }
    return Number(value);
  }

  /** A view of the next bytes. */
  view(length: number, what: string): Uint8Array {
    const start = this.take(length, what);
    return this.#bytes.subarray(start, start + length);
  }

  text(length: number, what: string): string {
    const start = this.#at;
    const bytes = this.view(length, what);
    if (!isUtf8(bytes)) this.fail(start, `${what} is not valid UTF-8`);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  }

  /** Steps to the next multiple of 8; what is skipped must be zeros. */
  align(what: string): void {
    const start = this.#at;
    const padding = this.view(align8(start) - start, `padding after ${what}`);
    if (padding.some((byte) => byte !== 0)) this.fail(start, `padding after ${what} is not zeros`);
  }

  end(what: string): void {
    if (this.#at !== this.#bytes.length) {
      this.fail(this.#at, `got ${this.#bytes.length - this.#at} bytes after ${what}; want none`);
    }
  }
}
