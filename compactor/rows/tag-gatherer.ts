import { packStrings, type StringValues, stringBytes } from '../../core/model/columns.js';
import type { TagCodes } from '../../core/parquet/types.js';
import type { BlockTag } from './row-block.js';

/** Marks a code of a source's dictionary that has not come up yet. */
const missing = -2;

/** Gathers one tag over the rows of a row group: every source's codes become codes of one dictionary. Hot. */
export class TagGatherer {
  readonly #codes: Int32Array;
  #byText = new Map<string, number>();
  #entries: Uint8Array[] = [];
  #recodes = new Map<StringValues, Int32Array>();

  constructor(rowsMax: number) {
    this.#codes = new Int32Array(rowsMax);
  }

  /** Rows [from, to) of a source go to rows from `at`; a source without the tag has it nowhere. */
  append(tags: BlockTag | null, from: number, to: number, at: number): void {
    const codes = this.#codes;
    if (tags === null) {
      codes.fill(-1, at, at + to - from);
      return;
    }
    const source = tags.codes;
    const recode = this.#recodeOf(tags.dictionary);
    for (let row = from; row < to; row++) {
      const code = source[row] as number;
      if (code < 0) {
        codes[at++] = -1;
        continue;
      }
      let known = recode[code] as number;
      if (known === missing) {
        known = this.#codeOf(tags.dictionary, code);
        recode[code] = known;
      }
      codes[at++] = known;
    }
  }

  gathered(rows: number): TagCodes {
    return { codes: this.#codes.subarray(0, rows), dictionary: packStrings(this.#entries) };
  }

  clear(): void {
    this.#byText = new Map();
    this.#entries = [];
    this.#recodes = new Map();
  }

  #recodeOf(dictionary: StringValues): Int32Array {
    let recode = this.#recodes.get(dictionary);
    if (recode === undefined) {
      recode = new Int32Array(dictionary.offsets.length - 1).fill(missing);
      this.#recodes.set(dictionary, recode);
    }
    return recode;
  }

  #codeOf(dictionary: StringValues, code: number): number {
    const bytes = stringBytes(dictionary, code);
    // One character a byte: equal bytes are equal text, whether they are valid UTF-8 or not.
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    let known = this.#byText.get(text);
    if (known === undefined) {
      known = this.#entries.length;
      this.#entries.push(bytes);
      this.#byText.set(text, known);
    }
    return known;
  }
}
