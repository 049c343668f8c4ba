import { afterAll, describe, expect, test } from 'vitest';
import { readParquetRowGroups } from '../../../core/parquet/parquet-reader.js';
import { ParquetWriter } from '../../../core/parquet/parquet-writer.js';
import { fileCases, randomNumbers } from './cases.js';
import { expectSame, sameAsNumber } from './expect-same.js';
import { DuckDbOracle, readOurs, readWithHyparquet, readWithParquetWasm } from './oracles.js';
import { fieldSpec, fromColumnData, tagSpec, timeSpec, toColumnData, writePlain } from './plain-columns.js';

const duckDb = new DuckDbOracle();
afterAll(() => duckDb.close());

describe.each(fileCases)('a Parquet file with $name', ({ columns, rowGroupRows, pageRowsMax }) => {
  const options = pageRowsMax === undefined ? {} : { pageRowsMax };
  const { bytes } = writePlain(columns, rowGroupRows, options);
  const specs = columns.map((column) => column.spec);

  test('comes back as written', async () => {
    expectSame(await readOurs(bytes, specs), columns);
  });

  test('reads the same in hyparquet', async () => {
    expectSame(await readWithHyparquet(bytes, specs), columns, sameAsNumber);
  });

  test('reads the same in parquet-wasm', async () => {
    expectSame(await readWithParquetWasm(bytes, specs), columns);
  });

  test('reads the same in DuckDB', async () => {
    expectSame(await duckDb.read(bytes, specs), columns);
  });
});

describe('the bits of a NaN', () => {
  const random = randomNumbers(3);
  const payload = (): bigint => 0x7ff0_0000_0000_0001n | (BigInt(random()) << 16n);

  test.each([
    ['in a dictionary', (row: number) => (row % 2 === 0 ? 0x7ff8_0000_dead_beefn : 0xfff0_0000_0000_0001n)],
    ['in plain values', payload],
  ])('stay as they were %s, beside nulls', (_, bitsAt) => {
    const bits = BigUint64Array.from({ length: 5000 }, (_, row) => bitsAt(row));
    const validity = Uint8Array.from(bits, (_, row) => (row % 3 === 0 ? 0 : 1));
    const writer = new ParquetWriter([fieldSpec('double')]);
    const values = new Float64Array(bits.buffer);
    writer.writeRowGroup(bits.length, [{ kind: 'field', type: 'double', values, validity }]);
    const [group] = Array.from(readParquetRowGroups(writer.finish().bytes));
    const [column] = group!.columns;
    if (column?.kind !== 'field' || column.type !== 'double') throw new Error('the column is no double');
    const got = new BigUint64Array(column.values.buffer);
    expect(column.validity).toEqual(validity);
    expect(bits.findIndex((want, row) => validity[row] === 1 && got[row] !== want)).toBe(-1);
  });
});

test('slices of larger columns are written as if they stood alone', () => {
  const specs = [timeSpec(), tagSpec('t', 2), fieldSpec('double', 'd', 3), fieldSpec('string', 's', 4)];
  const rows = Array.from({ length: 100 }, (_, row) => row);
  const values = [
    rows.map(BigInt),
    rows.map((row) => `host_${row % 9}`),
    rows.map((row) => row / 8),
    rows.map((row) => `text ${row}`),
  ];
  const [time, tag, double, string] = specs.map((spec, index) => toColumnData(spec, values[index]!));
  if (time?.kind !== 'time' || tag?.kind !== 'tag') throw new Error('the columns are in another order');
  if (double?.kind !== 'field' || double.type !== 'double')
    throw new Error('the columns are in another order');
  if (string?.kind !== 'field' || string.type !== 'string')
    throw new Error('the columns are in another order');
  const writer = new ParquetWriter(specs);
  writer.writeRowGroup(30, [
    { ...time, micros: time.micros.subarray(31, 61) },
    { ...tag, tags: { ...tag.tags, codes: tag.tags.codes.subarray(31, 61) } },
    { ...double, values: double.values.subarray(31, 61) },
    { ...string, values: { ...string.values, offsets: string.values.offsets.subarray(31, 62) } },
  ]);
  const [group] = Array.from(readParquetRowGroups(writer.finish().bytes));
  expect(group?.columns.map(fromColumnData)).toEqual(values.map((column) => column.slice(31, 61)));
});

test('a tag that was written plain comes back with each entry once', () => {
  const values = Array.from({ length: 60_000 }, (_, row) => `${'long '.repeat(8)}${row % 40_000}`);
  const [group] = Array.from(readParquetRowGroups(writePlain([{ spec: tagSpec(), values }]).bytes));
  const [column] = group!.columns;
  expect(column?.kind === 'tag' && column.tags.dictionary.offsets.length - 1).toBe(40_000);
});
