import { expect } from 'vitest';
import type { PlainColumn, PlainValue } from './plain-columns.js';

/** Fails with the first row that differs; -0 and 0 differ, NaN equals NaN. */
export function expectSame(
  got: readonly (readonly PlainValue[])[],
  want: readonly PlainColumn[],
  same: (left: PlainValue, right: PlainValue) => boolean = Object.is,
): void {
  expect(got.length).toBe(want.length);
  want.forEach(({ spec, values }, index) => {
    const column = got[index] ?? [];
    const row = values.findIndex((value, at) => !same(column[at] ?? null, value));
    const shown = (value: PlainValue | undefined): string => `${typeof value} ${String(value)}`;
    expect(
      row < 0
        ? 'same'
        : `column ${spec.name} row ${row}: got ${shown(column[row])}; want ${shown(values[row])}`,
    ).toBe('same');
    expect(column.length).toBe(values.length);
  });
}

/** For readers that give decimals as numbers: a bigint may be matched by the nearest double. */
export function sameAsNumber(left: PlainValue, right: PlainValue): boolean {
  if (typeof left === 'number' && typeof right === 'bigint') return left === Number(right);
  return Object.is(left, right);
}
