import { type FieldColumn, packStrings, stringBytes, type TableRows } from '../../core/model/columns.js';
import { decodeSeriesKey, encodeSeriesKey } from '../../core/model/series-key.js';

/** A point the plain way, for building rows in tests and for comparing them. */
export interface PlainPoint {
  readonly tags: Readonly<Record<string, string>>;
  readonly timeNs: bigint;
  readonly fields: Readonly<Record<string, number | bigint | boolean | string>>;
}

const text = new TextDecoder();
const bytes = new TextEncoder();

/** Columnar rows of plain points: numbers are doubles, bigints are bigint columns. */
export function rowsOf(table: string, points: readonly PlainPoint[]): TableRows {
  const keys = new Map<string, number>();
  const packed: Uint8Array[] = [];
  const series = Int32Array.from(points, (point) => {
    const key = encodeSeriesKey(Object.entries(point.tags).map(([name, value]) => ({ name, value })));
    const id = Buffer.from(key).toString('hex');
    const known = keys.get(id);
    if (known !== undefined) return known;
    keys.set(id, packed.length);
    return packed.push(key) - 1;
  });
  const names = [...new Set(points.flatMap((point) => Object.keys(point.fields)))];
  return {
    table,
    rowCount: points.length,
    seriesKeys: packStrings(packed),
    series,
    timesNs: BigInt64Array.from(points, (point) => point.timeNs),
    fields: names.map((name) => fieldOf(name, points)),
  };
}

function fieldOf(name: string, points: readonly PlainPoint[]): FieldColumn {
  const values = points.map((point) => point.fields[name]);
  const present = values.filter((value) => value !== undefined);
  const validity =
    present.length === values.length
      ? null
      : Uint8Array.from(values, (value) => (value === undefined ? 0 : 1));
  const base = { name, validity };
  switch (typeof present[0]) {
    case 'number':
      return { ...base, type: 'double', values: Float64Array.from(values, (value) => Number(value ?? 0)) };
    case 'bigint':
      return {
        ...base,
        type: 'bigint',
        values: BigInt64Array.from(values, (value) => BigInt((value ?? 0n) as bigint)),
      };
    case 'boolean':
      return {
        ...base,
        type: 'boolean',
        values: Uint8Array.from(values, (value) => (value === true ? 1 : 0)),
      };
    default:
      return {
        ...base,
        type: 'string',
        values: packStrings(values.map((value) => bytes.encode(String(value ?? '')))),
      };
  }
}

/** Plain points of columnar rows, in row order. */
export function pointsOf(rows: TableRows): PlainPoint[] {
  return Array.from({ length: rows.rowCount }, (_, row) => ({
    tags: Object.fromEntries(
      decodeSeriesKey(stringBytes(rows.seriesKeys, rows.series[row] ?? 0)).map((tag) => [
        tag.name,
        tag.value,
      ]),
    ),
    timeNs: rows.timesNs[row] ?? 0n,
    fields: Object.fromEntries(
      rows.fields
        .filter((field) => field.validity === null || field.validity[row] === 1)
        .map((field) => [field.name, fieldValue(field, row)]),
    ),
  }));
}

function fieldValue(field: FieldColumn, row: number): number | bigint | boolean | string {
  if (field.type === 'string') return text.decode(stringBytes(field.values, row));
  if (field.type === 'boolean') return field.values[row] === 1;
  return field.values[row] ?? 0;
}
