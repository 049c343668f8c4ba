import { decodeAvroContainer, encodeAvroContainer } from './avro-container.js';
import type { AvroCursor } from './avro-cursor.js';
import type { ManifestEntry } from './manifest.js';
import { manifestFileFormat } from './manifest-avro-schemas.js';
import { daySpec, type PartitionSpec } from './partition-spec.js';

/** A line of a manifest list: one manifest and what is in it. */
export interface ManifestFile {
  readonly key: string;
  readonly bytes: number;
  readonly specId: number;
  /** Sequence number of the snapshot that wrote the manifest. */
  readonly sequence: number;
  /** Lowest data sequence number of its live entries. */
  readonly minSequence: number;
  /** The snapshot that wrote the manifest. */
  readonly snapshotId: bigint;
  readonly added: EntryTotals;
  readonly existing: EntryTotals;
  readonly deleted: EntryTotals;
  /** Days of its entries, for manifests under the day spec that have any; null otherwise. */
  readonly days: { readonly first: number; readonly last: number } | null;
}

export interface EntryTotals {
  readonly files: number;
  readonly rows: number;
}

/** Describes a manifest that the snapshot with this id and sequence number writes. */
export function describeManifest(options: {
  readonly key: string;
  readonly bytes: number;
  readonly spec: PartitionSpec;
  readonly sequence: number;
  readonly snapshotId: bigint;
  readonly entries: readonly ManifestEntry[];
}): ManifestFile {
  const { key, bytes, sequence, snapshotId, entries } = options;
  const live = entries.filter((entry) => entry.status !== 'deleted');
  return {
    key,
    bytes,
    specId: options.spec['spec-id'],
    sequence,
    // The reference implementation does the same where no entry is live.
    minSequence: live.reduce((lowest, entry) => Math.min(lowest, entry.file.sequence), sequence),
    snapshotId,
    added: totalsOf(entries, 'added'),
    existing: totalsOf(entries, 'existing'),
    deleted: totalsOf(entries, 'deleted'),
    days: daysOf(entries),
  };
}

/** Number of live files that the manifest names. */
export function liveFileCount(manifest: ManifestFile): number {
  return manifest.added.files + manifest.existing.files;
}

function totalsOf(entries: readonly ManifestEntry[], status: ManifestEntry['status']): EntryTotals {
  const chosen = entries.filter((entry) => entry.status === status);
  return { files: chosen.length, rows: chosen.reduce((sum, entry) => sum + entry.file.rows, 0) };
}

function daysOf(entries: readonly ManifestEntry[]): ManifestFile['days'] {
  const days = entries.flatMap((entry) => (entry.file.day === null ? [] : [entry.file.day]));
  if (days.length === 0) return null;
  return {
    first: days.reduce((lowest, day) => Math.min(lowest, day)),
    last: days.reduce((highest, day) => Math.max(highest, day)),
  };
}

/** Field names as in the Avro schema. */
interface ManifestFileRecord {
  readonly manifest_path: string;
  readonly manifest_length: number;
  readonly partition_spec_id: number;
  readonly content: number;
  readonly sequence_number: number;
  readonly min_sequence_number: number;
  readonly added_snapshot_id: bigint;
  readonly added_files_count: number;
  readonly existing_files_count: number;
  readonly deleted_files_count: number;
  readonly added_rows_count: number;
  readonly existing_rows_count: number;
  readonly deleted_rows_count: number;
  readonly partitions:
    | readonly {
        readonly contains_null: boolean;
        readonly contains_nan: boolean | null;
        readonly lower_bound: Uint8Array | null;
        readonly upper_bound: Uint8Array | null;
      }[]
    | null;
  readonly key_metadata: null;
}

