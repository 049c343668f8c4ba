import { avroMetadata } from 'icebird/src/avro/avro.metadata.js';
import { avroRead } from 'icebird/src/avro/avro.read.js';
import { expect, test } from 'vitest';
import { decodeAvroContainer, encodeAvroContainer } from '../../../core/iceberg/avro-container.js';
import { timeBoundsOf } from '../../../core/iceberg/file-statistics.js';
import { encodeManifest, type ManifestEntry } from '../../../core/iceberg/manifest.js';
import { manifestEntryFormat } from '../../../core/iceberg/manifest-avro-schemas.js';
import { manifestContext } from '../../../core/iceberg/manifest-context.js';
import { decodeManifest } from '../../../core/iceberg/manifest-decoder.js';
import {
  decodeManifestList,
  describeManifest,
  encodeManifestList,
  type ManifestFile,
} from '../../../core/iceberg/manifest-list.js';
import { daySpec, type PartitionSpec, spanSpec } from '../../../core/iceberg/partition-spec.js';
import { sortFields } from '../../../core/iceberg/sort-order.js';
import { type IcebergSchema, icebergFields } from '../../../core/iceberg/table-schema.js';
import type { DataFile } from '../../../core/iceberg/types.js';
import { cpuSchema, fixture, putRows } from './history-fixture.js';

const schema: IcebergSchema = { type: 'struct', 'schema-id': 4, fields: icebergFields(cpuSchema) };
const { objects } = fixture();
const uris = { uriOf: (key: string) => objects.uriOf(key), keyOf: (uri: string) => objects.keyOf(uri) };
const context = manifestContext(uris, [{ 'order-id': 1, fields: sortFields(cpuSchema, ['host']) }], schema);
const syncMarker = new Uint8Array(16).fill(7);

async function file(timeNs: bigint, sequence: number, day?: number | null): Promise<DataFile> {
  const rows = [
    { timeNs, host: null, usage: Number.NaN, note: 'n'.repeat(40) },
    { timeNs: timeNs + 1000n, host: 'é', usage: 1, bytes: 7n, up: true },
  ];
  return { ...(await putRows(objects, cpuSchema, rows, day)), sequence };
}

async function entries(): Promise<ManifestEntry[]> {
  return [
    { status: 'added', snapshotId: 2n ** 63n - 1n, fileSequence: 9, file: await file(-5_000_000n, 4) },
    { status: 'existing', snapshotId: 5n, fileSequence: 3, file: await file(86_400_000_000_000n, 3) },
    { status: 'deleted', snapshotId: 2n ** 63n - 1n, fileSequence: 1, file: await file(0n, 1) },
  ];
}

function lineOf(spec: PartitionSpec, listed: readonly ManifestEntry[]): ManifestFile {
  return describeManifest({ key: 'm.avro', bytes: 1, spec, sequence: 12, snapshotId: 34n, entries: listed });
}

function readIndependently(bytes: Uint8Array) {
  const reader = { view: new DataView(Uint8Array.from(bytes).buffer), offset: 0 };
  const header = avroMetadata(reader);
  return { header: header.metadata, records: avroRead({ reader, ...header }) };
}

test('a manifest is read back as it was written', async () => {
  const written = await entries();
  const bytes = encodeManifest({ schema, spec: daySpec, entries: written, context, syncMarker });
  expect(decodeManifest(lineOf(daySpec, written), bytes, context)).toEqual(written);
});

test('a manifest of files that span days is read back as it was written', async () => {
  const written: ManifestEntry[] = [
    { status: 'added', snapshotId: 3n, fileSequence: 9, file: await file(7000n, 9, null) },
  ];
  const bytes = encodeManifest({ schema, spec: spanSpec, entries: written, context, syncMarker });
  expect(decodeManifest(lineOf(spanSpec, written), bytes, context)).toEqual(written);
});

test('an independent reader finds header, numbers, partition and statistics in a manifest', async () => {
  const written = await entries();
  const bytes = encodeManifest({ schema, spec: daySpec, entries: written, context, syncMarker });
  const { header, records } = readIndependently(bytes);
  expect(header).toMatchObject({
    schema: JSON.parse(JSON.stringify(schema)),
    'schema-id': '4',
    'partition-spec': JSON.stringify(daySpec.fields),
    'partition-spec-id': '0',
    'format-version': '2',
    content: 'data',
  });
  const first = written[0]?.file;
  expect(records).toHaveLength(3);
  expect(records[0]).toMatchObject({
    status: 1,
    snapshot_id: 2n ** 63n - 1n,
    sequence_number: 4n,
    file_sequence_number: 9n,
    data_file: {
      content: 0,
      file_path: objects.uriOf(first?.key ?? ''),
      file_format: 'PARQUET',
      partition: { time_day: new Date(-86_400_000) },
      record_count: 2n,
      file_size_in_bytes: BigInt(first?.bytes ?? 0),
      nan_value_counts: [{ key: 4, value: 1n }],
      split_offsets: [4n],
      sort_order_id: 1,
    },
  });
  const data = records[0]?.['data_file'];
  const ids = [1, 3, 4, 5, 6, 7, 8];
  for (const name of ['column_sizes', 'value_counts', 'null_value_counts']) {
    expect(data[name].map((item: { key: number }) => item.key)).toEqual(ids);
  }
  const nulls = new Map(
    data.null_value_counts.map((item: { key: number; value: bigint }) => [item.key, item.value]),
  );
  expect([...nulls.values()]).toEqual([0n, 1n, 0n, 2n, 1n, 1n, 1n]);
  const lower = new Map(
    data.lower_bounds.map((item: { key: number; value: Uint8Array }) => [item.key, Buffer.from(item.value)]),
  );
  expect(lower.get(1)).toEqual(Buffer.from(BigInt64Array.of(-5000n).buffer));
  expect(lower.get(3)).toEqual(Buffer.from('é'));
  expect(lower.has(5)).toBe(false);
  expect(data.equality_ids).toBeUndefined();
});

