/** The types of a field column; tags are always strings. */
export type FieldType = 'double' | 'bigint' | 'ubigint' | 'boolean' | 'string';

/** Strings of a column, back to back: row i is bytes[offsets[i], offsets[i + 1]), valid UTF-8. */
export interface StringValues {
  /** Length rows + 1, ascending. */
  readonly offsets: Int32Array;
  readonly bytes: Uint8Array;
}

/**
 * One field column over the rows of a TableRows. What stands at a row where the field is absent is arbitrary
 * (an empty string for strings).
 */
export type FieldColumn = {
  readonly name: string;
  /** One byte a row: 1 present, 0 absent; null when every row has the field. */
  readonly validity: Uint8Array | null;
} & (
  | { readonly type: 'double'; readonly values: Float64Array }
  | { readonly type: 'bigint'; readonly values: BigInt64Array }
  | { readonly type: 'ubigint'; readonly values: BigUint64Array }
  | { readonly type: 'boolean'; readonly values: Uint8Array }
  | { readonly type: 'string'; readonly values: StringValues }
);

/** Distinct byte strings, back to back, in the layout of StringValues. */
export type PackedKeys = StringValues;

/**
 * Rows of one table, column by column: what the parser makes, a batch carries and a hot chunk takes.
 * Immutable once made.
 */
export interface TableRows {
  readonly table: string;
  readonly rowCount: number;
  /** The distinct series of these rows as canonical keys (see series-key.ts). */
  readonly seriesKeys: PackedKeys;
  /** Length rowCount: index into seriesKeys. */
  readonly series: Int32Array;
  /** Length rowCount: nanoseconds since the Unix epoch. */
  readonly timesNs: BigInt64Array;
  /** At least one; every row has at least one of them present. */
  readonly fields: readonly FieldColumn[];
}

/** Number of strings in a StringValues. */
export function stringCount(values: StringValues): number {
  return values.offsets.length - 1;
}

/** The bytes of string `index`, a view without a copy. */
export function stringBytes(values: StringValues, index: number): Uint8Array {
  return values.bytes.subarray(values.offsets[index] ?? 0, values.offsets[index + 1] ?? 0);
}

/** Packs byte strings into the layout of StringValues. */
export function packStrings(strings: readonly Uint8Array[]): StringValues {
  const offsets = new Int32Array(strings.length + 1);
  let total = 0;
  strings.forEach((bytes, index) => {
    total += bytes.length;
    offsets[index + 1] = total;
  });
  const bytes = new Uint8Array(total);
  strings.forEach((string, index) => {
    bytes.set(string, offsets[index]);
  });
  return { offsets, bytes };
}
