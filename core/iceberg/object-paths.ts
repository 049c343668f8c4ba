import { createHash } from 'node:crypto';
import type { Random } from '../ports/random.js';
import { VarveError } from '../std/errors.js';

/** Where the objects of a table lie; docs/formats/iceberg.md draws the layout. */

/** The folder of a table's objects: the `location` of its Iceberg metadata. */
export function tableFolder(databaseId: string, tableUuid: string): string {
  return `${databaseId}/${tableUuid}`;
}

/** Key of a data file; `contentHash` is the hex SHA-256 of its bytes. */
export function dataFileKey(databaseId: string, tableUuid: string, contentHash: string): string {
  return `${tableFolder(databaseId, tableUuid)}/data/${contentHash}.parquet`;
}

/** The hash by which data files are named. */
export function contentHashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The content hash that a data file's key carries; `corrupt` for a key that is none. */
export function contentHashOfKey(key: string): string {
  const match = /\/data\/([0-9a-f]{64})\.parquet$/.exec(key);
  if (match?.[1] === undefined) {
    throw new VarveError(
      'corrupt',
      `data file "${key}": want a key that ends in /data/<64 hex digits>.parquet`,
    );
  }
  return match[1];
}

/** Key of a manifest. A commit writes at most one for each partition spec and rewritten manifest, numbered from 0. */
export function manifestKey(folder: string, commitUuid: string, number: number): string {
  return `${folder}/metadata/${commitUuid}-m${number}.avro`;
}

/** What tells a manifest from the others of its table: its key without folder and suffix. */
export function manifestName(key: string): string {
  const match = /\/metadata\/([^/]+)\.avro$/.exec(key);
  if (match?.[1] === undefined) {
    throw new VarveError('corrupt', `manifest "${key}": want a key that ends in /metadata/<name>.avro`);
  }
  return match[1];
}

/** Key of the manifest with this name that lies beside a metadata file. */
export function namedManifestKey(metadataKey: string, name: string): string {
  return `${metadataKey.slice(0, metadataKey.lastIndexOf('/'))}/${name}.avro`;
}

/** Key of a snapshot's manifest list. */
export function manifestListKey(folder: string, snapshotId: bigint, commitUuid: string): string {
  return `${folder}/metadata/snap-${snapshotId}-${commitUuid}.avro`;
}

/** Key of a metadata file: the form `<version>-<uuid>` that the specification gives for metastore tables. */
export function metadataKey(folder: string, version: number, commitUuid: string): string {
  return `${folder}/metadata/${String(version).padStart(5, '0')}-${commitUuid}.metadata.json`;
}

/** The version number in a metadata file's key; 0 before the first. */
export function metadataVersionOf(key: string | null): number {
  if (key === null) return 0;
  const match = /\/metadata\/(\d+)-[^/]*\.metadata\.json$/.exec(key);
  if (match?.[1] === undefined) {
    throw new VarveError('corrupt', `metadata file "${key}": want <version>-<uuid>.metadata.json`);
  }
  return Number(match[1]);
}

/** A random (version 4) UUID. */
export function randomUuid(random: Random): string {
  const bytes = Uint8Array.from(random.bytes(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** A snapshot id: 63 random bits, never 0, which stands for the empty history. */
export function randomSnapshotId(random: Random): bigint {
  const bits = Buffer.from(random.bytes(8)).readBigUInt64LE() & 0x7fff_ffff_ffff_ffffn;
  return bits === 0n ? 1n : bits;
}
