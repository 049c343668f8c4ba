import { describe, expect, test } from 'vitest';
import { readParquetRowGroups, readParquetSpecs } from '../../../core/parquet/parquet-reader.js';
import { type ErrorKind, VarveError } from '../../../core/std/errors.js';
import { fileCases } from './cases.js';
import { DuckDbOracle } from './oracles.js';
import { fieldSpec, fromColumnData, type PlainValue, timeSpec, writePlain } from './plain-columns.js';

const small = fileCases
  .find((file) => file.name === 'nulls in runs')!
  .columns.map((column) => ({
    ...column,
    values: column.values.slice(0, 48),
  }));
const { bytes } = writePlain(small, 48, { pageRowsMax: 40 });
const footerAt = bytes.length - 8 - new DataView(bytes.buffer).getUint32(bytes.length - 8, true);
const whole = readAll(bytes);

function readAll(file: Uint8Array): PlainValue[][] {
  return Array.from(readParquetRowGroups(file)).flatMap((group) => group.columns.map(fromColumnData));
}

/** The values, or the kind of the error; any error that is not a VarveError fails the test. */
function outcome(file: Uint8Array): PlainValue[][] | ErrorKind {
  try {
    return readAll(file);
  } catch (error) {
    if (error instanceof VarveError) return error.kind;
    throw error;
  }
}

describe('a damaged Parquet file', () => {
  test('cut at any byte is corrupt', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(outcome(bytes.subarray(0, length)), `${length} bytes`).toBe('corrupt');
    }
  });

  test('with a byte of its pages changed is refused, or reads as if it were whole', () => {
    const refused = changeEachByte(4, footerAt, (file, at) => {
      const got = outcome(file);
      if (typeof got === 'string') return true;
      expect(got, `byte ${at}`).toEqual(whole);
      return false;
    });
    // Nothing but a few header fields that no reader needs may change unseen.
    expect(refused).toBeGreaterThan((footerAt - 4) * 8 * 0.9);
  });

  test('with a byte of its footer changed is refused or read, and never crashes', () => {
    const refused = changeEachByte(footerAt, bytes.length, (file) => typeof outcome(file) === 'string');
    expect(refused).toBeGreaterThan(0);
  });
});

/** Flips each bit in turn; counts for how many of them `check` says true. */
function changeEachByte(from: number, to: number, check: (file: Uint8Array, at: number) => boolean): number {
  const file = bytes.slice();
  let count = 0;
  for (let at = from; at < to; at++) {
    for (let bit = 0; bit < 8; bit++) {
      file[at]! ^= 1 << bit;
      if (check(file, at)) count += 1;
      file[at] = bytes[at]!;
    }
  }
  return count;
}

test('a file of another writer is refused as such', async () => {
  const duckDb = new DuckDbOracle();
  const path = duckDb.place(new Uint8Array());
  await duckDb.columns(`COPY (SELECT 1::BIGINT AS i) TO ${path} (FORMAT parquet)`);
  const [[content]] = (await duckDb.columns(`SELECT content FROM read_blob(${path})`)) as unknown as [
    [{ readonly bytes: Uint8Array }],
  ];
  duckDb.close();
  expect(() => readParquetSpecs(content.bytes)).toThrow(/without varve.tags.*want one that Varve wrote/);
});

test('a column that the file does not have is refused by name', () => {
  const file = writePlain([{ spec: timeSpec(), values: [1n] }]).bytes;
  expect(() => Array.from(readParquetRowGroups(file, ['load']))).toThrow(/no column load/);
});

test('only the columns asked for are read, in the order asked for', () => {
  const file = writePlain([
    { spec: timeSpec(), values: [1n, 2n] },
    { spec: fieldSpec('double', 'a', 2), values: [0.5, null] },
    { spec: fieldSpec('bigint', 'b', 3), values: [3n, 4n] },
  ]).bytes;
  const [group] = Array.from(readParquetRowGroups(file, ['b', 'a']));
  expect(group?.rowCount).toBe(2);
  expect(group?.columns.map(fromColumnData)).toEqual([
    [3n, 4n],
    [0.5, null],
  ]);
});
