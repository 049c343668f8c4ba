import type { TableRecord } from '../catalog/types.js';
import type { ObjectStore } from '../ports/object-store.js';
import { forEachBounded } from './for-each-bounded.js';
import { type HistoryReader, parallelReads } from './history-reader.js';
import type { ManifestFile } from './manifest-list.js';
import { withoutSnapshots } from './metadata-evolution.js';
import { metadataKey, metadataVersionOf, tableFolder } from './object-paths.js';
import type { Snapshot, TableMetadata } from './table-metadata.js';

/** Old metadata files that stay named after an expiry: a trail for people, nothing needs them. */
const metadataLogKept = 10;

export interface ExpiryInputs {
  readonly databaseId: string;
  readonly record: TableRecord & { readonly metadataKey: string };
  readonly olderThanMs: number;
  readonly snapshotsMax: number;
  readonly nowMs: number;
  readonly commitUuid: string;
  readonly uriOf: (key: string) => string;
}

export interface ExpiryPlan {
  readonly metadataKey: string;
  readonly metadata: TableMetadata;
  /** Ids of the snapshots that expire. */
  readonly expired: readonly string[];
}

/**
 * Plans which snapshots go; null when none does. A snapshot is as old as the commit that replaced it: until then it
 * was the present, and a query may have been told its id. Pure.
 */
export function planExpiry(base: TableMetadata, inputs: ExpiryInputs): ExpiryPlan | null {
  const { snapshots } = base;
  const firstKept = Math.min(
    Math.max(
      snapshots.findIndex((_, index) => replacedMs(snapshots, index) >= inputs.olderThanMs),
      snapshots.length - inputs.snapshotsMax,
    ),
    snapshots.length - 1,
  );
  if (firstKept <= 0) return null;
  const gone = new Set(snapshots.slice(0, firstKept).map((snapshot) => snapshot['snapshot-id']));
  const baseKey = inputs.record.metadataKey;
  const metadata = withoutSnapshots(base, (snapshot) => !gone.has(snapshot['snapshot-id']), {
    baseUri: inputs.uriOf(baseKey),
    nowMs: inputs.nowMs,
    logMax: metadataLogKept,
  });
  const folder = tableFolder(inputs.databaseId, inputs.record.tableUuid);
  return {
    metadataKey: metadataKey(folder, metadataVersionOf(baseKey) + 1, inputs.commitUuid),
    metadata,
    expired: [...gone].map(String),
  };
}

/** When the snapshot ceased to be the current one; never, for the last. */
function replacedMs(snapshots: readonly Snapshot[], index: number): number {
  return snapshots[index + 1]?.['timestamp-ms'] ?? Number.POSITIVE_INFINITY;
}

/** Keys of everything that this metadata file names, itself included. */
export async function referencedObjects(
  key: string,
  metadata: TableMetadata,
  reader: HistoryReader,
  objects: ObjectStore,
): Promise<Set<string>> {
  const keys = new Set([
    key,
    ...metadata['metadata-log'].map((line) => objects.keyOf(line['metadata-file'])),
  ]);
  // Snapshots share most of their manifests, and what a manifest names live is the same in each.
  const manifests = new Map<string, ManifestFile>();
  await forEachBounded(metadata.snapshots, parallelReads, async (snapshot) => {
    keys.add(objects.keyOf(snapshot['manifest-list']));
    for (const line of await reader.manifestList(snapshot)) manifests.set(line.key, line);
  });
  await forEachBounded([...manifests.values()], parallelReads, async (line) => {
    keys.add(line.key);
    for (const entry of await reader.manifest(line, metadata)) {
      if (entry.status !== 'deleted') keys.add(entry.file.key);
    }
  });
  return keys;
}
