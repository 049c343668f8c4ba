import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readParquetSpecs } from '../../../core/parquet/parquet-reader.js';
import type { ParquetColumnSpec } from '../../../core/parquet/types.js';
import { expectSame } from './expect-same.js';
import { readOurs, readWithParquetWasm } from './oracles.js';
import {
  fieldSpec,
  type PlainColumn,
  type PlainValue,
  tagSpec,
  timeSpec,
  writePlain,
} from './plain-columns.js';

const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const doubles = fc.oneof(fc.double(), fc.constantFrom(1.25, 2.5, -0, 0, Number.NaN), fc.integer());
const texts = fc.string({ unit: 'grapheme', maxLength: 12 });

/** Four values of the kind that come again and again, so that dictionaries and runs occur, or any. */
function repeated(values: fc.Arbitrary<PlainValue>): fc.Arbitrary<PlainValue> {
  return fc.oneof(values, fc.constantFrom(...fc.sample(values, { seed: 1, numRuns: 4 })));
}

const kinds: readonly (readonly [ParquetColumnSpec, fc.Arbitrary<PlainValue>])[] = [
  [tagSpec('t', 2), repeated(texts)],
  [fieldSpec('double', 'd', 3), repeated(doubles)],
  [fieldSpec('bigint', 'i', 4), repeated(i64)],
  [fieldSpec('ubigint', 'u', 5), repeated(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))],
  [fieldSpec('boolean', 'b', 6), fc.boolean()],
  [fieldSpec('string', 's', 7), repeated(texts)],
];

/** Rows of every type with nulls anywhere; a row group and a page of any size. */
const files = fc
  .tuple(fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 60 }))
  .chain(([rowCount, rowGroupRows, pageRowsMax]) => {
    const lengths = { minLength: rowCount, maxLength: rowCount };
    const column = ([spec, values]: (typeof kinds)[number]): fc.Arbitrary<PlainColumn> =>
      fc.array(fc.option(values, { freq: 3 }), lengths).map((rows) => ({ spec, values: rows }));
    const times = fc.array(fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n }), lengths);
    return fc
      .tuple(times, ...kinds.map(column))
      .map(([time, ...others]): { columns: PlainColumn[]; rowGroupRows: number; pageRowsMax: number } => ({
        columns: [{ spec: timeSpec(), values: time }, ...others],
        rowGroupRows,
        pageRowsMax,
      }));
  });

test('any rows come back from any division into row groups and pages', async () => {
  await fc.assert(
    fc.asyncProperty(files, async ({ columns, rowGroupRows, pageRowsMax }) => {
      const { bytes } = writePlain(columns, rowGroupRows, { pageRowsMax });
      const specs = columns.map((column) => column.spec);
      expect(readParquetSpecs(bytes)).toEqual(specs);
      expectSame(await readOurs(bytes, specs), columns);
      expectSame(await readWithParquetWasm(bytes, specs), columns);
    }),
    { numRuns: 150 },
  );
});

test('equal rows make equal bytes', () => {
  fc.assert(
    fc.property(files, ({ columns, rowGroupRows, pageRowsMax }) => {
      const write = (): Uint8Array => writePlain(columns, rowGroupRows, { pageRowsMax }).bytes;
      expect(Buffer.compare(write(), write())).toBe(0);
    }),
    { numRuns: 20 },
  );
});
