import type { ManifestEntry } from './manifest.js';
import type { ManifestFile } from './manifest-list.js';
import type { DataFile } from './types.js';

/** A manifest of the current snapshot with its entries. */
export interface LoadedManifest {
  readonly line: ManifestFile;
  readonly entries: readonly ManifestEntry[];
}

/** Live files by key. */
export function liveFiles(manifests: readonly Pick<LoadedManifest, 'entries'>[]): Map<string, DataFile> {
  const live = new Map<string, DataFile>();
  for (const { entries } of manifests) {
    for (const entry of entries) if (entry.status !== 'deleted') live.set(entry.file.key, entry.file);
  }
  return live;
}
