import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFrames, encodeFrames } from '../../../core/codec/frame-stream.js';
import { VarveError } from '../../../core/std/errors.js';

async function* of(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return all;
}

const encode = async (...pieces: readonly Uint8Array[]): Promise<Buffer> =>
  Buffer.concat(await collect(encodeFrames(of(...pieces))));
const decode = (...chunks: readonly Uint8Array[]): Promise<Buffer[]> =>
  collect(decodeFrames(of(...chunks), 'node n1'));

/** The bytes in chunks of at most `length`. */
function cut(bytes: Uint8Array, length: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / length) }, (_, at) =>
    bytes.subarray(at * length, (at + 1) * length),
  );
}

describe('frames', () => {
  it('give back the pieces, however their bytes are cut on the way', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 50 }),
        async (pieces, length) => {
          const bytes = await encode(...pieces);
          expect(await decode(...cut(bytes, length))).toEqual(pieces.map((piece) => Buffer.from(piece)));
        },
      ),
    );
  });

  it('are these bytes', async () => {
    expect((await encode(Uint8Array.of(7, 8), new Uint8Array(0))).toString('hex')).toBe(
      '00020000000708' + '0000000000' + '0100000000',
    );
  });

  it('that break off anywhere are unavailable', async () => {
    const bytes = await encode(Uint8Array.of(1, 2, 3), Uint8Array.of(4));
    for (let length = 0; length < bytes.length; length++) {
      await expect(decode(bytes.subarray(0, length))).rejects.toMatchObject({ kind: 'unavailable' });
    }
  });

  it('carry the error that ends them, and nothing may follow the end', async () => {
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1);
      throw new VarveError('not-found', 'it was dropped');
    };
    const bytes = Buffer.concat(await collect(encodeFrames(failing())));
    await expect(decode(bytes)).rejects.toMatchObject({ kind: 'not-found', message: 'it was dropped' });
    await expect(decode(bytes, Uint8Array.of(0))).rejects.toMatchObject({ kind: 'corrupt' });
    await expect(decode(await encode(), Uint8Array.of(0))).rejects.toMatchObject({ kind: 'corrupt' });
  });

  it.each([
    ['an unknown kind', '0300000000'],
    ['an end with a length', '0101000000ff'],
    ['a frame that is too long', '00ffffffff'],
    ['an error that is no JSON', '0202000000abcd'],
  ])('with %s are corrupt', async (_, hex) => {
    await expect(decode(Buffer.from(hex, 'hex'))).rejects.toMatchObject({ kind: 'corrupt' });
  });
});
