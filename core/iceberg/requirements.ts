import type { TableRecord } from '../catalog/types.js';
import type { GroupId } from '../model/batch.js';
import { timeFieldId, timeNsFieldId } from '../model/schema.js';
import { dayOf, floorTo } from '../model/window.js';
import { VarveError } from '../std/errors.js';
import { timeBoundsOf } from './file-statistics.js';
import { contentHashOfKey } from './object-paths.js';
import { groupsOf } from './snapshot-summary.js';
import type { TableMetadata } from './table-metadata.js';
import type { DataFile, TableChange } from './types.js';

/** Whether a change may be applied to the history as it stands. Pure. */
export type RequirementResult =
  | { readonly kind: 'met' }
  /** What the change is to bring about is there: an earlier try of the same change was committed. */
  | { readonly kind: 'already' }
  /** Files that are to be removed are no longer live, so the change was planned on another history. */
  | { readonly kind: 'stale'; readonly missing: readonly string[] };

/**
 * Checks a change against the record, the metadata and the live files (by key) of the current snapshot.
 * Throws `invalid` for a change that no history could take.
 */
export function checkRequirements(
  change: TableChange,
  record: TableRecord,
  metadata: TableMetadata | null,
  live: ReadonlyMap<string, DataFile>,
): RequirementResult {
  if (change.kind !== 'remove') checkAddedFiles(change.added, record);
  switch (change.kind) {
    case 'seal':
      return checkSeal(change.groups, record, metadata);
    case 'merge':
      return checkMerge(change, record, metadata, live);
    case 'remove':
      return checkRemove(change.removed, record, live);
  }
}

function checkSeal(
  groups: readonly GroupId[],
  record: TableRecord,
  metadata: TableMetadata | null,
): RequirementResult {
  if (groups.length === 0) throw invalid(record.table, 'got a seal that names no group; want at least one');
  const named = new Set<string>(record.sealedGroups);
  for (const snapshot of metadata?.snapshots ?? []) {
    for (const group of groupsOf(snapshot.summary)) named.add(group);
  }
  const sealed = groups.filter((group) => named.has(group));
  if (sealed.length === 0) return { kind: 'met' };
  if (sealed.length === groups.length) return { kind: 'already' };
  // Committing would double the points of some groups, answering "already" would lose those of others.
  throw invalid(
    record.table,
    `got a seal of groups ${groups.join(', ')} of which history holds ${sealed.join(', ')}; want all or none`,
  );
}

function checkMerge(
  change: Extract<TableChange, { kind: 'merge' }>,
  record: TableRecord,
  metadata: TableMetadata | null,
  live: ReadonlyMap<string, DataFile>,
): RequirementResult {
  const lastSequence = metadata?.['last-sequence-number'] ?? 0;
  if (change.removed.length === 0 || change.added.length === 0) {
    throw invalid(
      record.table,
      `got a merge with ${change.removed.length} files to remove, ${change.added.length} to add; want at least one of each`,
    );
  }
  if (change.sequence < 1 || change.sequence > lastSequence) {
    throw invalid(
      record.table,
      `got a merge with data sequence number ${change.sequence}; want 1 to ${lastSequence}`,
    );
  }
  const added = new Set(change.added.map((file) => file.key));
  const missing = change.removed.filter((key) => !live.has(key));
  if (missing.length === 0) return { kind: 'met' };
  const done =
    change.removed.every((key) => added.has(key) || !live.has(key)) &&
    // Higher where the same bytes were live under a higher number: see addedFiles in apply-change.ts.
    change.added.every((file) => (live.get(file.key)?.sequence ?? 0) >= change.sequence);
  return done ? { kind: 'already' } : { kind: 'stale', missing };
}

function checkRemove(
  removed: readonly string[],
  record: TableRecord,
  live: ReadonlyMap<string, DataFile>,
): RequirementResult {
  if (removed.length === 0) throw invalid(record.table, 'got a removal of no file; want at least one');
  const missing = removed.filter((key) => !live.has(key));
  if (missing.length === 0) return { kind: 'met' };
  return missing.length === removed.length ? { kind: 'already' } : { kind: 'stale', missing };
}

function checkAddedFiles(added: readonly DataFile[], record: TableRecord): void {
  const fieldIds = new Set(record.schema.columns.map((column) => column.fieldId)).add(timeFieldId);
  if (record.schema.hasTimeNs) fieldIds.add(timeNsFieldId);
  const keys = new Set<string>();
  for (const file of added) {
    const fail = (got: string, want: string): VarveError =>
      invalid(record.table, `data file ${file.key}: got ${got}; want ${want}`);
    if (keys.has(file.key)) throw fail('it twice in one change', 'each file once');
    keys.add(file.key);
    if (!file.key.includes(`/${record.tableUuid}/data/`)) {
      throw fail('it in another folder', record.tableUuid);
    }
    if (contentHashOfKey(file.key) !== file.contentHash) {
      throw fail(`content hash ${file.contentHash}`, 'its key');
    }
    if (!(file.rows > 0) || !(file.bytes > 0)) {
      throw fail(`${file.rows} rows, ${file.bytes} bytes`, 'at least one');
    }
    const unknown = file.columns.find((column) => !fieldIds.has(column.fieldId));
    if (unknown !== undefined) throw fail(`statistics of field ${unknown.fieldId}`, "a field of the table's");
    checkTimes(file, fail);
  }
}

function checkTimes(file: DataFile, fail: (got: string, want: string) => VarveError): void {
  const { day, minTimeNs, maxTimeNs } = file;
  if (minTimeNs > maxTimeNs) throw fail(`times ${minTimeNs} to ${maxTimeNs}`, 'the first before the last');
  const [lower, upper] = timeBoundsOf(file.key, file.columns);
  if (
    floorTo(lower, 1000n) !== floorTo(minTimeNs, 1000n) ||
    floorTo(upper, 1000n) !== floorTo(maxTimeNs, 1000n)
  ) {
    throw fail(`bounds ${lower} to ${upper} of time`, `${minTimeNs} to ${maxTimeNs}`);
  }
  if (day !== null && (dayOf(minTimeNs) !== day || dayOf(maxTimeNs) !== day)) {
    throw fail(`day ${day} for times ${minTimeNs} to ${maxTimeNs}`, 'all rows in that day');
  }
}

function invalid(what: string, message: string): VarveError {
  return new VarveError('invalid', `committing to the history of ${what}: ${message}`);
}
