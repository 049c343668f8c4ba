import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nameDefect } from '../../../core/catalog/keys.js';
import { decodeSeriesKey, encodeSeriesKey, type Tag } from '../../../core/model/series-key.js';

/** The key by its definition, one step after the other. */
function keyByDefinition(tags: readonly Tag[]): Buffer {
  const varint = (length: number): number[] =>
    length < 0x80 ? [length] : [(length & 0x7f) | 0x80, ...varint(length >>> 7)];
  return Buffer.concat(
    tags
      .map(({ name, value }) => [Buffer.from(name), Buffer.from(value)] as const)
      .sort(([left], [right]) => Buffer.compare(left, right))
      .flat()
      .flatMap((bytes) => [Buffer.from(varint(bytes.length)), bytes]),
  );
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
  fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 200 }),
  fc.constantFrom('\uffff', '\u{1f600}', 'é', 'z', 'x'.repeat(127), 'x'.repeat(128), 'ü'.repeat(20_000)),
);

describe('the key of a series', () => {
  it('is what its definition says, whatever the tags', () => {
    const tags = fc.uniqueArray(fc.record({ name: text, value: text }), {
      selector: ({ name }) => name,
      maxLength: 6,
    });
    fc.assert(
      fc.property(tags, (given) => {
        const key = encodeSeriesKey(given);
        expect(Buffer.from(key).equals(keyByDefinition(given))).toBe(true);
        expect(new Map(decodeSeriesKey(key).map(({ name, value }) => [name, value]))).toEqual(
          new Map(given.map(({ name, value }) => [name, value])),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('keeps to itself when the next one is made', () => {
    const first = encodeSeriesKey([{ name: 'a', value: 'b' }]);
    encodeSeriesKey([{ name: 'c', value: 'd' }]);
    expect([...first]).toEqual([1, 0x61, 1, 0x62]);
  });

  it('orders names by their bytes, not by their UTF-16 units', () => {
    const key = encodeSeriesKey([
      { name: '\u{1f600}', value: '2' },
      { name: '\uffff', value: '1' },
    ]);
    expect(decodeSeriesKey(key).map(({ value }) => value)).toEqual(['1', '2']);
  });
});

describe('a name', () => {
  it.each([
    ['cpu', undefined],
    ['a b', undefined],
    ['größe', undefined],
    ['x'.repeat(256), undefined],
    ['', 'got a name of 0 bytes; want 1 to 256'],
    ['x'.repeat(257), 'got a name of 257 bytes; want 1 to 256'],
    ['ü'.repeat(129), 'got a name of 258 bytes; want 1 to 256'],
    ['a\u007f', 'got a control character; want a name without'],
    ['a\nb', 'got a control character; want a name without'],
    ['a\n', 'got a control character; want a name without'],
    ['\ud800', 'got a name that is not well-formed Unicode'],
  ])('%j', (name, defect) => {
    expect(nameDefect(name)).toBe(defect);
  });
});
