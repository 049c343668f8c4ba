import { carriageReturn, newline, previewText } from './bytes.js';

/** A line that was not accepted. */
export interface RejectedLine {
  /** 1-based, counting newlines as an editor does. */
  readonly lineNumber: number;
  /** The first 256 characters of the line. */
  readonly line: string;
  readonly message: string;
}

const lineCharactersMax = 256;

/** Keeps the first rejected lines of a request and counts the others, so that a bad request stays small in memory. */
export class Rejections {
  readonly #detailsMax: number;
  readonly lines: RejectedLine[] = [];
  count = 0;

  constructor(detailsMax: number) {
    this.#detailsMax = detailsMax;
  }

  /** Adds the line in bytes [start, end), its line ending included or not. */
  add(lineNumber: number, bytes: Uint8Array, start: number, end: number, message: string): void {
    this.count++;
    if (this.lines.length >= this.#detailsMax) return;
    let last = end;
    if (last > start && bytes[last - 1] === newline) last--;
    if (last > start && bytes[last - 1] === carriageReturn) last--;
    this.lines.push({ lineNumber, line: previewText(bytes, start, last, lineCharactersMax), message });
  }
}
