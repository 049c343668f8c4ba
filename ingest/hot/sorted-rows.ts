/** The rows that a scan reads, series by series, ascending by time and precedence within a series. */
export interface SeriesRows {
  /** The series that have rows, in order of their tag values. */
  readonly series: Int32Array;
  readonly rows: Int32Array;
  /** The rows of series[k] are rows[starts[k], starts[k + 1]). */
  readonly starts: Int32Array;
}

/** The same, and which series have rows of equal times, which are one point. */
export interface SortedRows extends SeriesRows {
  /** By place of the series: 1 where some of its rows may have the same time. */
  readonly repeats: Uint8Array;
  /** By place of the row: its time; null where it has not been looked up. */
  readonly timesNs: BigInt64Array | null;
}

/** Which rows of a chunk are known already: of each series the first ones, all below `rowCount`. */
export interface RowsHeld {
  /** The chunk's rows from here on are not held. */
  readonly rowCount: number;
  /** How many rows of the series of this number are held. */
  readonly rowsOf: (series: number) => number;
}

/** Nothing is held. */
export const noRowsHeld: RowsHeld = { rowCount: 0, rowsOf: () => 0 };
