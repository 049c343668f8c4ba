import { decodeNarrowRows, type NarrowColumn, type NarrowRows } from '../../core/codec/arrow-decoder.js';
import type { FieldColumn } from '../../core/model/columns.js';
import { VarveError } from '../../core/std/errors.js';
import type { BlockTag, FieldValues, NarrowValues, RowBlock } from './row-block.js';
import type { LayoutField, RowLayout } from './row-layout.js';
import { splitTimes } from './time-lanes.js';

/**
 * Reads the Arrow IPC stream of a hot scan (see core/ports/hot-reader.ts) as row blocks, one a record batch, without
 * copying values. Errors: `corrupt` when the bytes are no such stream or a column has another type than the table's;
 * `unavailable` when the stream ends before its end mark, for rows that did not come would be rows lost; whatever the
 * stream itself throws.
 */
export async function* arrowBlocks(
  pieces: AsyncIterable<Uint8Array>,
  layout: RowLayout,
): AsyncGenerator<RowBlock> {
  for await (const rows of decodeNarrowRows(pieces)) {
    if (rows.rowCount > 0) yield blockOf(rows, layout);
  }
}

function blockOf({ rowCount, timesNs, tags, fields }: NarrowRows, layout: RowLayout): RowBlock {
  return {
    rowCount,
    ...splitTimes(timesNs),
    tags: layout.tags.map(({ name }): BlockTag | null => tags.find((tag) => tag.name === name) ?? null),
    fields: layout.fields.map((wanted) => {
      const column = fields.find(({ name }) => name === wanted.name);
      return column === undefined ? null : valuesOf(column, wanted);
    }),
  };
}

function valuesOf(
  column: FieldColumn | NarrowColumn,
  { name, type }: LayoutField,
): FieldValues | NarrowValues {
  if (column.type === type) {
    return 'narrow' in column ? { ...column, kind: 'narrow' } : { ...column, kind: 'field' };
  }
  throw new VarveError('corrupt', `reading a hot scan: got column "${name}" as ${column.type}; want ${type}`);
}
