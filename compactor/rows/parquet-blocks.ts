import { setImmediate as nextTurn } from 'node:timers/promises';
import { timeFieldId, timeNsFieldId } from '../../core/model/schema.js';
import { readParquetRowGroups, readParquetSpecs } from '../../core/parquet/parquet-reader.js';
import type { ParquetColumnData, TagCodes } from '../../core/parquet/types.js';
import { VarveError } from '../../core/std/errors.js';
import type { FieldValues, RowBlock } from './row-block.js';
import type { RowLayout } from './row-layout.js';

/**
 * Reads a settled file as row blocks, one a row group, its columns found by field id: a file written before a column
 * came lacks it. Errors: `corrupt` for damage.
 */
export async function* parquetBlocks(bytes: Uint8Array, layout: RowLayout): AsyncGenerator<RowBlock> {
  const places = new Map(readParquetSpecs(bytes).map((spec, index) => [spec.fieldId, index]));
  for (const { rowCount, columns } of readParquetRowGroups(bytes)) {
    const columnOf = (fieldId: number): ParquetColumnData | null => {
      const index = places.get(fieldId);
      return index === undefined ? null : (columns[index] ?? null);
    };
    const time = columnOf(timeFieldId);
    if (time?.kind !== 'time')
      throw new VarveError('corrupt', 'reading a settled file: want a column of times');
    const nanos = columnOf(timeNsFieldId);
    yield {
      rowCount,
      micros: time.micros,
      nanos: nanos?.kind === 'time-ns' ? nanos.nanos : null,
      tags: layout.tags.map(({ name, fieldId }) => tagOf(columnOf(fieldId), name)),
      fields: layout.fields.map(({ name, fieldId, type }) => fieldOf(columnOf(fieldId), name, type)),
    };
    await nextTurn();
  }
}

function tagOf(column: ParquetColumnData | null, name: string): TagCodes | null {
  if (column === null) return null;
  if (column.kind === 'tag') return column.tags;
  throw new VarveError('corrupt', `reading a settled file: got "${name}" as ${column.kind}; want a tag`);
}

function fieldOf(
  column: ParquetColumnData | null,
  name: string,
  type: FieldValues['type'],
): FieldValues | null {
  if (column === null) return null;
  if (column.kind === 'field' && column.type === type) return column;
  throw new VarveError(
    'corrupt',
    `reading a settled file: got "${name}" as ${column.kind}; want a field of ${type}`,
  );
}
