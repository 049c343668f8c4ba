import type { FieldType, StringValues } from '../model/columns.js';

/** A column of a Parquet file as written for a settled table. */
export type ParquetColumnSpec =
  /** Microseconds since the epoch, UTC-adjusted timestamp, required. */
  | { readonly kind: 'time'; readonly name: string; readonly fieldId: number }
  /** Nanoseconds below the microsecond, 0 to 999, INT32, required. */
  | { readonly kind: 'time-ns'; readonly name: string; readonly fieldId: number }
  | { readonly kind: 'tag'; readonly name: string; readonly fieldId: number }
  | { readonly kind: 'field'; readonly name: string; readonly fieldId: number; readonly type: FieldType };

/** Values of a tag over rows: index into the dictionary, -1 where the tag is absent. */
export interface TagCodes {
  readonly codes: Int32Array;
  readonly dictionary: StringValues;
}

/** The rows of one row group, a slice a column, in the order of the file's specs. All have `rowCount` rows. */
export type ParquetColumnData =
  | { readonly kind: 'time'; readonly micros: BigInt64Array }
  | { readonly kind: 'time-ns'; readonly nanos: Int32Array }
  | { readonly kind: 'tag'; readonly tags: TagCodes }
  | {
      readonly kind: 'field';
      readonly type: 'double';
      readonly values: Float64Array;
      readonly validity: Uint8Array | null;
    }
  | {
      readonly kind: 'field';
      readonly type: 'bigint';
      readonly values: BigInt64Array;
      readonly validity: Uint8Array | null;
    }
  | {
      readonly kind: 'field';
      readonly type: 'ubigint';
      readonly values: BigUint64Array;
      readonly validity: Uint8Array | null;
    }
  | {
      readonly kind: 'field';
      readonly type: 'boolean';
      readonly values: Uint8Array;
      readonly validity: Uint8Array | null;
    }
  | {
      readonly kind: 'field';
      readonly type: 'string';
      readonly values: StringValues;
      readonly validity: Uint8Array | null;
    };

/** Statistics of one column over the whole file. Bounds are Iceberg single-value bytes (see the table spec, appendix D). */
export interface ColumnStatistics {
  readonly fieldId: number;
  readonly compressedBytes: number;
  /** Rows, those where the column is null or NaN among them. */
  readonly valueCount: number;
  readonly nullCount: number;
  /** NaN values, for doubles only. */
  readonly nanCount: number | null;
  /** Null when the column has no bound: all null, or only NaN. */
  readonly lower: Uint8Array | null;
  readonly upper: Uint8Array | null;
}

/** A finished Parquet file. */
export interface ParquetFile {
  readonly bytes: Uint8Array;
  readonly rowCount: number;
  readonly columns: readonly ColumnStatistics[];
  /** Byte offsets at which row groups start: Iceberg's split_offsets. */
  readonly rowGroupOffsets: readonly number[];
}
