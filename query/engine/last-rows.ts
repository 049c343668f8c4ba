import type { FileBytes, RowRangeReader } from '../../core/parquet/row-range-reader.js';
import type { RowRanges } from '../../core/parquet/tag-runs.js';
import type { ParquetColumnData } from '../../core/parquet/types.js';

/**
 * The last row of each series in one row group, and its columns as far as somebody wanted them: a file never changes,
 * so what was its last row stays so. A series that goes on in the next row group has one there as well.
 */
export class LastRows {
  /** Each row as a range of one. */
  readonly ranges: RowRanges;
  readonly #rows: Int32Array;
  readonly #columns = new Map<number, ParquetColumnData>();
  #weight: number;

  /** Finds the rows: where any tag changes behind them. */
  constructor(reader: RowRangeReader, file: FileBytes, rowGroup: number) {
    const { specs, rowGroups } = reader.layout;
    const ends = new Set<number>([rowGroups[rowGroup]!.rowCount]);
    for (const [column, spec] of specs.entries()) {
      if (spec.kind !== 'tag') continue;
      const { starts } = reader.tagRuns(file, rowGroup, column);
      for (let run = 1; run < starts.length; run++) ends.add(starts[run]!);
    }
    this.#rows = Int32Array.from(ends, (end) => end - 1).sort();
    this.ranges = Array.from(this.#rows).flatMap((row) => [row, row + 1]);
    this.#weight = this.#rows.length * 20;
  }

  get count(): number {
    return this.#rows.length;
  }

  /** Bytes of memory, roughly. */
  get weight(): number {
    return this.#weight;
  }

  /** A column that is no tag at these rows, one after the other. Reads the whole of it the first time. */
  column(reader: RowRangeReader, file: FileBytes, rowGroup: number, column: number): ParquetColumnData {
    const known = this.#columns.get(column);
    if (known !== undefined) return known;
    const first = this.#rows[0]!;
    const end = this.#rows.at(-1)! + 1;
    const { data, firstRow } = reader.rows(file, rowGroup, column, first, end);
    const picked = pickRows(data, this.#rows, firstRow);
    this.#columns.set(column, picked);
    this.#weight += this.#rows.length * 9 + 100;
    if (picked.kind === 'field' && picked.type === 'string') this.#weight += picked.values.bytes.length;
    return picked;
  }
}

function pickRows(data: ParquetColumnData, rows: Int32Array, firstRow: number): ParquetColumnData {
  const at = (index: number): number => rows[index]! - firstRow;
  switch (data.kind) {
    case 'tag':
      throw new TypeError('tags are known as runs');
    case 'time':
      return {
        kind: 'time',
        micros: new BigInt64Array(rows.length).map((_, index) => data.micros[at(index)]!),
      };
    case 'time-ns':
      return {
        kind: 'time-ns',
        nanos: new Int32Array(rows.length).map((_, index) => data.nanos[at(index)]!),
      };
    case 'field':
      return pickField(data, rows.length, at);
  }
}

type Field = Extract<ParquetColumnData, { readonly kind: 'field' }>;

function pickField(field: Field, count: number, at: (index: number) => number): Field {
  const given = field.validity;
  const validity = given === null ? null : new Uint8Array(count).map((_, index) => given[at(index)]!);
  switch (field.type) {
    case 'double':
      // As bits, so that a NaN keeps its own.
      return { ...field, validity, values: new Float64Array(pickBits(field.values, count, at)) };
    case 'bigint':
      return { ...field, validity, values: new BigInt64Array(pickBits(field.values, count, at)) };
    case 'ubigint':
      return { ...field, validity, values: new BigUint64Array(pickBits(field.values, count, at)) };
    case 'boolean':
      return {
        ...field,
        validity,
        values: new Uint8Array(count).map((_, index) => field.values[at(index)]!),
      };
    case 'string': {
      const { offsets, bytes } = field.values;
      const picked = Array.from({ length: count }, (_, index) =>
        bytes.subarray(offsets[at(index)], offsets[at(index) + 1]),
      );
      const ends = new Int32Array(count + 1);
      for (let index = 0; index < count; index++) ends[index + 1] = ends[index]! + picked[index]!.length;
      return { ...field, validity, values: { offsets: ends, bytes: new Uint8Array(Buffer.concat(picked)) } };
    }
  }
}

function pickBits(
  values: Float64Array | BigInt64Array | BigUint64Array,
  count: number,
  at: (index: number) => number,
): ArrayBuffer {
  const lanes = new Int32Array(values.buffer, values.byteOffset, values.length * 2);
  const picked = new Int32Array(count * 2);
  for (let index = 0; index < count; index++) {
    picked[index * 2] = lanes[at(index) * 2]!;
    picked[index * 2 + 1] = lanes[at(index) * 2 + 1]!;
  }
  return picked.buffer;
}
