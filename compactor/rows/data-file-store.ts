import type { Database, TableRecord } from '../../core/catalog/types.js';
import { contentHashOf, dataFileKey } from '../../core/iceberg/object-paths.js';
import type { DataFile } from '../../core/iceberg/types.js';
import { timeFieldId } from '../../core/model/schema.js';
import type { ParquetFile } from '../../core/parquet/types.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { VarveError } from '../../core/std/errors.js';
import type { CommitFiles } from './files-in-flight.js';
import type { RowLayout } from './row-layout.js';

/** What a data file is named and described by. */
export interface DataFilePlace {
  readonly database: Database;
  readonly record: TableRecord;
  readonly layout: RowLayout;
}

/**
 * Puts a finished file under its content hash. The key counts as in flight from before the put until the caller says
 * that the commit is through or given up. Putting the same file again after a crash is harmless.
 */
export async function putDataFile(
  file: ParquetFile,
  day: number | null,
  place: DataFilePlace,
  objects: ObjectStore,
  held: CommitFiles,
  signal?: AbortSignal,
): Promise<DataFile> {
  const contentHash = contentHashOf(file.bytes);
  const key = dataFileKey(place.database.id, place.record.tableUuid, contentHash);
  held.hold(key);
  await objects.put(key, file.bytes, signal);
  const { minTimeNs, maxTimeNs } = timeBoundsOf(file, place.layout);
  return {
    key,
    contentHash,
    bytes: file.bytes.length,
    rows: file.rowCount,
    day,
    minTimeNs,
    maxTimeNs,
    columns: file.columns,
    rowGroupOffsets: file.rowGroupOffsets,
    sortedBy: place.layout.tags.map(({ name }) => name),
    sequence: 0,
  };
}

/** Bounds from the statistics of `time`, in microseconds, widened by what `time_ns` can add: as a reader of the manifest knows them. */
function timeBoundsOf(file: ParquetFile, layout: RowLayout): { minTimeNs: bigint; maxTimeNs: bigint } {
  const time = file.columns.find((column) => column.fieldId === timeFieldId);
  if (time === undefined || time.lower === null || time.upper === null) {
    throw new VarveError('internal', 'a data file was written without bounds of its time column');
  }
  return {
    minTimeNs: microsOf(time.lower) * 1000n,
    maxTimeNs: microsOf(time.upper) * 1000n + (layout.hasTimeNs ? 999n : 0n),
  };
}

function microsOf(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getBigInt64(0, true);
}
