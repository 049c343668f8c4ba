import type { SnapshotOutline, TableRecord } from '../catalog/types.js';
import { historyRoot } from './history-root.js';
import { type LoadedManifest, liveFiles } from './loaded-manifest.js';
import { manifestContext } from './manifest-context.js';
import { encodeManifestList } from './manifest-list.js';
import { evolveShape, withSnapshot } from './metadata-evolution.js';
import { manifestListKey, metadataKey, metadataVersionOf, tableFolder } from './object-paths.js';
import { type ManifestLimits, planManifests } from './plan-manifests.js';
import { outlineOf } from './snapshot-outline.js';
import { writeSummary } from './snapshot-summary.js';
import { encodeTableMetadata, type Snapshot, type TableMetadata } from './table-metadata.js';
import type { DataFile, SnapshotSummary, TableChange } from './types.js';

/** The history of a table as a commit finds it. */
export interface HistoryState {
  readonly record: TableRecord;
  /** Null before the first commit. */
  readonly metadata: TableMetadata | null;
  /** All manifests of the current snapshot, in the order of its list. */
  readonly manifests: readonly LoadedManifest[];
}

/** What a commit takes from outside, so that applying a change is pure. */
export interface CommitInputs {
  readonly databaseId: string;
  readonly fencingEpoch: number;
  readonly nowMs: number;
  readonly snapshotId: bigint;
  readonly commitUuid: string;
  /** 16 random bytes: the sync marker of every Avro file of this commit. */
  readonly syncMarker: Uint8Array;
  readonly uriOf: (key: string) => string;
  readonly keyOf: (uri: string) => string;
  readonly limits: ManifestLimits;
}

/** A commit ready to be written: immutable objects that nothing names yet, and what the record is to say. */
export interface PlannedCommit {
  readonly objects: readonly { readonly key: string; readonly bytes: Uint8Array }[];
  readonly metadataKey: string;
  readonly metadata: TableMetadata;
  readonly snapshot: Snapshot;
  readonly historyRoot: string;
  /** For the table's record; null for a snapshot that is too large to be told there. */
  readonly outline: SnapshotOutline | null;
}

/** Applies a change whose requirements are met. Pure: reads nothing, writes nothing. */
export function applyChange(state: HistoryState, change: TableChange, inputs: CommitInputs): PlannedCommit {
  const { record, metadata: base } = state;
  const sequence = (base?.['last-sequence-number'] ?? 0) + 1;
  const live = liveFiles(state.manifests);
  const added = addedFiles(change, sequence, live);
  const removed = removedFiles(change, added, live);
  for (const file of removed) live.delete(file.key);
  for (const file of added) live.set(file.key, file);
  const root = historyRoot([...live.values()]);

  const shape = evolveShape(
    base,
    record.schema,
    added.map((file) => file.sortedBy),
  );
  const folder = tableFolder(inputs.databaseId, record.tableUuid);
  const { snapshotId, commitUuid, syncMarker, limits, uriOf } = inputs;
  const planned = planManifests(state.manifests, {
    added,
    removed,
    live,
    sequence,
    snapshotId,
    commitUuid,
    folder,
    schema: shape.currentSchema,
    context: manifestContext(inputs, shape.sortOrders, shape.currentSchema),
    syncMarker,
    limits,
  });
  const listKey = manifestListKey(folder, snapshotId, commitUuid);
  const parent = base?.['current-snapshot-id'] ?? null;
  const listBytes = encodeManifestList({
    snapshotId,
    parentSnapshotId: parent,
    sequence,
    manifests: planned.manifests.map(({ line }) => line),
    uriOf,
    syncMarker,
  });

  const snapshot: Snapshot = {
    'snapshot-id': snapshotId,
    ...(parent === null ? {} : { 'parent-snapshot-id': parent }),
    'sequence-number': sequence,
    // Clocks may step back between compactors; the specification wants times that do not.
    'timestamp-ms': Math.max(inputs.nowMs, base?.['last-updated-ms'] ?? 0),
    summary: writeSummary({
      operation: operationOf(change, removed),
      groups: change.kind === 'seal' ? change.groups : [],
      added,
      removed,
      live: [...live.values()],
      historyRoot: root,
      fencingEpoch: inputs.fencingEpoch,
      properties: change.kind === 'seal' ? (change.properties ?? {}) : {},
    }),
    'manifest-list': uriOf(listKey),
    'schema-id': shape.currentSchema['schema-id'],
  };
  const metadata = withSnapshot(base, shape, snapshot, {
    tableUuid: record.tableUuid,
    location: uriOf(folder),
    properties: {
      'write.format.default': 'parquet',
      'varve.database': record.database,
      'varve.table': record.table,
    },
    baseUri: record.metadataKey === null ? null : uriOf(record.metadataKey),
  });
  const key = metadataKey(folder, metadataVersionOf(record.metadataKey) + 1, commitUuid);
  return {
    objects: [
      ...planned.objects,
      { key: listKey, bytes: listBytes },
      { key, bytes: encodeTableMetadata(metadata) },
    ],
    metadataKey: key,
    metadata,
    snapshot,
    historyRoot: root,
    outline: outlineOf(planned.manifests, record.schema, shape.sortOrders),
  };
}

/** The added files with their data sequence numbers. */
function addedFiles(change: TableChange, sequence: number, live: ReadonlyMap<string, DataFile>): DataFile[] {
  if (change.kind === 'remove') return [];
  const removed = new Set(change.kind === 'merge' ? change.removed : []);
  const dataSequence = change.kind === 'merge' ? change.sequence : sequence;
  return change.added.map((file) => {
    // The very bytes may be live already: the same points sent again, or a merge that came out like a neighbour.
    // One entry with the higher number then stands for both; a second one would show every row twice.
    const twin = removed.has(file.key) ? undefined : live.get(file.key);
    return { ...file, sequence: Math.max(dataSequence, twin?.sequence ?? 0) };
  });
}

function removedFiles(
  change: TableChange,
  added: readonly DataFile[],
  live: ReadonlyMap<string, DataFile>,
): DataFile[] {
  const keys = new Set(change.kind === 'seal' ? [] : change.removed);
  for (const file of added) keys.add(file.key);
  return [...keys].flatMap((key) => live.get(key) ?? []);
}

function operationOf(change: TableChange, removed: readonly DataFile[]): SnapshotSummary['operation'] {
  switch (change.kind) {
    case 'seal':
      return removed.length === 0 ? 'append' : 'overwrite';
    case 'merge':
      return 'replace';
    case 'remove':
      return 'delete';
  }
}
