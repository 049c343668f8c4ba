import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ResultBuffer } from '../../../query/formats/result-buffer.js';
import { isValid, type ResultChunk, type ResultColumn } from '../../../query/formats/result-chunk.js';

/** A value of each column of a row; null is SQL's. */
type Row = readonly (bigint | number | string | boolean | null)[];

const orNull = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> =>
  fc.option(value, { freq: 5 });
const row: fc.Arbitrary<Row> = fc.tuple(
  orNull(fc.boolean()),
  orNull(fc.integer()),
  orNull(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)),
  orNull(fc.bigInt(0n, 2n ** 64n - 1n)),
  orNull(fc.double({ noNaN: true })),
  orNull(fc.bigInt(-(2n ** 100n), 2n ** 100n)),
  orNull(fc.constantFrom('', 'a', 'b', 'é')),
  orNull(fc.constantFrom('[1]', '{}')),
);
/** Columns that never are null come without a bitmap. */
const columnOf = (rows: readonly Row[], at: number): ResultColumn => {
  const cells = rows.map((each) => each[at] ?? null);
  const validity = cells.includes(null) ? new Uint8Array((cells.length + 7) >> 3) : null;
  cells.forEach((cell, index) => {
    if (cell !== null && validity !== null) validity[index >> 3]! |= 1 << (index & 7);
  });
  const big = cells.map((cell) => (typeof cell === 'bigint' ? cell : 77n));
  const numbers = cells.map((cell) => Number(cell ?? 77));
  switch (at) {
    case 0:
      // As the engine's memory comes: a Buffer, whose methods are not those of other arrays.
      return {
        kind: 'boolean',
        validity,
        values: Buffer.from(numbers.map((value) => (value === 1 ? 1 : 0))),
      };
    case 1:
      return { kind: 'int32', validity, values: Int32Array.from(numbers) };
    case 2:
      return { kind: 'timestamp', unit: 'us', validity, values: BigInt64Array.from(big) };
    case 3:
      return { kind: 'uint64', validity, values: BigUint64Array.from(big) };
    case 4:
      return { kind: 'float64', validity, values: Float64Array.from(numbers) };
    case 5:
      return { kind: 'decimal', scale: 2, validity, values: big };
    case 6: {
      const distinct: string[] = [];
      const values = Int32Array.from(cells, (cell) => {
        if (cell === null) return 0;
        if (distinct.at(-1) !== cell) distinct.push(String(cell));
        return distinct.length - 1;
      });
      return { kind: 'text', validity, values, distinct };
    }
    default:
      return { kind: 'json', validity, values: cells.map((cell) => String(cell ?? 'x')) };
  }
};

function chunkOf(rows: readonly Row[]): ResultChunk {
  return { rowCount: rows.length, columns: Array.from({ length: 8 }, (_, at) => columnOf(rows, at)) };
}

/** What the engine does with its memory once the next chunk is asked for. */
function overwrite({ columns }: ResultChunk): void {
  for (const { values, validity } of columns) {
    if (ArrayBuffer.isView(values))
      new Uint8Array(values.buffer, values.byteOffset, values.byteLength).fill(0xee);
    validity?.fill(0xee);
  }
}

function rowsOf({ rowCount, columns }: ResultChunk): Row[] {
  return Array.from({ length: rowCount }, (_, index) =>
    columns.map((column) => {
      expect(column.values).toHaveLength(rowCount);
      if (!isValid(column.validity, index)) return null;
      if (column.kind === 'boolean') return column.values[index] === 1;
      return (
        (column.kind === 'text' ? column.distinct[column.values[index]!] : column.values[index]) ?? 'lost'
      );
    }),
  );
}

test('chunks come back as one, whatever becomes of their memory, time after time', () => {
  const batches = fc.array(fc.array(fc.array(row, { maxLength: 20 }), { maxLength: 6 }), { maxLength: 4 });
  fc.assert(
    fc.property(batches, (given) => {
      const buffer = new ResultBuffer();
      for (const chunks of given) {
        for (const rows of chunks) {
          const chunk = chunkOf(rows);
          buffer.append(chunk);
          overwrite(chunk);
        }
        const wanted = chunks.flat();
        expect(buffer.rowCount).toBe(wanted.length);
        const taken = buffer.take();
        expect(taken === undefined ? [] : rowsOf(taken)).toEqual(wanted);
        expect(taken?.columns[2]).toMatchObject(taken === undefined ? {} : { kind: 'timestamp', unit: 'us' });
        expect(buffer.take()).toBeUndefined();
      }
    }),
    { numRuns: 120 },
  );
});

test('a text that goes on from one chunk to the next stands once', () => {
  const buffer = new ResultBuffer();
  for (const texts of [
    ['a', 'b'],
    ['b', 'b'],
    ['b', 'c'],
  ]) {
    buffer.append({
      rowCount: 2,
      columns: [
        columnOf(
          texts.map((text) => Array(6).fill(0).concat(text)),
          6,
        ),
      ],
    });
  }
  expect(buffer.take()?.columns[0]).toMatchObject({ distinct: ['a', 'b', 'c'] });
});
