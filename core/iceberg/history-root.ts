import { createHash } from 'node:crypto';
import type { DataFile } from './types.js';

/**
 * The history root of a set of data files: the SHA-256, in hex, of one line for each file, `<content hash>\n`, the
 * files in order of (data sequence number, content hash), with an empty line wherever the sequence number grows
 * from one file to the next. The order of precedence is part of it, because where files overlap it decides which
 * value wins: the same bytes sealed in another order are another history. The numbers themselves are not.
 */
export function historyRoot(files: readonly Pick<DataFile, 'contentHash' | 'sequence'>[]): string {
  const hash = createHash('sha256');
  const ordered = [...files].sort(
    (left, right) =>
      left.sequence - right.sequence ||
      (left.contentHash < right.contentHash ? -1 : left.contentHash > right.contentHash ? 1 : 0),
  );
  let previous: number | undefined;
  for (const file of ordered) {
    if (previous !== undefined && file.sequence !== previous) hash.update('\n');
    hash.update(`${file.contentHash}\n`);
    previous = file.sequence;
  }
  return hash.digest('hex');
}

/** The root of a history without files: the SHA-256 of nothing. */
export const emptyHistoryRoot = historyRoot([]);

/** What `SnapshotFiles.snapshotId` says of a table that has no snapshot yet; such a history stays empty for ever. */
export const emptySnapshotId = '0';
