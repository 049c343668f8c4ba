import type { DataFile } from '../../core/iceberg/types.js';
import type { ParquetFiles } from './parquet-files.js';

/** All the files that one query reads. */
export interface PinnedFiles {
  readonly pathOf: (file: Pick<DataFile, 'key'>) => string;
  release(): void;
}

/** Pins files together: all or none. */
export async function pinFiles(
  cache: ParquetFiles,
  files: readonly DataFile[],
  signal: AbortSignal,
): Promise<PinnedFiles> {
  const outcomes = await Promise.allSettled(files.map((file) => cache.pin(file, signal)));
  const release = (): void => {
    for (const outcome of outcomes) if (outcome.status === 'fulfilled') outcome.value.release();
  };
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) {
    release();
    throw failed.reason;
  }
  const paths = new Map<string, string>();
  outcomes.forEach((outcome, index) => {
    const key = files[index]?.key;
    if (outcome.status === 'fulfilled' && key !== undefined) paths.set(key, outcome.value.path);
  });
  return { pathOf: (file) => paths.get(file.key) ?? '', release };
}
