import { createHash } from 'node:crypto';
import type { Database, TableRecord } from '../../core/catalog/types.js';
import type { DataFile } from '../../core/iceberg/types.js';
import { dayOf } from '../../core/model/window.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { VarveError } from '../../core/std/errors.js';
import { putDataFile } from '../rows/data-file-store.js';
import { type DataFileLimits, DataFileWriter } from '../rows/data-file-writer.js';
import type { CommitFiles } from '../rows/files-in-flight.js';
import { mergeSources } from '../rows/merge-sources.js';
import { parquetBlocks } from '../rows/parquet-blocks.js';
import { type RowLayout, rowLayoutOf } from '../rows/row-layout.js';
import type { CursorSource, DayFilter } from '../rows/series-cursor.js';
import type { MergePlan } from './plan-merges.js';

export interface MergeFilesTools {
  readonly objects: ObjectStore;
  readonly limits: DataFileLimits;
}

export interface MergedFiles {
  readonly added: readonly DataFile[];
  readonly rowsIn: number;
  readonly rowsOut: number;
  readonly conflicts: number;
}

/** One partition of what a merge writes: a day, or what is left for a spanning file. */
interface Output {
  readonly day: number | null;
  readonly inputs: readonly DataFile[];
  readonly days: DayFilter;
}

/**
 * Reads a plan's files and writes the same points, each once, as new files, not yet committed. Checks that every row
 * of every input was read and that every point handed on stands in a file: a merge must not be able to lose points
 * (invariant 2). Memory: the inputs' bytes, a row group of each, and the file being written.
 */
export async function mergeFiles(
  database: Database,
  record: TableRecord,
  plan: MergePlan,
  tools: MergeFilesTools,
  inFlight: CommitFiles,
  signal?: AbortSignal,
): Promise<MergedFiles> {
  const layout = rowLayoutOf(record.schema);
  const inputs = new Map<DataFile, Uint8Array>();
  for (const file of plan.inputs) inputs.set(file, await tools.objects.get(file.key, signal));
  const added: DataFile[] = [];
  let rowsIn = 0;
  let rowsOut = 0;
  let conflicts = 0;
  for (const output of outputsOf(plan)) {
    const writer = new DataFileWriter({
      layout,
      day: output.day,
      rowsExpected: output.inputs.reduce((rows, file) => rows + file.rows, 0),
      limits: tools.limits,
      // A merge that changes no row must still make another object than its input was.
      keyValueMetadata: { 'varve.merged': fingerprintOf(plan) },
      store: (file, day) =>
        putDataFile(file, day, { database, record, layout }, tools.objects, inFlight, signal),
    });
    const counts = await mergeSources(sourcesOf(output, inputs, layout), writer, signal);
    added.push(...(await writer.finish()));
    rowsIn += counts.rowsIn;
    rowsOut += counts.rowsOut;
    conflicts += counts.conflicts;
  }
  checkRows(record.table, 'read', rowsIn, plan.inputs);
  checkRows(record.table, 'wrote', rowsOut, added);
  return { added, rowsIn, rowsOut, conflicts };
}

function outputsOf(plan: MergePlan): Output[] {
  const spanning = plan.inputs.filter((file) => file.day === null);
  const outputs: Output[] = plan.days.map((day) => {
    const inputs = plan.inputs.filter((file) => (file.day === null ? touches(file, day) : file.day === day));
    const isFiltered = inputs.some((file) => file.day === null);
    return { day, inputs, days: isFiltered ? { kind: 'only', day } : null };
  });
  if (spanning.length > 0) {
    const days: DayFilter = plan.days.length === 0 ? null : { kind: 'except', days: new Set(plan.days) };
    outputs.push({ day: null, inputs: spanning, days });
  }
  return outputs;
}

function touches(file: DataFile, day: number): boolean {
  return dayOf(file.minTimeNs) <= day && day <= dayOf(file.maxTimeNs);
}

function sourcesOf(
  output: Output,
  bytes: ReadonlyMap<DataFile, Uint8Array>,
  layout: RowLayout,
): CursorSource[] {
  return output.inputs.map((file) => ({
    name: `data file ${file.key}`,
    blocks: parquetBlocks(bytes.get(file) ?? new Uint8Array(0), layout),
    precedence: file.sequence,
    days: output.days,
  }));
}

function checkRows(table: string, did: string, rows: number, files: readonly DataFile[]): void {
  const wanted = files.reduce((sum, file) => sum + file.rows, 0);
  if (rows === wanted) return;
  throw new VarveError(
    'corrupt',
    `merging ${files.length} files of table "${table}": ${did} ${rows} rows; want ${wanted}`,
  );
}

function fingerprintOf(plan: MergePlan): string {
  const hash = createHash('sha256');
  for (const file of plan.inputs) hash.update(`${file.sequence} ${file.contentHash}\n`);
  return hash.digest('hex');
}
