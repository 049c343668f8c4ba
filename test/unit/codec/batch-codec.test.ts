import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBatch, encodeBatch, readBatchHeader } from '../../../core/codec/batch-codec.js';
import type { Batch, GroupId, NodeId } from '../../../core/model/batch.js';
import { type FieldColumn, packStrings, type TableRows } from '../../../core/model/columns.js';
import { encodeSeriesKey } from '../../../core/model/series-key.js';
import { VarveError } from '../../../core/std/errors.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function batchOf(tables: readonly TableRows[], overrides: Partial<Batch> = {}): Batch {
  return {
    id: { origin: 'node-1' as NodeId, epoch: 3, sequence: 42 },
    stamp: 0x0123_4567_89ab_cdefn,
    database: 'metrics',
    group: 'w000000000007' as GroupId,
    shard: 2,
    tables,
    ...overrides,
  };
}

/** Two series, three rows, a column of every type. */
function sampleTable(): TableRows {
  return {
    table: 'cpu',
    rowCount: 3,
    seriesKeys: packStrings([encodeSeriesKey([{ name: 'host', value: 'a' }]), new Uint8Array(0)]),
    series: Int32Array.of(0, 1, 0),
    timesNs: BigInt64Array.of(1n, -2n, 1_700_000_000_000_000_000n),
    fields: [
      { name: 'half', type: 'double', validity: null, values: Float64Array.of(0.5, Number.NaN, -0) },
      {
        name: 'whole',
        type: 'double',
        validity: Uint8Array.of(1, 0, 1),
        values: Float64Array.of(1, 0, -300),
      },
      { name: 'int', type: 'bigint', validity: null, values: BigInt64Array.of(-1n, 127n, -128n) },
      { name: 'uint', type: 'ubigint', validity: null, values: BigUint64Array.of(0n, 2n ** 64n - 1n, 5n) },
      { name: 'up', type: 'boolean', validity: null, values: Uint8Array.of(1, 0, 1) },
      { name: 'état', type: 'string', validity: null, values: packStrings(['ok', '', 'ü€😀'].map(utf8)) },
    ],
  };
}

const sample = (): Batch => batchOf([sampleTable()]);

