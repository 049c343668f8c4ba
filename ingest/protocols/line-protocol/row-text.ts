import { type FieldColumn, stringBytes, type TableRows } from '../../../core/model/columns.js';
import { decodeSeriesKey } from '../../../core/model/series-key.js';

/** A row as a line of line protocol, tags in canonical order, with its time in nanoseconds. Decodes to the same row. */
export function rowText(rows: TableRows, row: number): string {
  const tags = decodeSeriesKey(stringBytes(rows.seriesKeys, rows.series[row] ?? 0));
  const key = [
    escapeMeasurement(rows.table),
    ...tags.map(({ name, value }) => `${escapeTag(name)}=${escapeTag(value)}`),
  ];
  const fields = rows.fields
    .filter((field) => field.validity === null || field.validity[row] === 1)
    .map((field) => `${escapeTag(field.name)}=${valueText(field, row)}`);
  return `${key.join(',')} ${fields.join(',')} ${rows.timesNs[row]}`;
}

function valueText(field: FieldColumn, row: number): string {
  switch (field.type) {
    case 'double': {
      const value = field.values[row] ?? 0;
      return Object.is(value, -0) ? '-0' : String(value);
    }
    case 'bigint':
      return `${field.values[row]}i`;
    case 'ubigint':
      return `${field.values[row]}u`;
    case 'boolean':
      return field.values[row] === 1 ? 'true' : 'false';
    case 'string':
      return `"${Buffer.from(stringBytes(field.values, row)).toString('utf8').replace(/["\\]/g, '\\$&')}"`;
  }
}

function escapeMeasurement(name: string): string {
  return name.replace(/[, ]/g, '\\$&');
}

function escapeTag(text: string): string {
  return text.replace(/[,= ]/g, '\\$&');
}
