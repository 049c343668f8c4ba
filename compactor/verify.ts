import type { Database, TableRecord } from '../core/catalog/types.js';
import { historyRoot } from '../core/iceberg/history-root.js';
import { contentHashOf, contentHashOfKey } from '../core/iceberg/object-paths.js';
import type { DataFile, SnapshotFiles } from '../core/iceberg/types.js';
import type { ObjectStore } from '../core/ports/object-store.js';
import { errorMessage, isVarveError } from '../core/std/errors.js';
import type { VerifiedTable, VerifyDifference, VerifyReport } from './compactor-control.js';

export interface VerifyTools {
  readonly settled: {
    snapshot(record: TableRecord): Promise<SnapshotFiles>;
    /** By way of the metadata file, as other engines read. */
    chainedSnapshot(record: TableRecord): Promise<SnapshotFiles>;
  };
  readonly objects: ObjectStore;
}

/**
 * Reads back every file of the tables' current snapshots, one at a time, and recomputes content hashes and history
 * roots from the bytes alone. Damage is reported, not thrown; `unavailable` stores are thrown.
 */
export async function verifyTables(
  database: Database,
  records: readonly TableRecord[],
  tools: VerifyTools,
  signal?: AbortSignal,
): Promise<VerifyReport> {
  const tables: VerifiedTable[] = [];
  const differences: VerifyDifference[] = [];
  let files = 0;
  let bytes = 0;
  for (const record of records) {
    const checked = await verifyTable(record, tools, signal);
    tables.push(checked.table);
    differences.push(...checked.differences);
    files += checked.table.files;
    bytes += checked.bytes;
  }
  return { database: database.name, files, bytes, tables, differences };
}

async function verifyTable(
  record: TableRecord,
  tools: VerifyTools,
  signal: AbortSignal | undefined,
): Promise<{ table: VerifiedTable; differences: VerifyDifference[]; bytes: number }> {
  const { table, snapshotId } = record;
  const differences: VerifyDifference[] = [];
  const read: { contentHash: string; sequence: number }[] = [];
  let bytes = 0;
  let files: readonly DataFile[] = [];
  try {
    files = (await tools.settled.chainedSnapshot(record)).files;
    const outlined = (await tools.settled.snapshot(record)).files;
    const problem = compareOutline(files, outlined);
    if (problem !== null) differences.push({ table, key: record.metadataKey, problem });
  } catch (error) {
    if (!isVarveError(error, 'corrupt', 'not-found')) throw error;
    differences.push({ table, key: record.metadataKey, problem: errorMessage(error) });
  }
  for (const file of files) {
    signal?.throwIfAborted();
    const found = await readFile(file, tools.objects, signal);
    bytes += found.bytes;
    for (const problem of found.problems) differences.push({ table, key: file.key, problem });
    if (found.contentHash !== null) read.push({ contentHash: found.contentHash, sequence: file.sequence });
  }
  const computedRoot = historyRoot(read);
  if (snapshotId !== null && computedRoot !== record.historyRoot) {
    const problem = `got history root ${computedRoot}; want ${record.historyRoot}`;
    differences.push({ table, key: null, problem });
  }
  return {
    table: { table, snapshotId, historyRoot: record.historyRoot, computedRoot, files: files.length },
    differences,
    bytes,
  };
}

/** Queries find files by the record's outline, other engines by the metadata: both must find the same. */
function compareOutline(chained: readonly DataFile[], outlined: readonly DataFile[]): string | null {
  const lines = (files: readonly DataFile[]): string =>
    files
      .map(({ key, sequence }) => `${key} ${sequence}`)
      .sort()
      .join('\n');
  if (lines(chained) === lines(outlined)) return null;
  return `got ${chained.length} files by the metadata and ${outlined.length} by the outline in the table's record; want the same`;
}

async function readFile(
  file: DataFile,
  objects: ObjectStore,
  signal: AbortSignal | undefined,
): Promise<{ contentHash: string | null; bytes: number; problems: string[] }> {
  let bytes: Uint8Array;
  try {
    bytes = await objects.get(file.key, signal);
  } catch (error) {
    if (!isVarveError(error, 'not-found')) throw error;
    return {
      contentHash: null,
      bytes: 0,
      problems: ['got no object; want the file that the snapshot names'],
    };
  }
  const problems: string[] = [];
  const contentHash = contentHashOf(bytes);
  const compare = (what: string, got: string | number, want: string | number): void => {
    if (got !== want) problems.push(`got ${what} ${got}; want ${want}`);
  };
  compare('bytes', bytes.length, file.bytes);
  compare('content hash', contentHash, contentHashOfKey(file.key));
  compare('content hash in the manifest', file.contentHash, contentHashOfKey(file.key));
  return { contentHash, bytes: bytes.length, problems };
}
