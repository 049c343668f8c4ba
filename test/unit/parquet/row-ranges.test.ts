import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringBytes } from '../../../core/model/columns.js';
import { NumberPages } from '../../../core/parquet/number-pages.js';
import { readParquetRowGroups } from '../../../core/parquet/parquet-reader.js';
import { type FileBytes, RowRangeReader } from '../../../core/parquet/row-range-reader.js';
import { intersectRanges, rowsIn, rowsWithTag } from '../../../core/parquet/tag-runs.js';
import type { ParquetColumnData, ParquetColumnSpec } from '../../../core/parquet/types.js';
import { isVarveError } from '../../../core/std/errors.js';
import {
  fieldSpec,
  type PlainColumn,
  type PlainValue,
  tagSpec,
  timeSpec,
  writePlain,
} from './plain-columns.js';

const fileOf = (bytes: Uint8Array): FileBytes => ({
  size: bytes.length,
  read: (offset, length) => bytes.slice(offset, offset + length),
});

/** Bits of doubles, so that NaNs and zeros are told apart. */
function cellsOf(data: ParquetColumnData, from: number, to: number): unknown[] {
  const rows = Array.from({ length: to - from }, (_, index) => from + index);
  const textAt = (values: { offsets: Int32Array; bytes: Uint8Array }, at: number): string =>
    Buffer.from(stringBytes(values, at)).toString();
  switch (data.kind) {
    case 'time':
      return rows.map((row) => data.micros[row]);
    case 'time-ns':
      return rows.map((row) => data.nanos[row]);
    case 'tag':
      return rows.map((row) => {
        const code = data.tags.codes[row] ?? -1;
        return code < 0 ? null : textAt(data.tags.dictionary, code);
      });
    case 'field': {
      const { validity, values, type } = data;
      const bits =
        type === 'double' ? new BigUint64Array(values.buffer, values.byteOffset, values.length) : values;
      return rows.map((row) => {
        if (validity !== null && validity[row] === 0) return null;
        return type === 'string' ? textAt(values, row) : (bits as BigUint64Array)[row];
      });
    }
  }
}

const near = fc.bigInt({ min: -40n, max: 40n });
const anywhere = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const kinds: readonly (readonly [ParquetColumnSpec, fc.Arbitrary<PlainValue>])[] = [
  [tagSpec('t', 2), fc.constantFrom('a', 'b', 'ä long value', '')],
  [fieldSpec('double', 'd', 3), fc.oneof(fc.double(), fc.constantFrom(1.25, 2.5, -0, Number.NaN))],
  [fieldSpec('bigint', 'i', 4), fc.oneof(near, anywhere)],
  [fieldSpec('bigint', 'j', 5), near],
  [fieldSpec('ubigint', 'u', 6), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })],
  [fieldSpec('boolean', 'b', 7), fc.boolean()],
  [fieldSpec('string', 's', 8), fc.constantFrom('x', 'yy', '')],
];

/** Columns without a null and with some; long enough for several blocks of deltas a page. */
const files = fc
  .record({
    rowCount: fc.integer({ min: 1, max: 700 }),
    rowGroupRows: fc.integer({ min: 1, max: 700 }),
    pageRowsMax: fc.integer({ min: 1, max: 500 }),
    nulls: fc.constantFrom(0, 0, 4),
  })
  .chain(({ rowCount, rowGroupRows, pageRowsMax, nulls }) => {
    const lengths = { minLength: rowCount, maxLength: rowCount };
    const columnOf = ([spec, values]: (typeof kinds)[number]): fc.Arbitrary<PlainColumn> =>
      fc
        .array(nulls === 0 ? values : fc.option(values, { freq: nulls }), lengths)
        .map((rows) => ({ spec, values: rows }));
    const times = fc.array(fc.oneof(near, anywhere), lengths);
    return fc
      .tuple(times, ...kinds.map(columnOf))
      .map(([time, ...others]): { columns: PlainColumn[]; rowGroupRows: number; pageRowsMax: number } => ({
        columns: [{ spec: timeSpec(), values: time }, ...others],
        rowGroupRows,
        pageRowsMax,
      }));
  });

const share = fc.double({ min: 0, max: 1, noNaN: true });

test('any range of rows of any column is what the whole file has there', () => {
  fc.assert(
    fc.property(files, share, share, ({ columns, rowGroupRows, pageRowsMax }, one, other) => {
      const { bytes } = writePlain(columns, rowGroupRows, { pageRowsMax });
      const file = fileOf(bytes);
      const reader = RowRangeReader.open(file);
      for (const [rowGroup, whole] of [...readParquetRowGroups(bytes)].entries()) {
        const from = Math.floor(Math.min(one, other) * (whole.rowCount - 1));
        const to = Math.min(whole.rowCount, Math.floor(Math.max(one, other) * whole.rowCount) + 1);
        for (const [column, want] of whole.columns.entries()) {
          const { data, firstRow, endRow } = reader.rows(file, rowGroup, column, from, to);
          expect(firstRow <= from && to <= endRow).toBe(true);
          expect(cellsOf(data, from - firstRow, to - firstRow)).toEqual(cellsOf(want, from, to));
        }
      }
    }),
    { numRuns: 150 },
  );
});

