import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bitsOf,
  type GivenNumbers,
  gatherNumbers,
  gatherTarget,
  type NumberType,
  type NumberValues,
  neededWidth,
  noNumbers,
  resized,
  store,
  widthOf,
} from '../../../ingest/hot/number-block.js';

const bigints = fc.oneof(
  fc.bigInt({ min: -130n, max: 130n }),
  fc.bigInt({ min: -40_000n, max: 40_000n }),
  fc.bigInt({ min: -(2n ** 33n), max: 2n ** 33n }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);
const doubles = fc.oneof(
  fc.integer({ min: -130, max: 130 }),
  fc.integer(),
  fc.constantFrom(-0, 0.5, 2 ** 31, -(2 ** 31), 127, 128, -128, -129, Number.NaN, Number.POSITIVE_INFINITY),
  fc.double(),
);

function givenOf(type: NumberType, values: readonly (number | bigint)[]): GivenNumbers {
  if (type === 'double') return Float64Array.from(values as readonly number[]);
  const longs = BigInt64Array.from(values as readonly bigint[]);
  return type === 'bigint' ? longs : new BigUint64Array(longs.buffer);
}

/** Appends the parts one after the other, as a column does. */
function stored(parts: readonly GivenNumbers[], type: NumberType): NumberValues {
  let values = noNumbers;
  let count = 0;
  for (const part of parts) {
    const width = Math.max(widthOf(values), neededWidth(part)) as 1 | 2 | 4 | 8;
    values = resized(values, type, width, count + part.length);
    store(part, values, count);
    count += part.length;
  }
  return values;
}

describe('numbers of a hot column', () => {
  for (const type of ['double', 'bigint', 'ubigint'] as const) {
    it(`keeps every bit of a ${type} however the block widens`, () => {
      const number: fc.Arbitrary<number | bigint> = type === 'double' ? doubles : bigints;
      fc.assert(
        fc.property(
          fc.array(fc.array(number, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 }),
          (parts) => {
            const given = parts.map((part) => givenOf(type, part));
            const values = stored(given, type);
            const bits = given.flatMap((part) => [
              ...new BigInt64Array(part.buffer, part.byteOffset, part.length),
            ]);
            expect(bits.map((_, at) => bitsOf(values, type, at))).toEqual(bits);
            const rows = Int32Array.from(bits, (_, at) => bits.length - 1 - at);
            const target = new BigInt64Array(bits.length);
            gatherNumbers(values, type, rows, 0x7fff, 0, rows.length, gatherTarget(target));
            expect([...target]).toEqual(bits.toReversed());
          },
        ),
      );
    });
  }

  it('takes a byte a number where all are small whole numbers', () => {
    expect(widthOf(stored([Float64Array.of(0, 100, -128)], 'double'))).toBe(1);
    expect(widthOf(stored([BigInt64Array.of(127n)], 'bigint'))).toBe(1);
    expect(widthOf(stored([BigInt64Array.of(127n), BigInt64Array.of(128n)], 'bigint'))).toBe(2);
    expect(widthOf(stored([Float64Array.of(1, -0)], 'double'))).toBe(8);
  });
});
