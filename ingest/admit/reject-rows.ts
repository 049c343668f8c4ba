import { stringBytes, stringCount, type TableRows } from '../../core/model/columns.js';
import { selectRows } from '../../core/model/select-rows.js';
import { decodeSeriesKey } from '../../core/model/series-key.js';
import { formatTimeNs, nsPerMs } from '../../core/model/window.js';
import type { DecodedTable, RowRejection } from '../write-contract.js';

/** A table's rows with those taken out that cannot be stored. */
export interface Screened {
  /** Null when nothing is left. */
  readonly table: DecodedTable | null;
  readonly rejected: readonly RowRejection[];
}

/** Takes out every row that has the column (as a tag or a field), or every row when `column` is null. */
export function rejectColumn(table: DecodedTable, column: string | null, reason: string): Screened {
  const { rows } = table;
  if (column === null) return screen(table, () => reason);
  const validity = rows.fields.find((field) => field.name === column)?.validity;
  const isField = validity !== undefined;
  const seriesWithTag = new Set<number>();
  for (let series = 0; series < stringCount(rows.seriesKeys); series++) {
    const tags = decodeSeriesKey(stringBytes(rows.seriesKeys, series));
    if (tags.some((tag) => tag.name === column)) seriesWithTag.add(series);
  }
  return screen(table, (row) => {
    const hasField = isField && (validity === null || validity[row] === 1);
    return hasField || seriesWithTag.has(rows.series[row] as number) ? reason : undefined;
  });
}

/** Takes out rows older than the database keeps. */
export function rejectExpired(table: DecodedTable, oldestNs: bigint): Screened {
  const { timesNs, rowCount } = table.rows;
  if (!anyBefore(timesNs, rowCount, oldestNs)) return { table, rejected: [] };
  const oldest = formatTimeNs((oldestNs / nsPerMs) * nsPerMs);
  return screen(table, (row) => {
    const timeNs = timesNs[row] as bigint;
    if (timeNs >= oldestNs) return undefined;
    return `table "${table.rows.table}": got time ${formatTimeNs(timeNs)}; want ${oldest} or later: older points are beyond the database's retention`;
  });
}

function screen(table: DecodedTable, reasonOf: (row: number) => string | undefined): Screened {
  const rejected: RowRejection[] = [];
  const kept: number[] = [];
  for (let row = 0; row < table.rows.rowCount; row++) {
    const reason = reasonOf(row);
    if (reason === undefined) kept.push(row);
    else rejected.push({ lineNumber: table.lineNumbers[row] as number, message: reason });
  }
  if (rejected.length === 0) return { table, rejected };
  if (kept.length === 0) return { table: null, rejected };
  const picked = Int32Array.from(kept);
  const rows: TableRows = selectRows(table.rows, picked);
  return { table: { rows, lineNumbers: picked.map((row) => table.lineNumbers[row] as number) }, rejected };
}

/** Hot loop: exact comparison by 32-bit lanes. */
function anyBefore(timesNs: BigInt64Array, rowCount: number, boundNs: bigint): boolean {
  const low = new Uint32Array(timesNs.buffer, timesNs.byteOffset, rowCount * 2);
  const high = new Int32Array(timesNs.buffer, timesNs.byteOffset, rowCount * 2);
  const boundHigh = Number(boundNs >> 32n);
  const boundLow = Number(boundNs & 0xffffffffn);
  for (let row = 0; row < rowCount; row++) {
    const rowHigh = high[row * 2 + 1] as number;
    if (rowHigh < boundHigh || (rowHigh === boundHigh && (low[row * 2] as number) < boundLow)) return true;
  }
  return false;
}
