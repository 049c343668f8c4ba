import { assert } from '../std/assert.js';
import type { LoadedManifest } from './loaded-manifest.js';
import { encodeManifest, type ManifestContext, type ManifestEntry } from './manifest.js';
import { describeManifest, liveFileCount, type ManifestFile } from './manifest-list.js';
import { manifestKey } from './object-paths.js';
import { daySpec, type PartitionSpec, spanSpec, specOf } from './partition-spec.js';
import type { IcebergSchema } from './table-schema.js';
import type { DataFile } from './types.js';

/** Which manifests a new snapshot has, and the bytes of those that are new. Pure. */

export interface ManifestLimits {
  /** With more small manifests than this, the next commit folds the smallest together. */
  readonly smallManifestsMax: number;
  /** Entries a manifest; one with half of them and more is no longer small. */
  readonly entriesMax: number;
}

/** What changes, and under which names and numbers. */
export interface ManifestChanges {
  readonly added: readonly DataFile[];
  /** Live files that the new snapshot does not hold, or holds under another sequence number as an added one. */
  readonly removed: readonly DataFile[];
  /** All files of the new snapshot, by key. */
  readonly live: ReadonlyMap<string, DataFile>;
  readonly sequence: number;
  readonly snapshotId: bigint;
  readonly commitUuid: string;
  /** Folder of the table. */
  readonly folder: string;
  readonly schema: IcebergSchema;
  readonly context: ManifestContext;
  readonly syncMarker: Uint8Array;
  readonly limits: ManifestLimits;
}

export interface PlannedManifests {
  /** All manifests of the new snapshot, in the order of its manifest list. */
  readonly manifests: readonly LoadedManifest[];
  /** Those manifests of them that are yet to be written. */
  readonly objects: readonly { readonly key: string; readonly bytes: Uint8Array }[];
}

/**
 * The manifests of the new snapshot. Those that name a removed file are written anew, small ones are folded in when
 * there are too many, all others are taken over as they are. Partition specs are never mixed in a manifest.
 */
export function planManifests(
  current: readonly LoadedManifest[],
  changes: ManifestChanges,
): PlannedManifests {
  const { limits, folder, commitUuid, snapshotId } = changes;
  const removedKeys = new Set(changes.removed.map((file) => file.key));
  const fresh: LoadedManifest[] = [];
  const kept: LoadedManifest[] = [];
  const objects: { key: string; bytes: Uint8Array }[] = [];
  for (const spec of [daySpec, spanSpec]) {
    const ofSpec = current.filter(({ line }) => line.specId === spec['spec-id'] && liveFileCount(line) > 0);
    const folded = manifestsToFold(ofSpec, removedKeys, limits);
    kept.push(...ofSpec.filter((manifest) => !folded.has(manifest)));
    const entries = [
      ...changes.added.filter((file) => specOf(file) === spec).map((file) => addedEntry(file, changes)),
      ...[...folded].flatMap((manifest) => carriedEntries(manifest, removedKeys, snapshotId)),
    ];
    for (let at = 0; at < entries.length; at += limits.entriesMax) {
      const key = manifestKey(folder, commitUuid, objects.length);
      const part = entries.slice(at, at + limits.entriesMax);
      const written = writeManifest(key, spec, part, changes);
      objects.push({ key, bytes: written.bytes });
      fresh.push({ line: written.line, entries: part });
    }
  }
  const manifests = [...fresh, ...kept];
  assertNothingLost(
    manifests.map(({ line }) => line),
    changes.live,
  );
  return { manifests, objects };
}

/** Manifests that must be rewritten, and small ones if there are too many. */
function manifestsToFold(
  manifests: readonly LoadedManifest[],
  removedKeys: ReadonlySet<string>,
  limits: ManifestLimits,
): Set<LoadedManifest> {
  const folded = new Set(
    manifests.filter(({ entries }) =>
      entries.some((entry) => entry.status !== 'deleted' && removedKeys.has(entry.file.key)),
    ),
  );
  const small = manifests
    .filter((manifest) => !folded.has(manifest) && liveFileCount(manifest.line) * 2 < limits.entriesMax)
    .sort((left, right) => liveFileCount(left.line) - liveFileCount(right.line));
  if (small.length <= limits.smallManifestsMax) return folded;
  // Smallest first, until the next one is much larger than all so far: so an entry is rewritten a logarithmic
  // number of times, not once for every fold.
  let total = 0;
  for (const manifest of small) {
    const count = liveFileCount(manifest.line);
    if (total > 0 && count > 2 * total) break;
    total += count;
    folded.add(manifest);
  }
  return folded;
}

function addedEntry(file: DataFile, changes: ManifestChanges): ManifestEntry {
  return { status: 'added', snapshotId: changes.snapshotId, fileSequence: changes.sequence, file };
}

/** Live entries of a rewritten manifest keep their numbers; removed ones are marked so by this snapshot. */
function carriedEntries(
  manifest: LoadedManifest,
  removedKeys: ReadonlySet<string>,
  snapshotId: bigint,
): ManifestEntry[] {
  return manifest.entries
    .filter((entry) => entry.status !== 'deleted')
    .map((entry) =>
      removedKeys.has(entry.file.key)
        ? { ...entry, status: 'deleted', snapshotId }
        : { ...entry, status: 'existing' },
    );
}

function writeManifest(
  key: string,
  spec: PartitionSpec,
  entries: readonly ManifestEntry[],
  changes: ManifestChanges,
): { readonly bytes: Uint8Array; readonly line: ManifestFile } {
  const { schema, context, syncMarker, sequence, snapshotId } = changes;
  const bytes = encodeManifest({ schema, spec, entries, context, syncMarker });
  return { bytes, line: describeManifest({ key, bytes: bytes.length, spec, sequence, snapshotId, entries }) };
}

/** What the new manifests name live is what is to be live: no file lost, none doubled (invariants 2 and 3). */
function assertNothingLost(manifests: readonly ManifestFile[], live: ReadonlyMap<string, DataFile>): void {
  const files = manifests.reduce((sum, manifest) => sum + liveFileCount(manifest), 0);
  const rows = manifests.reduce((sum, { added, existing }) => sum + added.rows + existing.rows, 0);
  const wantedRows = [...live.values()].reduce((sum, file) => sum + file.rows, 0);
  assert(
    files === live.size && rows === wantedRows,
    `manifests name ${files} files with ${rows} rows; want ${live.size} with ${wantedRows}`,
  );
}
