import fc from 'fast-check';
import { parquetMetadata } from 'hyparquet';
import { afterAll, describe, expect, test } from 'vitest';
import { compareBytes } from '../../../core/model/series-key.js';
import type { ColumnStatistics, ParquetColumnSpec } from '../../../core/parquet/types.js';
import { DuckDbOracle } from './oracles.js';
import { fieldSpec, type PlainValue, tagSpec, timeSpec, writePlain } from './plain-columns.js';

const duckDb = new DuckDbOracle();
afterAll(() => duckDb.close());
const encoder = new TextEncoder();

function statisticsOf(
  spec: ParquetColumnSpec,
  values: readonly PlainValue[],
  rowGroupRows?: number,
): ColumnStatistics {
  const [statistics] = writePlain([{ spec, values }], rowGroupRows).columns;
  return statistics!;
}

function hex(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('hex');
}

/** min_value and max_value of the first column chunk as hyparquet understands them. */
function parquetStatistics(spec: ParquetColumnSpec, values: readonly PlainValue[]): object | undefined {
  const { bytes } = writePlain([{ spec, values }]);
  return parquetMetadata(new Uint8Array(bytes).buffer).row_groups[0]?.columns[0]?.meta_data?.statistics;
}

describe('bounds for Iceberg', () => {
  const double = (value: number): string => hex(new Uint8Array(Float64Array.of(value).buffer)) ?? '';
  const long = (value: bigint): string => hex(new Uint8Array(BigInt64Array.of(value).buffer)) ?? '';
  const text = (value: string): string => hex(encoder.encode(value)) ?? '';

  test.each<[string, ParquetColumnSpec, PlainValue[], string | null, string | null]>([
    ['time', timeSpec(), [5n, -3n, 10n ** 15n], long(-3n), long(10n ** 15n)],
    ['time_ns', { kind: 'time-ns', name: 'time_ns', fieldId: 2 }, [999, 0, 7], '00000000', 'e7030000'],
    [
      'bigint',
      fieldSpec('bigint'),
      [-(2n ** 63n), null, 2n ** 63n - 1n],
      long(-(2n ** 63n)),
      long(2n ** 63n - 1n),
    ],
    [
      'bigint with equal high halves',
      fieldSpec('bigint'),
      [2n ** 31n, 2n ** 31n - 1n, 1n],
      long(1n),
      long(2n ** 31n),
    ],
    ['ubigint', fieldSpec('ubigint'), [2n ** 64n - 1n, 127n], '7f', '00ffffffffffffffff'],
    ['ubigint with the sign bit of a byte', fieldSpec('ubigint'), [128n, 0n], '00', '0080'],
    ['boolean', fieldSpec('boolean'), [true, null, false], '00', '01'],
    ['double', fieldSpec('double'), [1.5, Number.NaN, -Infinity], double(-Infinity), double(1.5)],
    ['positive zero', fieldSpec('double'), [0, 0], double(-0), double(0)],
    ['negative zero', fieldSpec('double'), [-0, -0], double(-0), double(0)],
    ['only NaN', fieldSpec('double'), [Number.NaN, null], null, null],
    ['all null', fieldSpec('string'), [null, null], null, null],
    ['the empty string', fieldSpec('string'), ['', 'a'], '', text('a')],
    ['a tag', tagSpec(), ['b', null, 'a', 'c'], text('a'), text('c')],
    ['strings by bytes, not by UTF-16', fieldSpec('string'), ['\ue000', '🙂'], text('\ue000'), text('🙂')],
    ['16 code points', fieldSpec('string'), ['🙂'.repeat(16)], text('🙂'.repeat(16)), text('🙂'.repeat(16))],
    [
      '17 code points',
      fieldSpec('string'),
      ['a'.repeat(17)],
      text('a'.repeat(16)),
      text(`${'a'.repeat(15)}b`),
    ],
    [
      'a last code point before the surrogates',
      fieldSpec('string'),
      [`${'a'.repeat(15)}\ud7ff!`],
      text(`${'a'.repeat(15)}\ud7ff`),
      text(`${'a'.repeat(15)}\ue000`),
    ],
    [
      'a last code point that is the greatest',
      fieldSpec('string'),
      [`a${'\u{10ffff}'.repeat(16)}`],
      text(`a${'\u{10ffff}'.repeat(15)}`),
      text('b'),
    ],
    [
      'none but the greatest',
      fieldSpec('string'),
      ['\u{10ffff}'.repeat(17)],
      text('\u{10ffff}'.repeat(16)),
      null,
    ],
  ])('of %s', (_, spec, values, lower, upper) => {
    const statistics = statisticsOf(spec, values);
    expect([hex(statistics.lower), hex(statistics.upper)]).toEqual([lower, upper]);
  });

  test('of strings hold every value and have at most 16 code points', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { minLength: 1 }), (values) => {
        const { lower, upper } = statisticsOf(fieldSpec('string'), values);
        for (const value of values) {
          expect(compareBytes(lower!, encoder.encode(value))).toBeLessThanOrEqual(0);
          if (upper !== null) expect(compareBytes(upper, encoder.encode(value))).toBeGreaterThanOrEqual(0);
        }
        for (const bound of [lower, upper]) {
          if (bound === null) continue;
          expect(
            Array.from(new TextDecoder('utf-8', { fatal: true }).decode(bound)).length,
          ).toBeLessThanOrEqual(16);
        }
      }),
    );
  });

  test('cover all row groups, those without a value too', () => {
    const values = [null, null, 7.5, -2, null, null, Number.NaN, 3];
    const { lower, upper, nullCount, nanCount, valueCount } = statisticsOf(fieldSpec('double'), values, 2);
    expect([hex(lower), hex(upper)]).toEqual([double(-2), double(7.5)]);
    expect({ nullCount, nanCount, valueCount }).toEqual({ nullCount: 4, nanCount: 1, valueCount: 8 });
  });

  test('count NaN for doubles only', () => {
    expect(statisticsOf(fieldSpec('double'), [null]).nanCount).toBe(0);
    expect(statisticsOf(fieldSpec('bigint'), [1n]).nanCount).toBeNull();
  });

  test('sizes of the columns add up to the row groups', () => {
    const columns = [
      { spec: timeSpec(), values: [1n, 2n, 3n, 4n] },
      { spec: tagSpec(), values: ['a', 'b', null, 'a'] },
    ];
    const file = writePlain(columns, 2);
    const total = file.columns.reduce((sum, column) => sum + column.compressedBytes, 0);
    const metadata = parquetMetadata(new Uint8Array(file.bytes).buffer);
    expect(total).toBe(
      metadata.row_groups.reduce((sum, group) => sum + Number(group.total_compressed_size), 0),
    );
    expect(file.rowGroupOffsets).toEqual([4, metadata.row_groups[1]!.file_offset].map(Number));
  });
});

