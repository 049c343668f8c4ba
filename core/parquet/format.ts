import type { ParquetColumnSpec } from './types.js';

/**
 * The numbers of the Parquet format that Varve's files use.
 *
 * Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
 */
export const physicalType = { boolean: 0, int32: 1, int64: 2, double: 5, byteArray: 6, fixed: 7 } as const;
/** Encodings that Varve's files use. */
export const encoding = { plain: 0, rle: 3, deltaBinaryPacked: 5, rleDictionary: 8 } as const;
/** Kinds of page. */
export const pageType = { data: 0, dictionary: 2 } as const;
/** Whether a column may be null. */
export const repetition = { required: 0, optional: 1 } as const;
/** The older annotations, for readers that do not know logical types. */
export const convertedType = { utf8: 0, decimal: 5, timestampMicros: 10 } as const;
/** The one compression in use. */
export const codecZstd = 6;

/** The number of an encoding. */
export type Encoding = (typeof encoding)[keyof typeof encoding];
/** The number of a physical type. */
export type PhysicalType = (typeof physicalType)[keyof typeof physicalType];

/** The first and the last four bytes of every file: `PAR1`. */
export const magic: Uint8Array = Uint8Array.of(0x50, 0x41, 0x52, 0x31);

/** Bytes of a ubigint: the fewest that hold a decimal of 20 digits as a signed number. */
export const decimalBytes = 9;
/** Digits of a ubigint. */
export const decimalPrecision = 20;

/**
 * Key of the footer's metadata that lists, as a JSON array, the columns that are tags. Parquet itself cannot
 * tell a tag from a string field.
 */
export const tagsKey = 'varve.tags';

/** Rows of a row group, far more than is of use. */
export const rowGroupRowsMax: number = 2 ** 24;

/** Names the writer in the footer, in the form that parquet-java parses. */
export const createdBy = 'varve version 1';

/** The kinds of column a file can have, by what is stored and how it is ordered. */
export type StoredKind = 'time' | 'time-ns' | 'string' | 'double' | 'bigint' | 'ubigint' | 'boolean';

/** What a column stores. */
export function storedKind(spec: ParquetColumnSpec): StoredKind {
  if (spec.kind === 'tag') return 'string';
  return spec.kind === 'field' ? spec.type : spec.kind;
}

const physicalTypes: Readonly<Record<StoredKind, PhysicalType>> = {
  time: physicalType.int64,
  'time-ns': physicalType.int32,
  string: physicalType.byteArray,
  double: physicalType.double,
  bigint: physicalType.int64,
  ubigint: physicalType.fixed,
  boolean: physicalType.boolean,
};

/** The physical type that holds a kind of column. */
export function physicalTypeOf(kind: StoredKind): PhysicalType {
  return physicalTypes[kind];
}

/** Whether a column may be absent at a row. Times never are. */
export function isOptional(spec: ParquetColumnSpec): boolean {
  return spec.kind === 'tag' || spec.kind === 'field';
}
