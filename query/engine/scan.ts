import type { NarrowIntegers } from '../../core/codec/narrow-integers.js';
import type { HotColumnType } from './query-engine.js';
import type { TagDictionary } from './tag-dictionary.js';

/** Types of a scan's columns: `time` in nanoseconds or microseconds, what a file keeps below the microsecond, or a column. */
export type ScanColumnType = HotColumnType | 'time-ns' | 'time-us' | 'nanos';

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
  /** Codes index the dictionary; one past its values is the lack of the tag. */
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