/** Writes the manifest list of a snapshot. */
export function encodeManifestList(options: {
  readonly snapshotId: bigint;
  readonly parentSnapshotId: bigint | null;
  readonly sequence: number;
  readonly manifests: readonly ManifestFile[];
  readonly uriOf: (key: string) => string;
  /** 16 random bytes. */
  readonly syncMarker: Uint8Array;
}): Uint8Array {
  return encodeAvroContainer({
    format: manifestFileFormat,
    metadata: {
      'format-version': '2',
      'snapshot-id': options.snapshotId.toString(),
      'parent-snapshot-id': options.parentSnapshotId === null ? 'null' : options.parentSnapshotId.toString(),
      'sequence-number': String(options.sequence),
    },
    syncMarker: options.syncMarker,
    records: options.manifests.map((manifest) => manifestRecord(manifest, options.uriOf)),
  });
}

function manifestRecord(manifest: ManifestFile, uriOf: (key: string) => string): ManifestFileRecord {
  return {
    manifest_path: uriOf(manifest.key),
    manifest_length: manifest.bytes,
    partition_spec_id: manifest.specId,
    content: 0,
    sequence_number: manifest.sequence,
    min_sequence_number: manifest.minSequence,
    added_snapshot_id: manifest.snapshotId,
    added_files_count: manifest.added.files,
    existing_files_count: manifest.existing.files,
    deleted_files_count: manifest.deleted.files,
    added_rows_count: manifest.added.rows,
    existing_rows_count: manifest.existing.rows,
    deleted_rows_count: manifest.deleted.rows,
    partitions: partitionSummaries(manifest),
    key_metadata: null,
  };
}

/** One summary for each field of the spec. */
function partitionSummaries(manifest: ManifestFile): ManifestFileRecord['partitions'] {
  if (manifest.specId !== daySpec['spec-id']) return [];
  const { days } = manifest;
  return [
    {
      contains_null: false,
      contains_nan: false,
      lower_bound: days === null ? null : intBytes(days.first),
      upper_bound: days === null ? null : intBytes(days.last),
    },
  ];
}

function intBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** Reads a manifest list. `corrupt` when it is damaged or is not ours. */
export function decodeManifestList(
  what: string,
  bytes: Uint8Array,
  keyOf: (uri: string) => string,
): readonly ManifestFile[] {
  return decodeAvroContainer(what, bytes, manifestFileFormat, (cursor) => readLine(cursor, keyOf));
}

/** Fields in the order of the schema. */
function readLine(cursor: AvroCursor, keyOf: (uri: string) => string): ManifestFile {
  const key = keyOf(cursor.text());
  const bytes = cursor.long();
  const specId = cursor.long();
  if (cursor.long() !== 0) throw new RangeError('got a delete manifest; want data manifests only');
  const sequence = cursor.long();
  const minSequence = cursor.long();
  const snapshotId = cursor.exactLong();
  const files = [cursor.long(), cursor.long(), cursor.long()];
  const rows = [cursor.long(), cursor.long(), cursor.long()];
  const totals = (index: number): EntryTotals => ({ files: files[index] ?? 0, rows: rows[index] ?? 0 });
  const days = readDays(cursor);
  if (cursor.present()) cursor.skipSlice(); // key_metadata
  return {
    key,
    bytes,
    specId,
    sequence,
    minSequence,
    snapshotId,
    added: totals(0),
    existing: totals(1),
    deleted: totals(2),
    days,
  };
}

/** The summary of the one partition field that we have. */
function readDays(cursor: AvroCursor): ManifestFile['days'] {
  let days: ManifestFile['days'] = null;
  if (!cursor.present()) return days;
  cursor.items(() => {
    cursor.skipLong(); // contains_null, a boolean of one byte
    if (cursor.present()) cursor.skipLong(); // contains_nan
    const lower = cursor.present() ? cursor.slice() : null;
    const upper = cursor.present() ? cursor.slice() : null;
    if (lower?.length === 4 && upper?.length === 4) days = { first: readInt(lower), last: readInt(upper) };
  });
  return days;
}

function readInt(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getInt32(0, true);
}
