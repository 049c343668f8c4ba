import { tableFromArrays, tableToIPC } from 'apache-arrow';
import { describe, expect, it } from 'vitest';
import { decodeArrowRows } from '../../../core/codec/arrow-decoder.js';
import { ArrowStreamEncoder } from '../../../core/codec/arrow-encoder.js';
import { ArrowRoom } from '../../../core/codec/arrow-room.js';
import { packStrings } from '../../../core/model/columns.js';
import { VarveError } from '../../../core/std/errors.js';
import { plainRows } from '../../support/naive-hot-tier.js';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A stream of two batches with every kind of column, some rows without some of them. */
function smallStream(): Uint8Array[] {
  const encoder = new ArrowStreamEncoder([
    { kind: 'tag', name: 'host', dictionary: packStrings([text('a'), text('bé')]) },
    { kind: 'double', name: 'load' },
    { kind: 'bigint', name: 'count' },
    { kind: 'ubigint', name: 'total' },
    { kind: 'boolean', name: 'up' },
    { kind: 'string', name: 'note' },
  ]);
  const pieces: Uint8Array[] = [];
  for (const nullCount of [0, 1]) {
    const room = new ArrowRoom(3, [
      { kind: 'tag', nullCount, textBytes: 0 },
      { kind: 'double', nullCount, textBytes: 0 },
      { kind: 'bigint', nullCount, textBytes: 0 },
      { kind: 'ubigint', nullCount: 0, textBytes: 0 },
      { kind: 'boolean', nullCount, textBytes: 0 },
      { kind: 'string', nullCount, textBytes: 3 },
    ]);
    room.timesNs.set([1n, 2n, 3n]);
    for (const { validity } of room.columns) if (validity !== null) validity[0] = 0b101;
    const [host, load, count, total, up, note] = room.columns;
    host?.words.set([1, 0, 0]);
    new Float64Array(room.body.buffer, load?.longs.byteOffset, 3).set([1.5, -0, 2]);
    count?.longs.set([-1n, 2n ** 62n + 3n, 0n]);
    new BigUint64Array(room.body.buffer, total?.longs.byteOffset, 3).set([0n, 2n ** 64n - 1n, 1n]);
    up?.bytes.set([0b101]);
    note?.words.set([0, 2, 2, 3]);
    note?.bytes.set(text('éz'));
    pieces.push(...encoder.batch(room));
  }
  return [...pieces, encoder.end()];
}

async function* cut(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.slice(at, at + length);
}

const whole = Buffer.concat(smallStream());
const rows = [
  { tags: { host: 'bé' }, timeNs: 1n, fields: { load: 1.5, count: -1n, total: 0n, up: true, note: 'é' } },
  {
    tags: { host: 'a' },
    timeNs: 2n,
    fields: { load: -0, count: 2n ** 62n + 3n, total: 2n ** 64n - 1n, up: false, note: '' },
  },
  { tags: { host: 'a' }, timeNs: 3n, fields: { load: 2, count: 0n, total: 1n, up: true, note: 'z' } },
];
const sparse = [rows[0], { tags: {}, timeNs: 2n, fields: { total: 2n ** 64n - 1n } }, rows[2]];

describe('rows as an Arrow stream', () => {
  it('come back as they were written', async () => {
    expect(await plainRows(cut(whole, whole.length))).toEqual([...rows, ...sparse]);
  });

  it('come back however the stream is cut into pieces', async () => {
    for (const length of [1, 2, 3, 7, 8, 13, 64, 100, 1000]) {
      expect(await plainRows(cut(whole, length)), `pieces of ${length} bytes`).toEqual([...rows, ...sparse]);
    }
  });

  it('are not taken for complete when the stream is cut off, wherever', async () => {
    for (let length = 0; length < whole.length; length++) {
      const read = plainRows(cut(whole.subarray(0, length), 64));
      await expect(read, `${length} of ${whole.length} bytes`).rejects.toMatchObject({
        kind: 'unavailable',
      });
    }
  });

  it('are views of the pieces', async () => {
    const pieces = smallStream();
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield* pieces;
    };
    for await (const { timesNs, tags, fields } of decodeArrowRows(source())) {
      const body = pieces.find((piece) => piece.buffer === timesNs.buffer);
      expect(body).toBeDefined();
      for (const field of fields) {
        if (field.type === 'boolean') continue;
        const values = field.type === 'string' ? field.values.bytes : field.values;
        expect(values.buffer, field.name).toBe(body?.buffer);
      }
      expect(tags).toHaveLength(1);
    }
  });

  it('fail with the error of their source', async () => {
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield whole.subarray(0, 100);
      throw new VarveError('not-found', 'gone');
    };
    await expect(plainRows(source())).rejects.toMatchObject({ kind: 'not-found', message: 'gone' });
  });

  it('let go of their source when the reader leaves early', async () => {
    let left = false;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield* smallStream();
      } finally {
        left = true;
      }
    };
    for await (const batch of decodeArrowRows(source())) {
      expect(batch.rowCount).toBe(3);
      break;
    }
    expect(left).toBe(true);
  });

  it('refuse bytes that are something else', async () => {
    const strange = [Buffer.from([255, 255, 255, 255, 8, 0, 0, 0]), new Uint8Array(16).fill(200)];
    const untimed = tableToIPC(tableFromArrays({ load: Float64Array.of(1) }), 'stream');
    for (const bytes of [Buffer.concat([...strange, whole.subarray(-8)]), untimed]) {
      await expect(plainRows(cut(bytes, 64))).rejects.toMatchObject({ kind: 'corrupt' });
    }
  });
});
