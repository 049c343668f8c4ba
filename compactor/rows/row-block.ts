import type { NarrowIntegers } from '../../core/codec/narrow-integers.js';
import type { StringValues } from '../../core/model/columns.js';
import type { ParquetColumnData } from '../../core/parquet/types.js';

/** The values of one field over the rows of a block. */
export type FieldValues = Extract<ParquetColumnData, { kind: 'field' }>;

/** Whole numbers of a field in fewer bytes than the field's own: doubles of the same value, or integers to be sign-extended. */
export interface NarrowValues {
  readonly kind: 'narrow';
  readonly type: 'double' | 'bigint' | 'ubigint';
  readonly narrow: NarrowIntegers;
  readonly validity: Uint8Array | null;
}

/** Values of a tag over the rows of a block: index into the dictionary, -1 where the tag is absent. */
export interface BlockTag {
  readonly codes: NarrowIntegers;
  readonly dictionary: StringValues;
}

/**
 * A piece of a sorted stream of rows, column by column: what a hot scan or a settled file is read as. Rows are in
 * order of (tags by name, absent first, values by UTF-8 bytes; then time), and a (series, time) comes once. Whoever
 * makes a block never changes it afterwards.
 */
export interface RowBlock {
  readonly rowCount: number;
  /** Microseconds since the epoch. */
  readonly micros: BigInt64Array;
  /** Nanoseconds below the microsecond, 0 to 999; null when all are 0. */
  readonly nanos: Int32Array | null;
  /** In the order of RowLayout.tags; null where the source lacks the column. Dictionaries hold no value twice. */
  readonly tags: readonly (BlockTag | null)[];
  /** In the order of RowLayout.fields; null where the source lacks the column. */
  readonly fields: readonly (FieldValues | NarrowValues | null)[];
}
