import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteSink } from '../../../core/parquet/byte-sink.js';
import { decodeDelta } from '../../../core/parquet/delta-decoder.js';
import { encodeDelta } from '../../../core/parquet/delta-encoder.js';
import { decodeHybrid } from '../../../core/parquet/hybrid-decoder.js';
import { bitWidthOf, encodeHybrid } from '../../../core/parquet/hybrid-encoder.js';
import { lanesOf } from '../../../core/parquet/lanes.js';
import { isVarveError } from '../../../core/std/errors.js';
import { randomNumbers } from './cases.js';

function deltaBytes(values: BigInt64Array, from = 0, to = values.length): Uint8Array {
  const sink = new ByteSink(1);
  encodeDelta(lanesOf(values), from, to, sink);
  return sink.written();
}

function deltaValues(bytes: Uint8Array, count: number): bigint[] {
  const values = new BigInt64Array(count);
  decodeDelta(bytes, 0, count, lanesOf(values), 0);
  return Array.from(values);
}

function hybridBytes(values: Int32Array, width: number): Uint8Array {
  const sink = new ByteSink(1);
  encodeHybrid(values, 0, values.length, width, sink);
  return sink.written();
}

function hybridValues(bytes: Uint8Array, count: number, width: number, limit = 2 ** width): number[] {
  const values = new Int32Array(count);
  decodeHybrid(bytes, { offset: 0, end: bytes.length, width, limit }, count, values, 0);
  return Array.from(values);
}

/** Integers near each other, near the ends of the range, and anywhere. */
const integers = fc.oneof(
  fc.bigInt({ min: -300n, max: 300n }),
  fc.bigInt({ min: 2n ** 63n - 300n, max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 63n) + 300n }),
  fc.bigInt({ min: 2n ** 31n - 5n, max: 2n ** 32n + 5n }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);

describe('delta encoding', () => {
  test('gives back any integers, wrapping where a delta leaves 64 bits', () => {
    fc.assert(
      fc.property(fc.array(integers, { maxLength: 300 }), (values) => {
        const bytes = deltaBytes(BigInt64Array.from(values));
        expect(deltaValues(bytes, values.length)).toEqual(values);
      }),
    );
  });

  test('encodes a slice as if it stood alone', () => {
    const values = BigInt64Array.from({ length: 500 }, (_, row) => BigInt(row * row));
    expect(deltaBytes(values, 100, 400)).toEqual(deltaBytes(values.slice(100, 400)));
  });

  test('has the bytes of the specification', () => {
    // Block 128 in 4 miniblocks, 5 values, first 7; least delta -2, one miniblock of 2 bits: 0, 1, 2, 3.
    expect(Array.from(deltaBytes(BigInt64Array.of(7n, 5n, 4n, 4n, 5n)))).toEqual([
      128, 1, 4, 5, 14, 3, 2, 0, 0, 0, 0b11100100, 0, 0, 0, 0, 0, 0, 0,
    ]);
  });

  test('cut at any byte is corrupt', () => {
    const random = randomNumbers(7);
    const values = BigInt64Array.from(
      { length: 300 },
      (_, row) => BigInt(random()) << BigInt((row >> 5) * 3),
    );
    const bytes = deltaBytes(values).slice();
    for (let length = 0; length < bytes.length; length++) {
      expect(() => deltaValues(bytes.subarray(0, length), 300), `${length} bytes`).toThrow(
        /Parquet page: got/,
      );
    }
  });

  test('of another count is corrupt', () => {
    expect(() => deltaValues(deltaBytes(BigInt64Array.of(1n, 2n)), 3)).toThrow(/got 2 values.*want 3/);
  });
});

describe('run-length and bit-packed encoding', () => {
  test('gives back any numbers of any width', () => {
    const runs = fc
      .integer({ min: 1, max: 24 })
      .chain((width) =>
        fc.tuple(
          fc.constant(width),
          fc.array(fc.tuple(fc.integer({ min: 0, max: 2 ** width - 1 }), fc.integer({ min: 1, max: 40 }))),
        ),
      );
    fc.assert(
      fc.property(runs, ([width, parts]) => {
        const values = parts.flatMap(([value, count]) => new Array<number>(count).fill(value));
        expect(hybridValues(hybridBytes(Int32Array.from(values), width), values.length, width)).toEqual(
          values,
        );
      }),
    );
  });

  test('writes a run as its length and value', () => {
    expect(Array.from(hybridBytes(new Int32Array(100).fill(300), 9))).toEqual([200, 1, 44, 1]);
  });

  test('has the bit order of the specification', () => {
    // The example of the format: 0 to 7 in three bits.
    const bytes = hybridBytes(Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7), 3);
    expect(Array.from(bytes)).toEqual([3, 0b10001000, 0b11000110, 0b11111010]);
  });

  test('cut at any byte is corrupt', () => {
    const random = randomNumbers(8);
    const values = Int32Array.from({ length: 400 }, (_, row) => (row % 90 < 40 ? 3 : random() % 1000));
    const bytes = hybridBytes(values, 10).slice();
    for (let length = 0; length < bytes.length; length++) {
      expect(() => hybridValues(bytes.subarray(0, length), 400, 10), `${length} bytes`).toThrow(/got/);
    }
  });

  test('refuses a number beyond the dictionary, packed or in a run', () => {
    const corrupt = (values: Int32Array): boolean => {
      try {
        hybridValues(hybridBytes(values, 3), values.length, 3, 5);
        return false;
      } catch (error) {
        return isVarveError(error, 'corrupt');
      }
    };
    expect(corrupt(new Int32Array(20).fill(4))).toBe(false);
    expect(corrupt(new Int32Array(20).fill(5))).toBe(true);
    expect(corrupt(Int32Array.of(1, 2, 3, 4, 0, 1, 2, 3))).toBe(false);
    expect(corrupt(Int32Array.of(1, 2, 3, 4, 5, 1, 2, 3))).toBe(true);
  });

  test('takes as many bits as the greatest number needs', () => {
    expect([0, 1, 2, 255, 256].map(bitWidthOf)).toEqual([0, 1, 2, 8, 9]);
  });
});
