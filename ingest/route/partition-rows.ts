import type { TableRows } from '../../core/model/columns.js';
import { selectRows } from '../../core/model/select-rows.js';

/**
 * Parts rows by a number each row is assigned, keeping their order. Rows that all go one way are handed on
 * untouched.
 */
export function partitionRows(rows: TableRows, assigned: number | Int32Array): Map<number, RowsPart> {
  if (typeof assigned === 'number') return new Map([[assigned, { rows, positions: null }]]);
  const counts = new Map<number, number>();
  for (let row = 0; row < rows.rowCount; row++) {
    const target = assigned[row] as number;
    counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  const picked = new Map(
    [...counts].map(([target, count]) => [target, { at: 0, rows: new Int32Array(count) }]),
  );
  for (let row = 0; row < rows.rowCount; row++) {
    const part = picked.get(assigned[row] as number);
    if (part !== undefined) part.rows[part.at++] = row;
  }
  return new Map(
    [...picked].map(([target, part]) => [
      target,
      { rows: selectRows(rows, part.rows), positions: part.rows },
    ]),
  );
}

/** Some of the rows of a TableRows. */
export interface RowsPart {
  readonly rows: TableRows;
  /** Where each row stood in the original; null when they are the original. */
  readonly positions: Int32Array | null;
}
