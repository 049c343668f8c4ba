import { VarveError } from '../std/errors.js';
import { type LongJson, parseLongJson, stringifyLongJson } from './json-long.js';
import type { PartitionSpec } from './partition-spec.js';
import type { SortOrder } from './sort-order.js';
import type { IcebergSchema } from './table-schema.js';

/** Table metadata of format version 2, in the JSON form of the specification (appendix C). Immutable. */
export interface TableMetadata {
  readonly 'format-version': 2;
  readonly 'table-uuid': string;
  readonly location: string;
  readonly 'last-sequence-number': number;
  readonly 'last-updated-ms': number;
  readonly 'last-column-id': number;
  readonly 'current-schema-id': number;
  readonly schemas: readonly IcebergSchema[];
  readonly 'default-spec-id': number;
  readonly 'partition-specs': readonly PartitionSpec[];
  readonly 'last-partition-id': number;
  readonly 'default-sort-order-id': number;
  readonly 'sort-orders': readonly SortOrder[];
  readonly properties: Readonly<Record<string, string>>;
  readonly 'current-snapshot-id': bigint;
  readonly refs: { readonly main: { readonly 'snapshot-id': bigint; readonly type: 'branch' } };
  /** Retained snapshots, oldest first; the last is the current one. */
  readonly snapshots: readonly Snapshot[];
  readonly 'snapshot-log': readonly { readonly 'timestamp-ms': number; readonly 'snapshot-id': bigint }[];
  readonly 'metadata-log': readonly { readonly 'timestamp-ms': number; readonly 'metadata-file': string }[];
}

export interface Snapshot {
  readonly 'snapshot-id': bigint;
  /** Absent on the first snapshot; may name one that has expired. */
  readonly 'parent-snapshot-id'?: bigint;
  readonly 'sequence-number': number;
  readonly 'timestamp-ms': number;
  readonly summary: Readonly<Record<string, string>> & { readonly operation: string };
  /** URI of the manifest list. */
  readonly 'manifest-list': string;
  readonly 'schema-id': number;
}

/** The metadata as the bytes of its file. */
export function encodeTableMetadata(metadata: TableMetadata): Uint8Array {
  return Buffer.from(stringifyLongJson(metadata as unknown as LongJson));
}

/** Reads a metadata file that Varve wrote. `corrupt`, naming the member, when it is not one. */
export function decodeTableMetadata(what: string, bytes: Uint8Array): TableMetadata {
  const fail = (got: string, want: string): never => {
    throw new VarveError('corrupt', `table metadata ${what}: got ${got}; want ${want}`);
  };
  let json: unknown;
  try {
    json = parseLongJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (error) {
    return fail(`${bytes.length} bytes that are no JSON (${String(error)})`, 'a JSON object');
  }
  const table = objectOf(json, 'the file', fail);
  if (table['format-version'] !== 2) fail(`format-version ${String(table['format-version'])}`, '2');
  for (const name of listMembers) {
    if (!Array.isArray(table[name])) fail(`${name} ${JSON.stringify(table[name])}`, 'a list');
  }
  const member = (name: string): unknown[] => table[name] as unknown[];
  const long = (value: unknown, name: string): bigint => {
    if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
    if (typeof value === 'string' && /^-?\d+$/.test(value)) return BigInt(value);
    return fail(`${name} ${JSON.stringify(value)}`, 'an integer');
  };
  const current = long(table['current-snapshot-id'], 'current-snapshot-id');
  return {
    ...table,
    'current-snapshot-id': current,
    refs: { main: { 'snapshot-id': current, type: 'branch' } },
    snapshots: member('snapshots').map((item) => {
      const snapshot = objectOf(item, 'a snapshot', fail);
      const parent = snapshot['parent-snapshot-id'];
      return {
        ...snapshot,
        'snapshot-id': long(snapshot['snapshot-id'], 'snapshot-id'),
        ...(parent === undefined ? {} : { 'parent-snapshot-id': long(parent, 'parent-snapshot-id') }),
      };
    }),
    'snapshot-log': member('snapshot-log').map((item) => {
      const line = objectOf(item, 'a line of snapshot-log', fail);
      return { ...line, 'snapshot-id': long(line['snapshot-id'], 'snapshot-id') };
    }),
  } as unknown as TableMetadata;
}

const listMembers = [
  'schemas',
  'partition-specs',
  'sort-orders',
  'snapshots',
  'snapshot-log',
  'metadata-log',
];

function objectOf(
  value: unknown,
  what: string,
  fail: (got: string, want: string) => never,
): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  return fail(`${what} as ${JSON.stringify(value)}`, 'a JSON object');
}

/** The schema with this id; `corrupt` when the metadata lacks it. */
export function schemaById(metadata: TableMetadata, schemaId: number): IcebergSchema {
  const schema = metadata.schemas.find((candidate) => candidate['schema-id'] === schemaId);
  if (schema === undefined) {
    throw new VarveError(
      'corrupt',
      `table metadata of ${metadata.location}: got no schema ${schemaId}; want it in schemas`,
    );
  }
  return schema;
}

/** The retained snapshot with this id. */
export function findSnapshot(metadata: TableMetadata, snapshotId: bigint): Snapshot | undefined {
  return metadata.snapshots.find((snapshot) => snapshot['snapshot-id'] === snapshotId);
}

/** The snapshot that the table stands at; `corrupt` when the metadata lacks it. */
export function currentSnapshot(metadata: TableMetadata): Snapshot {
  const snapshot = findSnapshot(metadata, metadata['current-snapshot-id']);
  if (snapshot === undefined) {
    throw new VarveError(
      'corrupt',
      `table metadata of ${metadata.location}: got no snapshot ${metadata['current-snapshot-id']}; want the current one in snapshots`,
    );
  }
  return snapshot;
}