describe('statistics in the file', () => {
  test.each<[string, ParquetColumnSpec, PlainValue[], object]>([
    ['bigint', fieldSpec('bigint'), [5n, null, -7n], { min_value: -7n, max_value: 5n, null_count: 1n }],
    ['double', fieldSpec('double'), [0, 2.5], { min_value: -0, max_value: 2.5, null_count: 0n }],
    ['string', fieldSpec('string'), ['b', 'a'], { min_value: 'a', max_value: 'b', null_count: 0n }],
    ['boolean', fieldSpec('boolean'), [true], { min_value: true, max_value: true, null_count: 0n }],
  ])('bound a %s exactly', (_, spec, values, want) => {
    expect(parquetStatistics(spec, values)).toEqual({
      ...want,
      is_max_value_exact: true,
      is_min_value_exact: true,
    });
  });

  test('bound long strings by prefixes and say so', () => {
    expect(parquetStatistics(fieldSpec('string'), ['x'.repeat(65)])).toEqual({
      min_value: 'x'.repeat(64),
      max_value: `${'x'.repeat(63)}y`,
      null_count: 0n,
      is_min_value_exact: false,
      is_max_value_exact: false,
    });
  });

  test('are left out where NaN occurs, so that a reader that orders NaN last finds it', async () => {
    const values = [1, Number.NaN, 2, -0];
    expect(parquetStatistics(fieldSpec('double'), values)).toEqual({ null_count: 0n });
    const path = duckDb.place(writePlain([{ spec: fieldSpec('double'), values }]).bytes);
    expect(await duckDb.columns(`SELECT count(*) FROM ${path} WHERE double > 1000`)).toEqual([[1n]]);
  });

  test('never make DuckDB miss a row', async () => {
    const column = fc.oneof(
      fc.array(fc.bigInt({ min: -5n, max: 5n }), { minLength: 1 }).map((values) => ({
        spec: fieldSpec('bigint', 'v'),
        values: values as PlainValue[],
        probe: '0',
        matches: (value: PlainValue) => value === 0n,
      })),
      fc.array(fc.constantFrom(-0, 0, 1, -1), { minLength: 1 }).map((values) => ({
        spec: fieldSpec('double', 'v'),
        values: values as PlainValue[],
        probe: '0.0::DOUBLE',
        matches: (value: PlainValue) => value === 0,
      })),
      fc
        .array(fc.constantFrom('a', 'b'.repeat(70), `${'b'.repeat(70)}c`), { minLength: 1 })
        .map((values) => ({
          spec: fieldSpec('string', 'v'),
          values: values as PlainValue[],
          probe: "repeat('b', 70)",
          matches: (value: PlainValue) => value === 'b'.repeat(70),
        })),
    );
    await fc.assert(
      fc.asyncProperty(column, async ({ spec, values, probe, matches }) => {
        const path = duckDb.place(writePlain([{ spec, values }], 3).bytes);
        const [[count]] = (await duckDb.columns(`SELECT count(*) FROM ${path} WHERE v = ${probe}`)) as [
          [bigint],
        ];
        expect(Number(count)).toBe(values.filter(matches).length);
      }),
      { numRuns: 40 },
    );
  });
});