const corrupt = (bytes: Uint8Array): VarveError => {
  try {
    decodeBatch(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(VarveError);
    expect(error).toMatchObject({ kind: 'corrupt' });
    return error as VarveError;
  }
  throw new Error('want a refusal');
};

/** Makes the checksum hold again, so that what lies behind it is reached. */
function reseal(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(12, crc32(bytes.subarray(16)), true);
  return bytes;
}

describe('round trip', () => {
  it('gives back a batch with a column of every type', () => {
    const batch = sample();
    expect(decodeBatch(encodeBatch(batch).bytes)).toEqual(batch);
  });

  it('gives back -0, NaN with its bits, and the extremes of integers', () => {
    const nan = new Float64Array(new BigUint64Array([0x7ff8_0000_dead_beefn]).buffer);
    const table: TableRows = {
      ...sampleTable(),
      fields: [
        { name: 'z', type: 'double', validity: null, values: Float64Array.of(-0, 0, 1) },
        { name: 'n', type: 'double', validity: null, values: Float64Array.of(1, nan[0]!, 2) },
        {
          name: 'i',
          type: 'bigint',
          validity: null,
          values: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 0n),
        },
      ],
    };
    const decoded = decodeBatch(encodeBatch(batchOf([table])).bytes);
    expect(decoded).toEqual(batchOf([table]));
    expect(Object.is((decoded.tables[0]!.fields[0]!.values as Float64Array)[0], -0)).toBe(true);
  });

  const widths: readonly (readonly [string, readonly bigint[], number])[] = [
    ['one byte', [-128n, 127n], 8],
    ['two bytes', [128n, -129n], 8],
    ['two bytes at the edge', [32_767n, -32_768n], 8],
    ['four bytes', [32_768n], 8],
    ['four bytes at the edge', [2n ** 31n - 1n, -(2n ** 31n)], 8],
    ['eight bytes above', [2n ** 31n], 8],
    ['eight bytes below', [-(2n ** 31n) - 1n], 8],
  ];
  it.each(widths)('narrows integers to %s and back', (_, values) => {
    for (const type of ['bigint', 'double'] as const) {
      const field: FieldColumn =
        type === 'bigint'
          ? { name: 'v', type, validity: null, values: BigInt64Array.from(values) }
          : { name: 'v', type, validity: null, values: Float64Array.from(values, Number) };
      const rowCount = values.length;
      const table = {
        ...sampleTable(),
        rowCount,
        series: new Int32Array(rowCount),
        timesNs: new BigInt64Array(rowCount),
        fields: [field],
      };
      expect(decodeBatch(encodeBatch(batchOf([table])).bytes)).toEqual(batchOf([table]));
    }
  });

  it('takes columns that are parts of larger arrays, and strings that begin inside their bytes', () => {
    const all = packStrings(['skipped', 'a', 'bc'].map(utf8));
    const table: TableRows = {
      table: 't',
      rowCount: 2,
      seriesKeys: { offsets: all.offsets.subarray(1), bytes: all.bytes },
      series: Int32Array.of(9, 0, 1).subarray(1),
      timesNs: BigInt64Array.of(9n, 1n, 2n).subarray(1),
      fields: [
        { name: 'f', type: 'double', validity: null, values: Float64Array.of(9, 0.5, 1.5).subarray(1) },
        {
          name: 's',
          type: 'string',
          validity: null,
          values: { offsets: all.offsets.subarray(1), bytes: all.bytes },
        },
      ],
    };
    const [decoded] = decodeBatch(encodeBatch(batchOf([table])).bytes).tables;
    expect(decoded!.seriesKeys).toEqual(packStrings(['a', 'bc'].map(utf8)));
    expect(decoded!.series).toEqual(Int32Array.of(0, 1));
    expect(decoded!.fields[0]!.values).toEqual(Float64Array.of(0.5, 1.5));
    expect(decoded!.fields[1]!.values).toEqual(packStrings(['a', 'bc'].map(utf8)));
  });

  it('holds for random batches, and equal batches have equal bytes', () => {
    fc.assert(
      fc.property(randomBatch(), (batch) => {
        const encoded = encodeBatch(batch);
        expect(decodeBatch(encoded.bytes)).toEqual(batch);
        expect(encodeBatch(decodeBatch(encoded.bytes)).bytes).toEqual(encoded.bytes);
        const { bytes, hash, ...header } = readBatchHeader(encoded.bytes);
        const { tables, ...wanted } = batch;
        expect(header).toEqual(wanted);
        expect(hash).toEqual(encoded.hash);
        expect(bytes).toBe(encoded.bytes);
      }),
      { numRuns: 300 },
    );
  });

  it('decodes columns as views when the bytes are aligned, and copies once when they are not', () => {
    const { bytes } = encodeBatch(sample());
    const table = decodeBatch(bytes).tables[0]!;
    for (const array of [table.timesNs, table.series, table.fields[0]!.values as Float64Array]) {
      expect(array.buffer).toBe(bytes.buffer);
    }
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    const decoded = decodeBatch(shifted.subarray(3));
    expect(decoded).toEqual(sample());
    expect(decoded.tables[0]!.timesNs.buffer).not.toBe(shifted.buffer);
  });
});

