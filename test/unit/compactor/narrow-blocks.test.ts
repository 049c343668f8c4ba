import { describe, expect, it } from 'vitest';
import { fieldGathererOf } from '../../../compactor/rows/field-gatherers.js';
import type { FieldValues, NarrowValues } from '../../../compactor/rows/row-block.js';
import { type NarrowIntegers, widen } from '../../../core/codec/narrow-integers.js';

const numbers = [
  Int8Array.of(0, -1, 127, -128, 5),
  Int16Array.of(0, -1, 32_767, -32_768, 5),
  Int32Array.of(0, -1, 2 ** 31 - 1, -(2 ** 31), 5),
];
const types = ['double', 'bigint', 'ubigint'] as const;
const cases = numbers.flatMap((narrow) => types.map((type) => ({ narrow, type })));

function given(
  narrow: NarrowIntegers,
  type: NarrowValues['type'],
  validity: Uint8Array | null,
): readonly [NarrowValues, FieldValues] {
  const wide = { kind: 'field', type, values: widen(narrow, type), validity } as FieldValues;
  return [{ kind: 'narrow', type, narrow, validity }, wide];
}

describe('numbers of few bytes in a row group', () => {
  it.each(cases)('are those of 64 bits ($type of $narrow.BYTES_PER_ELEMENT bytes)', ({ narrow, type }) => {
    const [few, many] = [fieldGathererOf(type, 16), fieldGathererOf(type, 16)];
    for (const validity of [null, Uint8Array.of(1, 0, 1, 1, 0)]) {
      const [short, long] = given(narrow, type, validity);
      for (const [from, to, at] of [
        [1, 5, 0],
        [0, 3, 4],
      ] as const) {
        few.append(short, from, to, at);
        many.append(long, from, to, at);
      }
      expect(few.gathered(7)).toEqual(many.gathered(7));
    }
  });

  it.each(cases)(
    'are laid over others alike ($type of $narrow.BYTES_PER_ELEMENT bytes)',
    ({ narrow, type }) => {
      const [few, many] = [fieldGathererOf(type, 16), fieldGathererOf(type, 16)];
      const [short, long] = given(narrow, type, null);
      few.append(short, 0, 2, 0);
      many.append(long, 0, 2, 0);
      for (let row = 0; row < narrow.length; row++) {
        expect([few.overlay(short, row, 1), many.overlay(long, row, 1)]).toEqual([true, true]);
        expect(few.gathered(2)).toEqual(many.gathered(2));
        expect(few.overlay(short, row, 1)).toBe(false);
      }
    },
  );

  it('mean what a column of their type means', () => {
    expect([...widen(Int8Array.of(-1, 127), 'double')]).toEqual([-1, 127]);
    expect([...widen(Int16Array.of(-1, 300), 'bigint')]).toEqual([-1n, 300n]);
    expect([...widen(Int32Array.of(-1, 300), 'ubigint')]).toEqual([2n ** 64n - 1n, 300n]);
  });
});
