import type { Database } from '../../core/catalog/types.js';
import { VarveError } from '../../core/std/errors.js';
import type { CompactorCatalog } from '../compactor-catalog.js';
import type { CompactedTable } from '../compactor-control.js';
import type { Hold } from '../fencing.js';
import type { MergeHistory, Merger } from './merger.js';

/** Rounds of planning that one call may take for a table. */
const compactRoundsMax = 32;

export interface CompactTableTools {
  readonly catalog: CompactorCatalog;
  readonly settled: MergeHistory;
  readonly merger: Merger;
  readonly hold: Hold;
}

/** Merges what can be merged of a table now, round after round. Throws not-found when the table goes meanwhile. */
export async function compactTable(
  database: Database,
  table: string,
  { catalog, settled, merger, hold }: CompactTableTools,
): Promise<CompactedTable> {
  let merges = 0;
  let conflicts = 0;
  let filesBefore: number | null = null;
  for (let round = 0; ; round++) {
    const record = (await catalog.tables.get(database.name, table, hold.signal))?.value;
    if (record === undefined) throw new VarveError('not-found', `table "${table}" is no longer there`);
    const files = (await settled.snapshot(record)).files.length;
    filesBefore ??= files;
    const report = { table, merges, filesBefore, filesAfter: files, conflicts };
    if (round === compactRoundsMax) return report;
    const outcome = await merger.mergeTable(database, record, hold, true);
    merges += outcome.merges;
    conflicts += outcome.conflicts;
    if (outcome.merges === 0 && !outcome.stale) return { ...report, merges, conflicts };
  }
}
