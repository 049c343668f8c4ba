import type { GroupId } from '../model/batch.js';
import { emptyHistoryRoot } from './history-root.js';
import type { Snapshot } from './table-metadata.js';
import type { DataFile, SnapshotSummary } from './types.js';

/** The summary of a snapshot: Iceberg's own properties and ours, all texts. */

const groupsKey = 'varve.groups';
const historyRootKey = 'varve.history-root';
const fencingEpochKey = 'varve.fencing-epoch';

/** What a snapshot did and what it left. */
export interface SummaryInput {
  readonly operation: SnapshotSummary['operation'];
  readonly groups: readonly GroupId[];
  readonly added: readonly DataFile[];
  readonly removed: readonly DataFile[];
  /** All data files of the snapshot. */
  readonly live: readonly DataFile[];
  readonly historyRoot: string;
  readonly fencingEpoch: number;
  /** Further properties; ours win over one of the same name. */
  readonly properties: Readonly<Record<string, string>>;
}

/** Writes the summary. Counts of nothing are left out, as the specification's readers expect. */
export function writeSummary(input: SummaryInput): Snapshot['summary'] {
  const { added, removed, live } = input;
  const counts: Record<string, number> = {
    'added-data-files': added.length,
    'added-records': sumOf(added, 'rows'),
    'added-files-size': sumOf(added, 'bytes'),
    'deleted-data-files': removed.length,
    'deleted-records': sumOf(removed, 'rows'),
    'removed-files-size': sumOf(removed, 'bytes'),
  };
  const changed = Object.entries(counts).filter(([, count]) => count > 0);
  return {
    ...input.properties,
    operation: input.operation,
    ...Object.fromEntries(changed.map(([name, count]) => [name, String(count)])),
    'changed-partition-count': String(new Set([...added, ...removed].map((file) => file.day)).size),
    'total-data-files': String(live.length),
    'total-records': String(sumOf(live, 'rows')),
    'total-files-size': String(sumOf(live, 'bytes')),
    'total-delete-files': '0',
    'total-position-deletes': '0',
    'total-equality-deletes': '0',
    ...(input.groups.length === 0 ? {} : { [groupsKey]: input.groups.join(',') }),
    [historyRootKey]: input.historyRoot,
    [fencingEpochKey]: String(input.fencingEpoch),
  };
}

/** Groups that the snapshot sealed. */
export function groupsOf(summary: Snapshot['summary']): readonly GroupId[] {
  const text = summary[groupsKey];
  return text === undefined || text === '' ? [] : (text.split(',') as GroupId[]);
}

/** The history root that the snapshot was committed with. */
export function historyRootOf(summary: Snapshot['summary']): string {
  return summary[historyRootKey] ?? emptyHistoryRoot;
}

/** The line of a table's history that stands for a snapshot. */
export function summarize(snapshot: Snapshot): SnapshotSummary {
  const { summary } = snapshot;
  return {
    snapshotId: snapshot['snapshot-id'].toString(),
    sequence: snapshot['sequence-number'],
    timestampMs: snapshot['timestamp-ms'],
    operation: summary.operation as SnapshotSummary['operation'],
    historyRoot: historyRootOf(summary),
    groups: groupsOf(summary),
    fileCount: Number(summary['total-data-files'] ?? 0),
    rows: Number(summary['total-records'] ?? 0),
    bytes: Number(summary['total-files-size'] ?? 0),
  };
}

function sumOf(files: readonly DataFile[], member: 'rows' | 'bytes'): number {
  return files.reduce((sum, file) => sum + file[member], 0);
}
