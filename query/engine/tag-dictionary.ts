import duckdb from '@duckdb/node-bindings';
import { packStrings, type StringValues } from '../../core/model/columns.js';

/** A value that the engine holds for us. */
type EngineValue = ReturnType<typeof duckdb.create_varchar>;

const inlineBytesMax = 12;

/** Distinct values of a tag, in the forms that filling a vector takes. Hot: nothing is made of a value before it is used. */
export class TagDictionary {
  /** The code of rows without the tag: one past the values. */
  readonly nullCode: number;
  /** Four words a value: the engine's 16-byte string where it fits inline, else only the length is of use. */
  readonly inlineWords: Int32Array;
  readonly #values: StringValues;
  readonly #constants: (EngineValue | undefined)[] = [];

  /** @param values UTF-8, by code */
  constructor(values: StringValues) {
    const { offsets, bytes } = values;
    this.#values = values;
    this.nullCode = offsets.length - 1;
    const inline = new Uint8Array(this.nullCode * 16);
    this.inlineWords = new Int32Array(inline.buffer);
    for (let code = 0; code < this.nullCode; code++) {
      const from = offsets[code]!;
      const length = offsets[code + 1]! - from;
      this.inlineWords[code * 4] = length;
      if (length > inlineBytesMax) continue;
      for (let at = 0; at < length; at++) inline[code * 16 + 4 + at] = bytes[from + at]!;
    }
  }

  static of(values: readonly string[]): TagDictionary {
    return new TagDictionary(packStrings(values.map((value) => Buffer.from(value, 'utf8'))));
  }

  /** The value of a code, for constant vectors. */
  constant(code: number): EngineValue {
    let constant = this.#constants[code];
    if (constant === undefined) {
      constant =
        code === this.nullCode
          ? duckdb.create_null_value()
          : duckdb.create_varchar(Buffer.from(this.#bytesOf(code)).toString('utf8'));
      this.#constants[code] = constant;
    }
    return constant;
  }

  /** UTF-8 of a value too long to stand inline, null for any other and for the lack of one. */
  longBytes(code: number): Uint8Array | null {
    if (code >= this.nullCode || this.inlineWords[code * 4]! <= inlineBytesMax) return null;
    return this.#bytesOf(code);
  }

  #bytesOf(code: number): Uint8Array {
    const { offsets, bytes } = this.#values;
    return bytes.subarray(offsets[code], offsets[code + 1]);
  }
}
