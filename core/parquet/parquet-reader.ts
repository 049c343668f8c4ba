import { VarveError } from '../std/errors.js';
import { readColumn } from './column-reader.js';
import { readFileLayout } from './metadata-reader.js';
import type { ParquetColumnData, ParquetColumnSpec } from './types.js';

/** The rows of one row group, in the columns that were asked for. */
export interface ParquetRowGroup {
  readonly rowCount: number;
  readonly columns: readonly ParquetColumnData[];
}

/** The columns of a file that Varve wrote. Errors: `corrupt`, and `invalid` for a file of another writer. */
export function readParquetSpecs(bytes: Uint8Array): readonly ParquetColumnSpec[] {
  return readFileLayout(bytes).specs;
}

/**
 * Reads a file that Varve wrote back as it was given to the writer, one row group at a time: exact integers, NaNs
 * with their bits. Every page is checked against its CRC-32.
 *
 * @param columns names of the columns to read, in the order wanted; all in the file's order when absent
 * @throws `corrupt` for damage, `invalid` for a file of another writer or a column that is not there
 */
export function* readParquetRowGroups(
  bytes: Uint8Array,
  columns?: readonly string[],
): Generator<ParquetRowGroup> {
  const { specs, rowGroups } = readFileLayout(bytes);
  const wanted = (columns ?? specs.map((spec) => spec.name)).map((name) => {
    const index = specs.findIndex((spec) => spec.name === name);
    if (index >= 0) return index;
    throw new VarveError(
      'invalid',
      `reading a Parquet file: got no column ${name}; want it among the file's`,
    );
  });
  for (const { rowCount, chunks } of rowGroups) {
    yield {
      rowCount,
      columns: wanted.map((index) => readColumn(bytes, chunks[index]!, specs[index]!, rowCount)),
    };
  }
}
