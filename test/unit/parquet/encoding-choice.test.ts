import { parquetMetadata } from 'hyparquet';
import { describe, expect, test } from 'vitest';
import type { ParquetColumnSpec } from '../../../core/parquet/types.js';
import { randomNumbers } from './cases.js';
import { fieldSpec, type PlainValue, tagSpec, timeSpec, writePlain } from './plain-columns.js';

const rowCount = 100_000;
const seriesRows = 2000;

function chunkOf(spec: ParquetColumnSpec, values: readonly PlainValue[]) {
  const file = writePlain([{ spec, values }]);
  const chunk = parquetMetadata(new Uint8Array(file.bytes).buffer).row_groups[0]?.columns[0]?.meta_data;
  return { encodings: chunk?.encodings, bytesPerValue: file.columns[0]!.compressedBytes / values.length };
}

/** The TSBS cpu shape: each series a random walk with normal steps between 0 and 100. */
function walks(round: (value: number) => PlainValue): PlainValue[] {
  const random = randomNumbers(42);
  const uniform = (): number => (random() + 1) / (2 ** 32 + 1);
  const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  let value = 0;
  return Array.from({ length: rowCount }, (_, row) => {
    if (row % seriesRows === 0) value = uniform() * 100;
    else value = Math.min(100, Math.max(0, value + normal()));
    return round(value);
  });
}

describe('the encoding of a column chunk', () => {
  test('of regular times is delta, at next to nothing', () => {
    const values = Array.from({ length: rowCount }, (_, row) => BigInt((row % seriesRows) * 10_000_000));
    const { encodings, bytesPerValue } = chunkOf(timeSpec(), values);
    expect(encodings).toEqual(['DELTA_BINARY_PACKED']);
    expect(bytesPerValue).toBeLessThan(0.02);
  });

  test('of integers that walk is delta, at most 0.42 bytes a sample', () => {
    const { encodings, bytesPerValue } = chunkOf(
      fieldSpec('bigint'),
      walks((value) => BigInt(Math.trunc(value))),
    );
    expect(encodings).toEqual(['DELTA_BINARY_PACKED', 'RLE']);
    expect(bytesPerValue).toBeLessThan(0.42);
  });

  test('of doubles with two decimals is a dictionary, at most 2.1 bytes a sample', () => {
    const values = walks((value) => Math.round(value * 100) / 100);
    const { encodings, bytesPerValue } = chunkOf(fieldSpec('double'), values);
    expect(encodings).toEqual(['PLAIN', 'RLE_DICTIONARY', 'RLE']);
    expect(bytesPerValue).toBeLessThan(2.1);
  });

  test('of doubles that never come back is plain', () => {
    expect(
      chunkOf(
        fieldSpec('double'),
        walks((value) => value),
      ).encodings,
    ).toEqual(['PLAIN', 'RLE']);
  });

  test('of integers that jump between few values is a dictionary', () => {
    const random = randomNumbers(5);
    const values = Array.from({ length: rowCount }, () => [200n, 404n, 100_000n][random() % 3]!);
    const { encodings, bytesPerValue } = chunkOf(fieldSpec('bigint'), values);
    expect(encodings).toEqual(['PLAIN', 'RLE_DICTIONARY', 'RLE']);
    expect(bytesPerValue).toBeLessThan(0.26);
  });

  test('of integers whose sample has few values but which have many is delta', () => {
    // The sample is made of 8 pieces of 512; in between them every value is new.
    const step = Math.floor((rowCount - 512) / 7);
    const values = Array.from({ length: rowCount }, (_, row) =>
      row % step < 600 ? 0n : BigInt(row) * 1000n,
    );
    expect(chunkOf(fieldSpec('bigint'), values).encodings).toEqual(['DELTA_BINARY_PACKED', 'RLE']);
  });

  test('of a tag is a dictionary, at next to nothing when rows are sorted', () => {
    const values = Array.from({ length: rowCount }, (_, row) => `host_${Math.floor(row / seriesRows)}`);
    const { encodings, bytesPerValue } = chunkOf(tagSpec(), values);
    expect(encodings).toEqual(['PLAIN', 'RLE_DICTIONARY', 'RLE']);
    expect(bytesPerValue).toBeLessThan(0.02);
  });

  test('of a tag with a dictionary beyond a mebibyte is plain', () => {
    const values = Array.from({ length: rowCount }, (_, row) => `container-with-a-long-name-${row}`);
    expect(chunkOf(tagSpec(), values).encodings).toEqual(['PLAIN', 'RLE']);
  });

  test('of strings is a dictionary where they come back, else plain', () => {
    const values = (distinct: number) =>
      Array.from({ length: 10_000 }, (_, row) => `message ${row % distinct}`);
    expect(chunkOf(fieldSpec('string'), values(100)).encodings).toEqual(['PLAIN', 'RLE_DICTIONARY', 'RLE']);
    expect(chunkOf(fieldSpec('string'), values(10_000)).encodings).toEqual(['PLAIN', 'RLE']);
  });

  test('of a column without nulls spends nothing on them', () => {
    const nulls = Array.from({ length: rowCount }, () => null);
    expect(chunkOf(fieldSpec('boolean'), nulls).bytesPerValue).toBeLessThan(0.01);
    const present = Array.from({ length: rowCount }, () => true);
    expect(chunkOf(fieldSpec('boolean'), present).bytesPerValue).toBeLessThan(0.01);
  });
});
