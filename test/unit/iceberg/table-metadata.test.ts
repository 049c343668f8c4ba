import { describe, expect, test } from 'vitest';
import { decodeTableMetadata, encodeTableMetadata } from '../../../core/iceberg/table-metadata.js';
import type { TableSchema } from '../../../core/model/schema.js';
import {
  cpuColumns,
  cpuSchema,
  database,
  type Fixture,
  fixture,
  group,
  putRows,
  tableUuid,
} from './history-fixture.js';

const location = `memory:///db-0001/${tableUuid}`;

async function metadataBytes(history: Fixture): Promise<Uint8Array> {
  return history.objects.get(history.commitPoint.record.metadataKey ?? '');
}

async function sealOne(history: Fixture, schema: TableSchema, number: number): Promise<void> {
  const file = await putRows(history.objects, schema, [
    { timeNs: BigInt(number) * 1000n, host: 'a', usage: number },
  ]);
  const change = {
    kind: 'seal',
    groups: [group(number)],
    added: [file],
    properties: { 'varve.note': 'why', 'varve.groups': 'not this' },
  } as const;
  const result = await history.tables.commit({ database, table: 'cpu', change, fencingEpoch: 7 });
  expect(result.kind).toBe('committed');
}

describe('table metadata', () => {
  test('of a first commit has every member that format version 2 requires', async () => {
    const history = fixture();
    await sealOne(history, cpuSchema, 1);
    const { record } = history.commitPoint;
    const text = Buffer.from(await metadataBytes(history)).toString();
    expect(text).toContain(`"current-snapshot-id":${record.snapshotId}`);
    expect(decodeTableMetadata('first', Buffer.from(text))).toEqual({
      'format-version': 2,
      'table-uuid': tableUuid,
      location,
      'last-sequence-number': 1,
      'last-updated-ms': Date.UTC(2024, 0, 1),
      'last-column-id': 8,
      'current-schema-id': 0,
      schemas: [
        {
          type: 'struct',
          'schema-id': 0,
          fields: [
            { id: 1, name: 'time', required: true, type: 'timestamptz' },
            { id: 3, name: 'host', required: false, type: 'string', doc: 'tag' },
            { id: 4, name: 'usage', required: false, type: 'double' },
            { id: 5, name: 'ticks', required: false, type: 'long' },
            { id: 6, name: 'bytes', required: false, type: 'decimal(20, 0)' },
            { id: 7, name: 'up', required: false, type: 'boolean' },
            { id: 8, name: 'note', required: false, type: 'string' },
          ],
        },
      ],
      'default-spec-id': 0,
      'partition-specs': [
        {
          'spec-id': 0,
          fields: [{ 'source-id': 1, 'field-id': 1000, name: 'time_day', transform: 'day' }],
        },
        { 'spec-id': 1, fields: [] },
      ],
      'last-partition-id': 1000,
      'default-sort-order-id': 1,
      'sort-orders': [
        {
          'order-id': 1,
          fields: [
            { transform: 'identity', 'source-id': 3, direction: 'asc', 'null-order': 'nulls-first' },
            { transform: 'identity', 'source-id': 1, direction: 'asc', 'null-order': 'nulls-first' },
          ],
        },
      ],
      properties: { 'write.format.default': 'parquet', 'varve.database': 'metrics', 'varve.table': 'cpu' },
      'current-snapshot-id': BigInt(record.snapshotId ?? ''),
      refs: { main: { 'snapshot-id': BigInt(record.snapshotId ?? ''), type: 'branch' } },
      snapshots: [
        {
          'snapshot-id': BigInt(record.snapshotId ?? ''),
          'sequence-number': 1,
          'timestamp-ms': Date.UTC(2024, 0, 1),
          summary: {
            operation: 'append',
            'added-data-files': '1',
            'added-records': '1',
            'added-files-size': expect.stringMatching(/^\d+$/),
            'changed-partition-count': '1',
            'total-data-files': '1',
            'total-records': '1',
            'total-files-size': expect.stringMatching(/^\d+$/),
            'total-delete-files': '0',
            'total-position-deletes': '0',
            'total-equality-deletes': '0',
            'varve.groups': group(1),
            'varve.history-root': record.historyRoot,
            'varve.fencing-epoch': '7',
            'varve.note': 'why',
          },
          'manifest-list': expect.stringMatching(
            new RegExp(`^${location}/metadata/snap-${record.snapshotId}-[0-9a-f-]{36}\\.avro$`),
          ),
          'schema-id': 0,
        },
      ],
      'snapshot-log': [
        { 'timestamp-ms': Date.UTC(2024, 0, 1), 'snapshot-id': BigInt(record.snapshotId ?? '') },
      ],
      'metadata-log': [],
    });
    expect(record.metadataKey).toMatch(/\/metadata\/00001-[0-9a-f-]{36}\.metadata\.json$/);
  });

  test('grows by schema, sort order, parent and log as the table does', async () => {
    const history = fixture();
    await sealOne(history, cpuSchema, 1);
    const { metadataKey, snapshotId } = history.commitPoint.record;
    const wider: TableSchema = {
      table: 'cpu',
      columns: [...cpuColumns, { name: 'dc', kind: 'tag', type: 'string', fieldId: 9 }],
      hasTimeNs: true,
    };
    history.commitPoint.extend(wider);
    await sealOne(history, wider, 2);
    // A file that was written before the table got its newest tag is sorted by fewer.
    await sealOne(history, cpuSchema, 3);
    const metadata = decodeTableMetadata('third', await metadataBytes(history));
    expect(metadata.schemas.map((schema) => schema.fields.map((field) => field.id))).toEqual([
      [1, 3, 4, 5, 6, 7, 8],
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
    ]);
    expect(metadata['current-schema-id']).toBe(1);
    expect(metadata['last-column-id']).toBe(9);
    const sources = metadata['sort-orders'].map((order) => order.fields.map((field) => field['source-id']));
    expect(sources).toEqual([
      [3, 1],
      [9, 3, 1],
    ]);
    expect(metadata['default-sort-order-id']).toBe(2);
    expect(metadata.snapshots[1]?.['parent-snapshot-id']).toBe(BigInt(snapshotId ?? ''));
    expect(metadata.snapshots.map((snapshot) => snapshot['schema-id'])).toEqual([0, 1, 1]);
    expect(metadata['metadata-log'][0]?.['metadata-file']).toBe(`memory:///${metadataKey}`);
    expect(metadata['last-sequence-number']).toBe(3);
    const { files } = await history.another().snapshot(history.commitPoint.record);
    expect(files.map((file) => file.sortedBy).sort()).toEqual([['dc', 'host'], ['host'], ['host']]);
  });

  test('is read back as it was written, 63-bit ids included', async () => {
    const history = fixture();
    await sealOne(history, cpuSchema, 1);
    await sealOne(history, cpuSchema, 2);
    const bytes = await metadataBytes(history);
    expect(Buffer.from(encodeTableMetadata(decodeTableMetadata('it', bytes)))).toEqual(Buffer.from(bytes));
  });

  test('cut off at any byte is corrupt', async () => {
    const history = fixture();
    await sealOne(history, cpuSchema, 1);
    const bytes = await metadataBytes(history);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeTableMetadata('it', bytes.subarray(0, length))).toThrow(/want a JSON object/);
    }
  });

  test.each([
    ['{"format-version":3}', 'table metadata it: got format-version 3; want 2'],
    ['[]', 'table metadata it: got the file as []; want a JSON object'],
    ['{"format-version":2,"schemas":1}', 'table metadata it: got schemas 1; want a list'],
  ])('that reads %s is refused by name', (text, message) => {
    expect(() => decodeTableMetadata('it', Buffer.from(text))).toThrow(message);
  });
});