describe('what is not a whole batch is refused', () => {
  it('when cut at any byte, or longer', () => {
    const { bytes } = encodeBatch(sample());
    for (let length = 0; length < bytes.length; length++) corrupt(bytes.slice(0, length));
    const longer = new Uint8Array(bytes.length + 8);
    longer.set(bytes);
    corrupt(longer);
  });

  it('when any bit is flipped', () => {
    const { bytes } = encodeBatch(sample());
    for (let at = 0; at < bytes.length * 8; at++) {
      const flipped = bytes.slice();
      flipped[at >> 3]! ^= 1 << (at & 7);
      corrupt(flipped);
      expect(() => readBatchHeader(flipped)).toThrow(VarveError);
    }
  });

  it('when a byte is changed and the checksum made to fit: a value changes, or it is refused', () => {
    const { bytes } = encodeBatch(sample());
    let refused = 0;
    for (let at = 16; at < bytes.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const changed = bytes.slice();
        changed[at] = value;
        try {
          decodeBatch(reseal(changed));
        } catch (error) {
          expect(error).toMatchObject({ name: 'VarveError', kind: 'corrupt' });
          refused += 1;
        }
      }
    }
    expect(refused).toBeGreaterThan(200);
  });

  it('naming offset, got and want', () => {
    const { bytes } = encodeBatch(sample());
    const changed = bytes.slice();
    changed[8] = 1;
    expect(corrupt(changed).message).toMatch(/at offset 8 got length \d+; want \d+/);
  });

  it('of an unknown version, by name', () => {
    const bytes = encodeBatch(sample()).bytes.slice();
    bytes[4] = 9;
    expect(corrupt(bytes).message).toBe('got a batch of format version 9; want version 1');
  });

  it('that claims more rows than it has bytes, before any memory is taken for them', () => {
    const bytes = encodeBatch(sample()).bytes.slice();
    const table = 56 + Math.ceil((6 + 7 + 13) / 8) * 8;
    new DataView(bytes.buffer).setUint32(table + 4, 0xffff_fff0, true);
    expect(corrupt(reseal(bytes)).message).toMatch(/takes \d+ bytes; got \d+/);
  });

  it('whose strings are not UTF-8, apart or together', () => {
    const euro = utf8('€');
    const make = (offsets: Int32Array, bytes: Uint8Array): Uint8Array => {
      const rowCount = offsets.length - 1;
      const table: TableRows = {
        ...sampleTable(),
        rowCount,
        series: new Int32Array(rowCount),
        timesNs: new BigInt64Array(rowCount),
        fields: [{ name: 's', type: 'string', validity: null, values: { offsets, bytes } }],
      };
      return encodeBatch(batchOf([table])).bytes;
    };
    corrupt(make(Int32Array.of(0, 2), euro.subarray(0, 2)));
    corrupt(make(Int32Array.of(0, 1, 3), euro));
    corrupt(make(Int32Array.of(0, 3, 1, 3), euro));
  });

  it('whatever random bytes are tried', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        corrupt(bytes);
      }),
    );
  });
});

describe('size', () => {
  it('of ten columns of small whole numbers is a fifth of what they take in memory', () => {
    const rowCount = 10_000;
    const fields = Array.from({ length: 10 }, (_, index): FieldColumn => {
      const values = BigInt64Array.from({ length: rowCount }, (_, row) => BigInt((row * (index + 3)) % 101));
      return { name: `usage_${index}`, type: 'bigint', validity: null, values };
    });
    const table = {
      ...sampleTable(),
      rowCount,
      series: new Int32Array(rowCount),
      timesNs: new BigInt64Array(rowCount),
      fields,
    };
    expect(encodeBatch(batchOf([table])).bytes.length / rowCount).toBeLessThan(22.1);
  });
});

