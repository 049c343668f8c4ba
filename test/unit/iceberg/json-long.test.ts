import { expect, test } from 'vitest';
import { parseLongJson, stringifyLongJson } from '../../../core/iceberg/json-long.js';

test('integers of 16 digits and more come back exact, as digits', () => {
  const text = '{"a":9223372036854775807,"b":-9223372036854775808,"c":9007199254740991,"d":12}';
  expect(parseLongJson(text)).toEqual({
    a: '9223372036854775807',
    b: '-9223372036854775808',
    c: '9007199254740991',
    d: 12,
  });
});

test.each([
  ['digits inside a string', { a: '12345678901234567890' }],
  ['digits and quotes inside a string', { a: 'x": 12345678901234567890, "y\\"' }],
  ['a backslash before the closing quote', { a: '\\', b: '1234567890123456789' }],
  ['fractions and exponents', { a: 1.5, b: 1e300, c: 0.1234567890123456, d: 1.25e-7 }],
  ['other JSON', { a: [null, true, false, '', {}], 'é\n': 0 }],
])('%s are kept as they are', (_, value) => {
  expect(parseLongJson(JSON.stringify(value))).toEqual(value);
  expect(stringifyLongJson(value)).toBe(JSON.stringify(value));
});

test('bigints are written as plain integers and undefined members left out', () => {
  expect(stringifyLongJson({ a: 2n ** 63n - 1n, b: undefined, c: [-1n, 'x'] })).toBe(
    '{"a":9223372036854775807,"c":[-1,"x"]}',
  );
});
