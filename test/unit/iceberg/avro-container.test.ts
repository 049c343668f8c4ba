import avro from 'avsc';
import { avroMetadata } from 'icebird/src/avro/avro.metadata.js';
import { avroRead } from 'icebird/src/avro/avro.read.js';
import { describe, expect, test } from 'vitest';
import {
  type AvroSchema,
  avroFormat,
  decodeAvroContainer,
  encodeAvroContainer,
} from '../../../core/iceberg/avro-container.js';
import type { AvroCursor } from '../../../core/iceberg/avro-cursor.js';
import { isVarveError } from '../../../core/std/errors.js';

const schema = {
  type: 'record',
  name: 'r1',
  fields: [
    { name: 'id', type: ['null', 'long'], default: null, 'field-id': 1 },
    { name: 'count', type: 'long', 'field-id': 8 },
    { name: 'text', type: ['null', 'string'], default: null, 'field-id': 9 },
    {
      name: 'sizes',
      type: {
        type: 'array',
        logicalType: 'map',
        items: {
          type: 'record',
          name: 'k10_v11',
          fields: [
            { name: 'key', type: 'int', 'field-id': 10 },
            { name: 'value', type: 'bytes', 'field-id': 11 },
          ],
        },
      },
      'field-id': 12,
    },
  ],
} as unknown as AvroSchema;
const format = avroFormat(schema);

interface TestRecord {
  readonly id: bigint | null;
  readonly count: number;
  readonly text: string | null;
  readonly sizes: readonly { readonly key: number; readonly value: Uint8Array }[];
}

const records: readonly TestRecord[] = [
  { id: 2n ** 63n - 1n, count: -1, text: 'é', sizes: [{ key: 3, value: Buffer.from([1, 2]) }] },
  { id: -(2n ** 63n), count: 2 ** 52 - 1, text: null, sizes: [] },
  { id: null, count: -(2 ** 52), text: '', sizes: [{ key: -300, value: Buffer.alloc(70, 9) }] },
];
const metadata = { content: 'data', schema: '{"type":"struct"}' };
const syncMarker = Uint8Array.from({ length: 16 }, (_, index) => index);
const bytes = encodeAvroContainer({ format, metadata, syncMarker, records });

function readRecord(cursor: AvroCursor): TestRecord {
  const id = cursor.present() ? cursor.exactLong() : null;
  const count = cursor.long();
  const text = cursor.present() ? cursor.text() : null;
  const sizes: { key: number; value: Uint8Array }[] = [];
  cursor.items(() => {
    const key = cursor.long();
    sizes.push({ key, value: Buffer.from(cursor.slice()) });
  });
  return { id, count, text, sizes };
}

function read(file: Uint8Array): TestRecord[] {
  return decodeAvroContainer('test.avro', file, format, readRecord);
}

function readIndependently(file: Uint8Array) {
  const reader = { view: new DataView(Uint8Array.from(file).buffer), offset: 0 };
  const header = avroMetadata(reader);
  return { header: header.metadata, records: avroRead({ reader, ...header }) };
}

function kindOf(action: () => unknown): string {
  try {
    action();
    return 'read';
  } catch (error) {
    return isVarveError(error) ? error.kind : `not a VarveError: ${String(error)}`;
  }
}

describe('an Avro container', () => {
  test('gives back its records, exact longs included', () => {
    expect(read(bytes)).toEqual(records);
  });

  test('is read by an independent reader, with field ids and logical types in its schema', () => {
    // icebird inflates a block again and again until a buffer is full, and runs out of stack on very small ones.
    const more = Array.from({ length: 200 }, (_, count) => ({
      id: null,
      count,
      text: `${count}é`,
      sizes: [],
    }));
    const file = encodeAvroContainer({ format, metadata, syncMarker, records: [...records, ...more] });
    const independent = readIndependently(file);
    expect(independent.records).toHaveLength(203);
    expect(independent.records.slice(0, 2)).toMatchObject([
      { id: 2n ** 63n - 1n, count: -1n, text: 'é' },
      { id: -(2n ** 63n), count: 2n ** 52n - 1n },
    ]);
    expect(independent.header['avro.schema']).toEqual(schema);
    expect(independent.header).toMatchObject({ content: 'data', 'avro.codec': 'deflate' });
  });

  test('without records has no block', () => {
    expect(read(encodeAvroContainer({ format, metadata, syncMarker, records: [] }))).toEqual([]);
  });

  test('of many records is cut into blocks', () => {
    const many = Array.from({ length: 2500 }, (_, count) => ({ id: null, count, text: null, sizes: [] }));
    const large = encodeAvroContainer({ format, metadata, syncMarker, records: many });
    expect(read(large)).toEqual(many);
    const marker = Buffer.from(syncMarker).toString('latin1');
    expect(Buffer.from(large).toString('latin1').split(marker)).toHaveLength(1 + 1 + 3);
  });

  test('has the bytes it always had', () => {
    const fields = [{ name: 'id', type: 'long', 'field-id': 1 }];
    const small = encodeAvroContainer({
      format: avroFormat({ type: 'record', name: 'r', fields } as unknown as AvroSchema),
      metadata: { content: 'data' },
      syncMarker,
      records: [{ id: 1n }],
    });
    expect(Buffer.from(small).toString('hex')).toMatchInlineSnapshot(
      `"4f626a01080e636f6e74656e740864617461146176726f2e636f6465630e6465666c617465166176726f2e736368656d61a0017b2274797065223a227265636f7264222c226e616d65223a2272222c226669656c6473223a5b7b226e616d65223a226964222c2274797065223a226c6f6e67222c226669656c642d6964223a317d5d7d1676617276652e637263333210656261616261616600000102030405060708090a0b0c0d0e0f0206630200000102030405060708090a0b0c0d0e0f"`,
    );
  });

  test('cut off at any byte is corrupt', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect([length, kindOf(() => read(bytes.subarray(0, length)))]).toEqual([length, 'corrupt']);
    }
  });

  test('with any bit flipped is corrupt', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Uint8Array.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
        expect([at, bit, kindOf(() => read(damaged))]).toEqual([at, bit, 'corrupt']);
      }
    }
  });

  test.each([
    [
      'codec',
      { 'avro.codec': 'snappy', 'avro.schema': format.schemaText },
      'got codec "snappy"; want deflate',
    ],
    [
      'schema',
      { 'avro.codec': 'deflate', 'avro.schema': '"long"' },
      'got schema "long"; want {"type":"record"',
    ],
    [
      'checksum',
      { 'avro.codec': 'deflate', 'avro.schema': format.schemaText },
      'got CRC-32 undefined; want ',
    ],
  ])('of another %s is refused by name', (_, texts, message) => {
    const header = avro.Type.forSchema({ type: 'map', values: 'bytes' });
    const entries = Object.entries(texts).map(([key, text]) => [key, Buffer.from(text)]);
    const parts = [
      Buffer.from('Obj\u0001'),
      header.toBuffer(Object.fromEntries(entries)),
      Buffer.from(syncMarker),
    ];
    expect(() => read(Buffer.concat(parts))).toThrow(message);
  });
});
