import type { ColumnStatistics } from '../parquet/types.js';
import { encodeAvroContainer } from './avro-container.js';
import { manifestEntryFormat } from './manifest-avro-schemas.js';
import { daySpec, type PartitionSpec } from './partition-spec.js';
import type { IcebergSchema } from './table-schema.js';
import type { DataFile } from './types.js';

/** What a manifest says of a file. Deleted entries are news of the snapshot that made them; scans pass them over. */
export type EntryStatus = 'existing' | 'added' | 'deleted';

export interface ManifestEntry {
  readonly status: EntryStatus;
  /** The snapshot that added the file, or that deleted it when the status says so. */
  readonly snapshotId: bigint;
  /** Sequence number of the snapshot that added the file; `file.sequence` is the one of its data. */
  readonly fileSequence: number;
  readonly file: DataFile;
}

/** How keys and sort orders stand in manifests of one table. */
export interface ManifestContext {
  uriOf(key: string): string;
  keyOf(uri: string): string;
  /** Sort order id of a file that is sorted by these tags, then time. */
  sortOrderIdOf(sortedBy: readonly string[]): number;
  /** Tag names of a sort order. */
  sortedByOf(sortOrderId: number): readonly string[];
}

/** The codes of statuses are their places here. */
export const entryStatuses: readonly EntryStatus[] = ['existing', 'added', 'deleted'];

/** Field names as in the Avro schema. */
interface EntryRecord {
  readonly status: number;
  readonly snapshot_id: bigint;
  readonly sequence_number: number;
  readonly file_sequence_number: number;
  readonly data_file: DataFileRecord;
}

interface DataFileRecord {
  readonly content: number;
  readonly file_path: string;
  readonly file_format: string;
  readonly partition: { readonly time_day?: number | null };
  readonly record_count: number;
  readonly file_size_in_bytes: number;
  readonly column_sizes: readonly KeyValue<number>[];
  readonly value_counts: readonly KeyValue<number>[];
  readonly null_value_counts: readonly KeyValue<number>[];
  readonly nan_value_counts: readonly KeyValue<number>[];
  readonly lower_bounds: readonly KeyValue<Uint8Array>[];
  readonly upper_bounds: readonly KeyValue<Uint8Array>[];
  readonly key_metadata: null;
  readonly split_offsets: readonly number[];
  readonly equality_ids: null;
  readonly sort_order_id: number;
}

interface KeyValue<Value> {
  readonly key: number;
  readonly value: Value;
}

/** Writes a manifest of data files that all belong to `spec`. Every entry tells its own numbers; nothing is inherited. */
export function encodeManifest(options: {
  readonly schema: IcebergSchema;
  readonly spec: PartitionSpec;
  readonly entries: readonly ManifestEntry[];
  readonly context: ManifestContext;
  /** 16 random bytes. */
  readonly syncMarker: Uint8Array;
}): Uint8Array {
  return encodeAvroContainer({
    format: manifestEntryFormat(options.spec),
    metadata: {
      schema: JSON.stringify(options.schema),
      'schema-id': String(options.schema['schema-id']),
      'partition-spec': JSON.stringify(options.spec.fields),
      'partition-spec-id': String(options.spec['spec-id']),
      'format-version': '2',
      content: 'data',
    },
    syncMarker: options.syncMarker,
    records: options.entries.map((entry) => entryRecord(entry, options.spec, options.context)),
  });
}

function entryRecord(entry: ManifestEntry, spec: PartitionSpec, context: ManifestContext): EntryRecord {
  return {
    status: entryStatuses.indexOf(entry.status),
    snapshot_id: entry.snapshotId,
    sequence_number: entry.file.sequence,
    file_sequence_number: entry.fileSequence,
    data_file: dataFileRecord(entry.file, spec, context),
  };
}

function dataFileRecord(file: DataFile, spec: PartitionSpec, context: ManifestContext): DataFileRecord {
  const columns = [...file.columns].sort((left, right) => left.fieldId - right.fieldId);
  return {
    content: 0,
    file_path: context.uriOf(file.key),
    file_format: 'PARQUET',
    partition: spec === daySpec ? { time_day: file.day } : {},
    record_count: file.rows,
    file_size_in_bytes: file.bytes,
    column_sizes: mapOf(columns, (column) => column.compressedBytes),
    value_counts: mapOf(columns, (column) => column.valueCount),
    null_value_counts: mapOf(columns, (column) => column.nullCount),
    nan_value_counts: mapOf(columns, (column) => column.nanCount),
    lower_bounds: mapOf(columns, (column) => asBuffer(column.lower)),
    upper_bounds: mapOf(columns, (column) => asBuffer(column.upper)),
    key_metadata: null,
    split_offsets: file.rowGroupOffsets,
    equality_ids: null,
    sort_order_id: context.sortOrderIdOf(file.sortedBy),
  };
}

/** A map by field id; columns without the value are left out. */
function mapOf<Value>(
  columns: readonly ColumnStatistics[],
  read: (column: ColumnStatistics) => Value | null,
): KeyValue<Value>[] {
  return columns.flatMap((column) => {
    const value = read(column);
    return value === null ? [] : [{ key: column.fieldId, value }];
  });
}

/** avsc takes Buffers only. */
function asBuffer(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