test('the schema in the file carries the field ids of the specification', async () => {
  const bytes = encodeManifest({ schema, spec: daySpec, entries: await entries(), context, syncMarker });
  const ids: Record<string, number> = {};
  const visit = (type: unknown): void => {
    if (Array.isArray(type)) type.forEach(visit);
    else if (typeof type === 'object' && type !== null) {
      const node = type as Record<string, unknown>;
      if ('field-id' in node) ids[String(node['name'])] ??= Number(node['field-id']);
      if ('element-id' in node && node['items'] !== undefined) ids[`element ${node['element-id']}`] = 1;
      for (const name of ['type', 'items', 'fields']) visit(node[name]);
    }
  };
  visit(readIndependently(bytes).header['avro.schema']);
  expect(ids).toEqual({
    status: 0,
    snapshot_id: 1,
    sequence_number: 3,
    file_sequence_number: 4,
    data_file: 2,
    content: 134,
    file_path: 100,
    file_format: 101,
    partition: 102,
    time_day: 1000,
    record_count: 103,
    file_size_in_bytes: 104,
    column_sizes: 108,
    value_counts: 109,
    null_value_counts: 110,
    nan_value_counts: 137,
    lower_bounds: 125,
    upper_bounds: 128,
    key: 117,
    value: 118,
    key_metadata: 131,
    split_offsets: 132,
    'element 133': 1,
    equality_ids: 135,
    'element 136': 1,
    sort_order_id: 140,
  });
});

test('a manifest list is read back as it was written, and independently', async () => {
  const written = await entries();
  const day = describeManifest({
    key: 'db/t/metadata/a-m0.avro',
    bytes: 1234,
    spec: daySpec,
    sequence: 9,
    snapshotId: 77n,
    entries: written,
  });
  const span = describeManifest({
    key: 'db/t/metadata/a-m1.avro',
    bytes: 99,
    spec: spanSpec,
    sequence: 9,
    snapshotId: 77n,
    entries: [{ status: 'added', snapshotId: 77n, fileSequence: 9, file: await file(1n, 9, null) }],
  });
  expect(day).toMatchObject({
    minSequence: 3,
    added: { files: 1, rows: 2 },
    existing: { files: 1, rows: 2 },
    deleted: { files: 1, rows: 2 },
    days: { first: -1, last: 1 },
  });
  const bytes = encodeManifestList({
    snapshotId: 77n,
    parentSnapshotId: 2n ** 62n,
    sequence: 9,
    manifests: [day, span],
    uriOf: uris.uriOf,
    syncMarker,
  });
  expect(decodeManifestList('l', bytes, uris.keyOf)).toEqual([day, span]);
  const { header, records } = readIndependently(bytes);
  expect(header).toMatchObject({
    'snapshot-id': '77',
    'parent-snapshot-id': String(2n ** 62n),
    'sequence-number': '9',
  });
  expect(records[0]).toMatchObject({
    manifest_path: objects.uriOf(day.key),
    manifest_length: 1234n,
    partition_spec_id: 0,
    content: 0,
    sequence_number: 9n,
    min_sequence_number: 3n,
    added_snapshot_id: 77n,
    added_files_count: 1,
    existing_files_count: 1,
    deleted_files_count: 1,
    added_rows_count: 2n,
    existing_rows_count: 2n,
    deleted_rows_count: 2n,
    partitions: [
      {
        contains_null: false,
        contains_nan: false,
        lower_bound: Uint8Array.from([255, 255, 255, 255]),
        upper_bound: Uint8Array.from([1, 0, 0, 0]),
      },
    ],
  });
  expect(records[1]).toMatchObject({ partition_spec_id: 1, partitions: [] });
});

test.each([
  ['no column of time', []],
  ['a bound of 4 bytes', [{ fieldId: 1, lower: new Uint8Array(4), upper: new Uint8Array(8) }]],
  ['no upper bound', [{ fieldId: 1, lower: new Uint8Array(8), upper: null }]],
])('statistics with %s tell no times', (_, columns) => {
  const statistics = columns.map((column) => ({
    ...column,
    compressedBytes: 1,
    valueCount: 1,
    nullCount: 0,
    nanCount: null,
  }));
  expect(() => timeBoundsOf('f', statistics)).toThrow(
    'data file f: want bounds of 8 bytes for column "time"',
  );
});

test('an entry that leaves its numbers open takes those of its manifest', async () => {
  const { data_file } = (await entryRecords())[0] as { data_file: unknown };
  const open = { status: 1, snapshot_id: null, sequence_number: null, file_sequence_number: null, data_file };
  const format = manifestEntryFormat(daySpec);
  const bytes = encodeAvroContainer({ format, metadata: {}, syncMarker, records: [open] });
  const [entry] = decodeManifest(lineOf(daySpec, await entries()), bytes, context);
  expect(entry).toMatchObject({ snapshotId: 34n, fileSequence: 12, file: { sequence: 12, rows: 2 } });
});

/** Entries as avsc reads them: a second decoder of the same bytes. */
async function entryRecords(): Promise<unknown[]> {
  const bytes = encodeManifest({ schema, spec: daySpec, entries: await entries(), context, syncMarker });
  const { type } = manifestEntryFormat(daySpec);
  return decodeAvroContainer('m', bytes, manifestEntryFormat(daySpec), (cursor) => {
    const decoded = type.decode(Buffer.from(cursor.bytes), cursor.at);
    while (cursor.at < decoded.offset) cursor.skipLong();
    return decoded.value;
  });
}
