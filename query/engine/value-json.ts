import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
  type DuckDBValue,
} from '@duckdb/node-api';
import { dateText, decimalText, timestampText } from '../formats/cell-text.js';

/**
 * Any value of the engine as JSON text: lists as arrays, structs as objects, maps as objects where keys are text and as
 * arrays of pairs otherwise, numbers exact, times as RFC 3339, blobs in base64, the rest as the engine writes it.
 */
export function valueJson(value: DuckDBValue): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null';
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) {
    return `[${value.items.map(valueJson).join(',')}]`;
  }
  if (value instanceof DuckDBStructValue) {
    const entries = Object.entries(value.entries);
    return `{${entries.map(([name, item]) => `${JSON.stringify(name)}:${valueJson(item)}`).join(',')}}`;
  }
  if (value instanceof DuckDBMapValue) return mapJson(value);
  if (value instanceof DuckDBUnionValue) return valueJson(value.value);
  if (value instanceof DuckDBDecimalValue) return decimalText(value.value, value.scale);
  if (value instanceof DuckDBDateValue) return JSON.stringify(dateText(value.days));
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) {
    return JSON.stringify(timestampText(value.micros, 'us'));
  }
  if (value instanceof DuckDBTimestampNanosecondsValue) {
    return JSON.stringify(timestampText(value.nanos, 'ns'));
  }
  if (value instanceof DuckDBTimestampMillisecondsValue) {
    return JSON.stringify(timestampText(value.millis * 1000n, 'us'));
  }
  if (value instanceof DuckDBTimestampSecondsValue) {
    return JSON.stringify(timestampText(value.seconds * 1_000_000n, 'us'));
  }
  if (value instanceof DuckDBBlobValue) return JSON.stringify(Buffer.from(value.bytes).toString('base64'));
  return JSON.stringify(String(value));
}

function mapJson(map: DuckDBMapValue): string {
  if (map.entries.every(({ key }) => typeof key === 'string')) {
    return `{${map.entries.map(({ key, value }) => `${valueJson(key)}:${valueJson(value)}`).join(',')}}`;
  }
  return `[${map.entries.map(({ key, value }) => `[${valueJson(key)},${valueJson(value)}]`).join(',')}]`;
}
