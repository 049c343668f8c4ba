import { assert } from '../std/assert.js';
import { type AvroFormat, type AvroSchema, avroFormat } from './avro-container.js';
import { type PartitionSpec, partitionSpecs } from './partition-spec.js';

/**
 * The Avro schemas of manifests and manifest lists, format version 2: names, field ids and order as in the
 * specification ("Manifests", "Manifest Lists") and the reference implementation.
 */

type AvroField = Readonly<Record<string, unknown>>;

function required(id: number, name: string, type: unknown): AvroField {
  return { name, type, 'field-id': id };
}

function optional(id: number, name: string, type: unknown): AvroField {
  return { name, type: ['null', type], default: null, 'field-id': id };
}

/** Iceberg writes map<int, …> as an array of key-value records, since Avro's maps have string keys only. */
function intMap(keyId: number, valueId: number, valueType: string): AvroField {
  return {
    type: 'array',
    logicalType: 'map',
    items: {
      type: 'record',
      name: `k${keyId}_v${valueId}`,
      fields: [required(keyId, 'key', 'int'), required(valueId, 'value', valueType)],
    },
  };
}

function list(elementId: number, type: string): AvroField {
  return { type: 'array', items: type, 'element-id': elementId };
}

/** The schema of a manifest's entries; its partition record depends on the spec. */
function manifestEntrySchema(spec: PartitionSpec): AvroSchema {
  const partition = {
    type: 'record',
    name: 'r102',
    fields: spec.fields.map((field) =>
      optional(field['field-id'], field.name, { type: 'int', logicalType: 'date' }),
    ),
  };
  const dataFile = {
    type: 'record',
    name: 'r2',
    fields: [
      required(134, 'content', 'int'),
      required(100, 'file_path', 'string'),
      required(101, 'file_format', 'string'),
      required(102, 'partition', partition),
      required(103, 'record_count', 'long'),
      required(104, 'file_size_in_bytes', 'long'),
      optional(108, 'column_sizes', intMap(117, 118, 'long')),
      optional(109, 'value_counts', intMap(119, 120, 'long')),
      optional(110, 'null_value_counts', intMap(121, 122, 'long')),
      optional(137, 'nan_value_counts', intMap(138, 139, 'long')),
      optional(125, 'lower_bounds', intMap(126, 127, 'bytes')),
      optional(128, 'upper_bounds', intMap(129, 130, 'bytes')),
      optional(131, 'key_metadata', 'bytes'),
      optional(132, 'split_offsets', list(133, 'long')),
      optional(135, 'equality_ids', list(136, 'int')),
      optional(140, 'sort_order_id', 'int'),
    ],
  };
  return {
    type: 'record',
    name: 'manifest_entry',
    fields: [
      required(0, 'status', 'int'),
      optional(1, 'snapshot_id', 'long'),
      optional(3, 'sequence_number', 'long'),
      optional(4, 'file_sequence_number', 'long'),
      required(2, 'data_file', dataFile),
    ],
  } as unknown as AvroSchema;
}

const fieldSummary = {
  type: 'record',
  name: 'r508',
  fields: [
    required(509, 'contains_null', 'boolean'),
    optional(518, 'contains_nan', 'boolean'),
    optional(510, 'lower_bound', 'bytes'),
    optional(511, 'upper_bound', 'bytes'),
  ],
};

const manifestFileSchema = {
  type: 'record',
  name: 'manifest_file',
  fields: [
    required(500, 'manifest_path', 'string'),
    required(501, 'manifest_length', 'long'),
    required(502, 'partition_spec_id', 'int'),
    required(517, 'content', 'int'),
    required(515, 'sequence_number', 'long'),
    required(516, 'min_sequence_number', 'long'),
    required(503, 'added_snapshot_id', 'long'),
    required(504, 'added_files_count', 'int'),
    required(505, 'existing_files_count', 'int'),
    required(506, 'deleted_files_count', 'int'),
    required(512, 'added_rows_count', 'long'),
    required(513, 'existing_rows_count', 'long'),
    required(514, 'deleted_rows_count', 'long'),
    optional(507, 'partitions', { type: 'array', items: fieldSummary, 'element-id': 508 }),
    optional(519, 'key_metadata', 'bytes'),
  ],
} as unknown as AvroSchema;

const entryFormats = new Map(
  partitionSpecs.map((spec) => [spec['spec-id'], avroFormat(manifestEntrySchema(spec))]),
);

/** The format of a manifest's entries under one of our partition specs. */
export function manifestEntryFormat(spec: PartitionSpec): AvroFormat {
  const format = entryFormats.get(spec['spec-id']);
  assert(format !== undefined, `manifest: got partition spec ${spec['spec-id']}; want one of ours`);
  return format;
}

/** The format of a manifest list's lines. */
export const manifestFileFormat: AvroFormat = avroFormat(manifestFileSchema);
