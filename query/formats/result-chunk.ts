/**
 * Rows of an answer, column by column, as the engine hands them to a format. What stands at a null row is arbitrary.
 * The arrays may be views of memory that the engine reuses: valid until the next chunk is asked for.
 */
export interface ResultChunk {
  readonly rowCount: number;
  readonly columns: readonly ResultColumn[];
}

/** How values of a column are held. The SQL type says what they mean to the user, this what a format does. */
export type ResultKind =
  | { readonly kind: 'boolean' }
  | { readonly kind: 'int32' }
  | { readonly kind: 'int64' }
  | { readonly kind: 'uint64' }
  | { readonly kind: 'float64' }
  /** Unscaled values of a fixed-point number; also 128-bit integers (scale 0). */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  | { readonly kind: 'text' }
  /** Days since the epoch. */
  | { readonly kind: 'date' }
  /** Microseconds or nanoseconds since the epoch, UTC. */
  | { readonly kind: 'timestamp'; readonly unit: 'us' | 'ns' }
  /** Anything else (lists, structs, maps, intervals, blobs …), each value as JSON text. */
  | { readonly kind: 'json' };

/** Values of one column; `validity` is a bitmap, least significant bit first, null when there is no null. */
export type ResultColumn = { readonly validity: Uint8Array | null } & (
  | { readonly kind: 'boolean'; readonly values: Uint8Array }
  | { readonly kind: 'int32' | 'date'; readonly values: Int32Array }
  | { readonly kind: 'int64'; readonly values: BigInt64Array }
  | { readonly kind: 'uint64'; readonly values: BigUint64Array }
  | { readonly kind: 'float64'; readonly values: Float64Array }
  | { readonly kind: 'decimal'; readonly scale: number; readonly values: readonly bigint[] }
  /** `values` index `distinct`, where equal texts that follow one another stand once. */
  | { readonly kind: 'text'; readonly values: Int32Array; readonly distinct: readonly string[] }
  | { readonly kind: 'json'; readonly values: readonly string[] }
  | { readonly kind: 'timestamp'; readonly unit: 'us' | 'ns'; readonly values: BigInt64Array }
);

/** A column of an answer as a format sees it before the first row. */
export interface ResultField {
  readonly name: string;
  readonly kind: ResultKind;
}

/** True when row `row` holds a value. */
export function isValid(validity: Uint8Array | null, row: number): boolean {
  return validity === null || ((validity[row >> 3] ?? 0) & (1 << (row & 7))) !== 0;
}