describe('format', () => {
  it('has the golden bytes of version 1', () => {
    const table: TableRows = {
      table: 'm',
      rowCount: 2,
      seriesKeys: packStrings([encodeSeriesKey([{ name: 'h', value: 'x' }])]),
      series: Int32Array.of(0, 0),
      timesNs: BigInt64Array.of(1n, 2n),
      fields: [
        { name: 'd', type: 'double', validity: Uint8Array.of(1, 0), values: Float64Array.of(0.5, 0) },
        { name: 'i', type: 'bigint', validity: null, values: BigInt64Array.of(-1n, 300n) },
        { name: 's', type: 'string', validity: null, values: packStrings(['a', 'bc'].map(utf8)) },
      ],
    };
    const batch = batchOf([table], {
      id: { origin: 'n' as NodeId, epoch: 1, sequence: 2 },
      stamp: 3n,
      database: 'db',
      group: 'w1' as GroupId,
      shard: 4,
    });
    const { bytes, hash } = encodeBatch(batch);
    const words = Buffer.from(bytes)
      .toString('hex')
      .match(/.{1,16}/g);
    expect(words).toMatchInlineSnapshot(`
      [
        "5642415401000000",
        "d800000020c09cb8",
        "0300000000000000",
        "0100000000000000",
        "0200000000000000",
        "0400000001000000",
        "0100020002000000",
        "6e64627731000000",
        "9800000002000000",
        "0100000004000000",
        "0300000001000000",
        "0108010001000000",
        "0202000001000000",
        "0500000001000000",
        "6d64697300000000",
        "0000000004000000",
        "0168017800000000",
        "0000000000000000",
        "0100000000000000",
        "0200000000000000",
        "0100000000000000",
        "000000000000e03f",
        "0000000000000000",
        "ffff2c0100000000",
        "0000000001000000",
        "0300000000000000",
        "6162630000000000",
      ]
    `);
    expect(Buffer.from(hash).toString('hex')).toMatchInlineSnapshot(`"3c9abadef33897272d783c418857248e"`);
  });
});

function randomBatch(): fc.Arbitrary<Batch> {
  return fc
    .record({
      origin: fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/),
      epoch: fc.maxSafeNat(),
      sequence: fc.maxSafeNat(),
      stamp: fc.bigInt(0n, 2n ** 64n - 1n),
      database: fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
      shard: fc.nat(),
      tables: fc.array(randomTable(), { maxLength: 3 }),
    })
    .map(({ origin, epoch, sequence, ...rest }) => ({
      ...rest,
      group: 'l000000000001' as GroupId,
      id: { origin: origin as NodeId, epoch, sequence },
    }));
}

function randomTable(): fc.Arbitrary<TableRows> {
  return fc.nat({ max: 40 }).chain((rowCount) => {
    const rows = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
      fc.array(value, { minLength: rowCount, maxLength: rowCount });
    const name = fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' });
    const bit = fc.nat({ max: 1 });
    const column = fc.oneof(
      rows(fc.oneof(fc.double(), fc.integer().map(Number))).map((v) => ({
        type: 'double' as const,
        values: Float64Array.from(v),
      })),
      rows(fc.bigInt(-128n, 127n)).map((v) => ({ type: 'bigint' as const, values: BigInt64Array.from(v) })),
      rows(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)).map((v) => ({
        type: 'bigint' as const,
        values: BigInt64Array.from(v),
      })),
      rows(fc.oneof(fc.bigInt(0n, 70_000n), fc.bigInt(0n, 2n ** 64n - 1n))).map((v) => ({
        type: 'ubigint' as const,
        values: BigUint64Array.from(v),
      })),
      rows(bit).map((v) => ({ type: 'boolean' as const, values: Uint8Array.from(v) })),
      rows(fc.string({ unit: 'grapheme' })).map((v) => ({
        type: 'string' as const,
        values: packStrings(v.map(utf8)),
      })),
    );
    const field = fc.tuple(name, fc.option(rows(bit)), column).map(
      ([fieldName, validity, values]): FieldColumn => ({
        name: fieldName,
        validity: validity === null ? null : Uint8Array.from(validity),
        ...values,
      }),
    );
    return fc
      .record({
        table: name,
        keys: fc.array(fc.uint8Array({ maxLength: 9 }), { minLength: 1, maxLength: 5 }),
        numbers: rows(fc.nat()),
        times: rows(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)),
        fields: fc.array(field, { minLength: 1, maxLength: 6 }),
      })
      .map(({ table, keys, numbers, times, fields }) => ({
        table,
        rowCount,
        seriesKeys: packStrings(keys),
        series: Int32Array.from(numbers, (number) => number % keys.length),
        timesNs: BigInt64Array.from(times),
        fields,
      }));
  });
}