/** Columns of each way that pages of numbers are encoded, long enough for many marks a page. */
function longColumns(rowCount: number, seed: number): PlainColumn[] {
  const rows = Array.from({ length: rowCount }, (_, row) => BigInt(row));
  const mixed = (row: bigint): bigint => BigInt.asIntN(64, (row + BigInt(seed)) * 0x9e3779b97f4a7c15n);
  return [
    { spec: timeSpec(), values: rows.map((row) => row * 1000n + (mixed(row) & 63n)) },
    { spec: fieldSpec('bigint', 'wide', 2), values: rows.map(mixed) },
    { spec: fieldSpec('bigint', 'few', 3), values: rows.map((row) => mixed(row) & 3n) },
    { spec: fieldSpec('double', 'd', 4), values: rows.map((row) => Number(mixed(row) & 1023n) / 8) },
    { spec: fieldSpec('bigint', 'gaps', 5), values: rows.map((row) => (mixed(row) & 7n ? row : null)) },
  ];
}

test('ranges one after the other are the same, whatever was read and kept before', () => {
  const ranges = fc.array(fc.tuple(share, share), { minLength: 1, maxLength: 12 });
  const sizes = fc.record({
    rowCount: fc.integer({ min: 1, max: 3000 }),
    pageRowsMax: fc.integer({ min: 100, max: 3000 }),
    seed: fc.nat(),
    weightMax: fc.constantFrom(0, 20_000, 1e9),
  });
  fc.assert(
    fc.property(sizes, ranges, ({ rowCount, pageRowsMax, seed, weightMax }, wanted) => {
      const { bytes } = writePlain(longColumns(rowCount, seed), rowCount, { pageRowsMax });
      const [whole] = [...readParquetRowGroups(bytes)];
      const file = fileOf(bytes);
      const pages = new NumberPages(weightMax);
      const readers = [RowRangeReader.open(file, pages), RowRangeReader.open(file, pages)];
      for (const [index, [one, other]] of wanted.entries()) {
        const from = Math.floor(Math.min(one, other) * (rowCount - 1));
        const to = Math.min(rowCount, Math.floor(Math.max(one, other) * rowCount) + 1);
        for (const [column, want] of (whole?.columns ?? []).entries()) {
          const { data, firstRow } = readers[index % 2]?.rows(file, 0, column, from, to) ?? {};
          if (data === undefined || firstRow === undefined) throw new Error('no reader');
          expect(cellsOf(data, from - firstRow, to - firstRow)).toEqual(cellsOf(want, from, to));
        }
        expect(pages.weight).toBeLessThanOrEqual(weightMax);
      }
    }),
    { numRuns: 60 },
  );
});

test('a page that is kept is not read again', () => {
  const { bytes } = writePlain(longColumns(2000, 1), 2000, { pageRowsMax: 1000 });
  let reads = 0;
  const file: FileBytes = {
    size: bytes.length,
    read: (offset, length) => {
      reads += 1;
      return bytes.slice(offset, offset + length);
    },
  };
  const reader = RowRangeReader.open(file, new NumberPages(1e9));
  reader.rows(file, 0, 0, 500, 1500);
  const before = reads;
  reader.rows(file, 0, 0, 10, 1990);
  expect(reads).toBe(before);
  reader.rows(file, 0, 1, 0, 1);
  expect(reads).toBeGreaterThan(before);
});

test('the runs of a tag name the rows that have a value, and those that lack one', () => {
  const values = fc.array(fc.constantFrom('a', 'b', 'c', null), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(values, fc.subarray(['a', 'b', 'zz', null]), (rows, wanted) => {
      const columns = [
        { spec: timeSpec(), values: rows.map((_, row) => BigInt(row)) },
        { spec: tagSpec('t', 2), values: rows },
      ];
      const file = fileOf(writePlain(columns, rows.length, { pageRowsMax: 7 }).bytes);
      const runs = RowRangeReader.open(file).tagRuns(file, 0, 1);
      const found = rowsWithTag(
        runs,
        wanted.map((value) => (value === null ? null : Buffer.from(value))),
      );
      const listed: number[] = [];
      for (let i = 0; i < found.length; i += 2) {
        for (let row = found[i] as number; row < (found[i + 1] as number); row++) listed.push(row);
      }
      expect(listed).toEqual(rows.flatMap((value, row) => (wanted.includes(value) ? [row] : [])));
      expect(rowsIn(found)).toBe(listed.length);
    }),
  );
});

test('ranges are intersected', () => {
  expect(intersectRanges([0, 5, 8, 12], [3, 9, 11, 20])).toEqual([3, 5, 8, 9, 11, 12]);
  expect(intersectRanges([0, 5], [5, 9])).toEqual([]);
});

describe('a damaged file', () => {
  const columns = [
    { spec: timeSpec(), values: Array.from({ length: 300 }, (_, row) => BigInt(row)) },
    { spec: tagSpec('t', 2), values: Array.from({ length: 300 }, (_, row) => (row < 150 ? 'a' : 'b')) },
  ];
  const { bytes } = writePlain(columns, 300, { pageRowsMax: 100 });

  test.each([0, 7, 8, 11, 40])('of %i bytes is refused', (length) => {
    expect(() => RowRangeReader.open(fileOf(bytes.slice(0, length)))).toThrow(/Parquet/);
  });

  test('with any byte of its pages changed is read as it was or refused', () => {
    const reader = RowRangeReader.open(fileOf(bytes));
    const { offset, compressedBytes } = reader.layout.rowGroups[0]?.chunks[0] ?? {
      offset: 0,
      compressedBytes: 0,
    };
    let refused = 0;
    for (let at = offset; at < offset + compressedBytes; at++) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      const file = fileOf(damaged);
      try {
        const { data, firstRow } = RowRangeReader.open(file).rows(file, 0, 0, 120, 130);
        expect(cellsOf(data, 120 - firstRow, 130 - firstRow)).toEqual(
          Array.from({ length: 10 }, (_, index) => BigInt(120 + index)),
        );
      } catch (error) {
        expect(isVarveError(error)).toBe(true);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(0);
  });
});
