import { backslash, equals, newline, quote, space } from './bytes.js';

type Section = 'key' | 'fields' | 'string';

/**
 * Finds where a line ends, whether or not it is well formed: at the first newline that is not inside a quoted
 * string. A string begins with a quote directly after an unescaped `=` in the field section. The search can go on
 * over several pieces of input, so that a line longer than any buffer can be skipped.
 */
export class LineEndFinder {
  #section: Section = 'key';
  /** True when the byte before was a backslash that escapes what comes. */
  #escaping = false;
  /** True when the byte before was an unescaped `=` of the field section. */
  #assigning = false;
  /** Newlines seen so far, the one that ends the line included. */
  newlines = 0;

  reset(): void {
    this.#section = 'key';
    this.#escaping = false;
    this.#assigning = false;
    this.newlines = 0;
  }

  /** The position after the line's newline in bytes [start, end), or -1 when the line goes on. */
  find(bytes: Uint8Array, start: number, end: number): number {
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number;
      if (byte === newline) this.newlines++;
      if (this.#section === 'string') {
        if (byte === quote && !this.#escaping) this.#section = 'fields';
        // A pair of backslashes is done with: the second one escapes nothing.
        this.#escaping = byte === backslash && !this.#escaping;
        continue;
      }
      if (byte === newline) return at + 1;
      if (this.#section === 'key') {
        if (byte === space && !this.#escaping) this.#section = 'fields';
      } else if (byte === quote && this.#assigning) {
        this.#section = 'string';
        this.#escaping = false;
        this.#assigning = false;
        continue;
      } else {
        this.#assigning = byte === equals && !this.#escaping;
      }
      this.#escaping = byte === backslash;
    }
    return -1;
  }
}
