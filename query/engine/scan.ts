import duckdb from '@duckdb/node-bindings';
import type { NarrowIntegers } from '../../core/codec/narrow-integers.js';
import type { HotColumnType } from './query-engine.js';

/** A value that the engine holds for us. */
export type EngineValue = ReturnType<typeof duckdb.create_varchar>;

/** Types of a scan's columns: `time` in nanoseconds or microseconds, what a file keeps below the microsecond, or a column. */
export type ScanColumnType = HotColumnType | 'time-ns' | 'time-us' | 'nanos';

/** Distinct values of a tag, in the forms that filling a vector takes. */
export interface TagDictionary {
  /** For constant vectors; the last one is null. */
  readonly constants: readonly EngineValue[];
  /** Four words a value: the engine's 16-byte string where it fits inline, else only the length is of use. */
  readonly inlineWords: Int32Array;
  /** UTF-8 of the values too long to stand inline, null for the others. */
  readonly longBytes: readonly (Uint8Array | null)[];
}

/** One column over the rows of a batch. `validity` is an Arrow bitmap with the bit of row 0 at `validityOffset`. */
export type BatchColumn =
  | { readonly kind: 'absent' }
  | {
      readonly kind: 'fixed';
      readonly bytes: Uint8Array;
      readonly width: 1 | 4 | 8;
      readonly validity: Uint8Array | null;
      readonly validityOffset: number;
    }
  /** Whole numbers that stand for doubles or 64-bit integers, in fewer bytes than these. */
  | {
      readonly kind: 'narrow';
      readonly type: 'double' | 'bigint' | 'ubigint';
      readonly values: NarrowIntegers;
      readonly validity: Uint8Array | null;
      readonly validityOffset: number;
    }
  | {
      readonly kind: 'string';
      readonly offsets: Int32Array;
      readonly bytes: Uint8Array;
      readonly validity: Uint8Array | null;
      readonly validityOffset: number;
    }
  /** Codes index the dictionary; the null of a tag is its last constant. */
  | { readonly kind: 'tag'; readonly codes: NarrowIntegers; readonly dictionary: TagDictionary };

/** Some rows of a scan, at least one: the columns that were wanted, in that order; undefined for one that nothing reads. */
export interface ScanBatch {
  readonly rowCount: number;
  readonly columns: readonly (BatchColumn | undefined)[];
}

/** Rows that the table function serves. */
export interface EngineScan {
  readonly columns: readonly { readonly name: string; readonly type: ScanColumnType }[];
  /** How many rows come, at most. */
  readonly rowCount: number;
  /** Gives the rows in the columns of these indices; an index past the columns stands for one that nothing reads. */
  open(wanted: readonly number[]): Iterator<ScanBatch, void>;
}

const inlineBytesMax = 12;

/** Makes the dictionary of a tag's distinct values. */
export function tagDictionary(values: readonly string[]): TagDictionary {
  const inline = new Uint8Array(values.length * 16);
  const inlineWords = new Int32Array(inline.buffer);
  const encoder = new TextEncoder();
  const longBytes = values.map((value, index) => {
    const bytes = encoder.encode(value);
    inlineWords[index * 4] = bytes.length;
    if (bytes.length > inlineBytesMax) return bytes;
    inline.set(bytes, index * 16 + 4);
    return null;
  });
  const constants = values.map((value) => duckdb.create_varchar(value));
  return { constants: [...constants, duckdb.create_null_value()], inlineWords, longBytes };
}
