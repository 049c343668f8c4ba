import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringBytes } from '../../../core/model/columns.js';
import { ByteDictionary } from '../../../ingest/hot/byte-dictionary.js';
import { ValueOrder } from '../../../ingest/hot/value-order.js';

const giveWay = async (): Promise<void> => {};

/** Strings that share prefixes, are prefixes of one another, are empty or end in zeros. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 3, max: 2 }),
  fc.uint8Array({ maxLength: 12 }),
  fc
    .tuple(fc.integer({ min: 0, max: 40 }), fc.uint8Array({ maxLength: 5, max: 1 }))
    .map(([length, end]) => Uint8Array.of(...Array.from({ length }, () => 97), ...end)),
);

function internAll(dictionary: ByteDictionary, strings: readonly Uint8Array[]): number[] {
  // Surrounded by other bytes, as strings of a batch are.
  return strings.map((string) => dictionary.intern(Uint8Array.of(255, ...string, 255), 1, string.length + 1));
}

describe('byte dictionary', () => {
  it('numbers distinct strings in the order they come and finds them again', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 200 }), (strings) => {
        const dictionary = new ByteDictionary();
        const seen: string[] = [];
        const want = strings.map((string) => {
          const text = Buffer.from(string).toString('hex');
          if (!seen.includes(text)) seen.push(text);
          return seen.indexOf(text);
        });
        expect(internAll(dictionary, strings)).toEqual(want);
        expect(dictionary.count).toBe(seen.length);
        expect(strings.map((string) => dictionary.find(string))).toEqual(want);
        expect(dictionary.find(Uint8Array.of(9, 9, 9))).toBe(seen.indexOf('090909'));
        const packed = dictionary.pack(Int32Array.from(want));
        strings.forEach((string, at) => {
          expect(stringBytes(packed, at)).toEqual(string);
        });
      }),
    );
  });

  it('finds tens of thousands of strings', () => {
    const dictionary = new ByteDictionary();
    const strings = Array.from({ length: 30_000 }, (_, at) => Buffer.from(`host_${at}`));
    const numbers = strings.map((_, at) => at);
    expect(internAll(dictionary, strings)).toEqual(numbers);
    expect(internAll(dictionary, strings)).toEqual(numbers);
    expect(dictionary.find(Buffer.from('host_30000'))).toBe(-1);
  });
});

describe('order of values', () => {
  it('ranks strings by their bytes, those added later too', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(bytes, { maxLength: 90 }), { maxLength: 4 }), async (rounds) => {
        const dictionary = new ByteDictionary();
        const order = new ValueOrder(dictionary);
        for (const strings of rounds) {
          internAll(dictionary, strings);
          const all = Array.from({ length: dictionary.count }, (_, number) => {
            const packed = dictionary.pack(Int32Array.of(number));
            return { number, string: packed.bytes };
          });
          all.sort((left, right) => Buffer.compare(left.string, right.string));
          const want = new Int32Array(all.length + 1);
          all.forEach(({ number }, rank) => {
            want[number + 1] = rank + 1;
          });
          expect(await order.ranks(giveWay)).toEqual(want);
        }
      }),
    );
  });

  it('orders strings that differ only after tens of thousands of bytes', async () => {
    const dictionary = new ByteDictionary();
    const order = new ValueOrder(dictionary);
    const strings = Array.from({ length: 60 }, (_, at) =>
      Buffer.from(`${'x'.repeat(40_000)}${String.fromCharCode(160 - at)}`),
    );
    internAll(dictionary, strings);
    expect(await order.ranks(giveWay)).toEqual(Int32Array.of(0, ...strings.map((_, at) => 60 - at)));
  });

  it('orders strings that differ in the number of zeros at their end alone', async () => {
    const dictionary = new ByteDictionary();
    const lengths = Array.from({ length: 60 }, (_, at) => (at * 7) % 60);
    internAll(
      dictionary,
      lengths.map((length) => new Uint8Array(length)),
    );
    const ranks = await new ValueOrder(dictionary).ranks(giveWay);
    expect(ranks).toEqual(Int32Array.of(0, ...lengths.map((length) => length + 1)));
  });

  it('gives two scans at once ranks that each belong together', async () => {
    const dictionary = new ByteDictionary();
    const order = new ValueOrder(dictionary);
    internAll(dictionary, [Buffer.from('b'), Buffer.from('d')]);
    const first = order.ranks(giveWay);
    internAll(dictionary, [Buffer.from('a'), Buffer.from('c')]);
    const second = order.ranks(giveWay);
    expect([await first, await second]).toEqual([Int32Array.of(0, 1, 2), Int32Array.of(0, 2, 4, 1, 3)]);
    expect(await order.ranks(giveWay)).toEqual(Int32Array.of(0, 2, 4, 1, 3));
  });
});
