/**
 * The merge rule: rows with the same series and time are one point. Its fields are the union of theirs; of several
 * values for one field the one of the row with the highest precedence stands. Different values for one field of a
 * point are a conflict.
 */

/** The cells of one field, by row number. */
export interface FieldCells {
  /** Whether the row has the field. */
  has(row: number): boolean;
  /** Whether two rows that have the field hold the same value, bit for bit. */
  same(left: number, right: number): boolean;
}

/**
 * The row whose value stands for the field, or -1 when no row has it.
 *
 * @param rows rows of one point at [from, to), in ascending precedence
 */
export function winningRow(cells: FieldCells, rows: Int32Array, from: number, to: number): number {
  for (let at = to - 1; at >= from; at--) {
    const row = rows[at]!;
    if (cells.has(row)) return row;
  }
  return -1;
}

/** Whether some row of [from, to) has another value for the field than the winner. */
export function hasConflict(
  cells: FieldCells,
  rows: Int32Array,
  from: number,
  to: number,
  winner: number,
): boolean {
  for (let at = from; at < to; at++) {
    const row = rows[at]!;
    if (row !== winner && cells.has(row) && !cells.same(row, winner)) return true;
  }
  return false;
}
