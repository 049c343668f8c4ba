import { createHash } from 'node:crypto';
import { decodeArrowRows } from '../../core/codec/arrow-decoder.js';
import { type Batch, compareBatchPrecedence, type GroupId, type NodeId } from '../../core/model/batch.js';
import {
  type FieldColumn,
  type FieldType,
  packStrings,
  stringBytes,
  type TableRows,
} from '../../core/model/columns.js';
import { compareUtf8 } from '../../core/model/schema.js';
import { encodeSeriesKey } from '../../core/model/series-key.js';
import type { HotReader, HotScanRequest } from '../../core/ports/hot-reader.js';

export type PlainValue = number | bigint | boolean | string;

/** A row the plain way. */
export interface PlainRow {
  readonly tags: Readonly<Record<string, string>>;
  readonly timeNs: bigint;
  readonly fields: Readonly<Record<string, PlainValue>>;
}

/** Types of the fields that tests write. */
export const fieldTypes: Readonly<Record<string, FieldType>> = {
  load: 'double',
  count: 'bigint',
  total: 'ubigint',
  up: 'boolean',
  note: 'string',
};

export interface PlainBatch {
  readonly origin: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly stamp: bigint;
  readonly shard: number;
  readonly tables: Readonly<Record<string, readonly PlainRow[]>>;
}

export const database = 'db';
export const group = 'w000000000001' as GroupId;

export function batchOf(plain: PlainBatch): Batch {
  return {
    database,
    group,
    shard: plain.shard,
    id: { origin: plain.origin as NodeId, epoch: plain.epoch, sequence: plain.sequence },
    stamp: plain.stamp,
    tables: Object.entries(plain.tables).map(([table, rows]) => columnar(table, rows)),
  };
}

/** A hash that differs for different batches, as that of the encoding would. */
export function hashOf(plain: PlainBatch): Uint8Array {
  const text = JSON.stringify(plain, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
  return new Uint8Array(createHash('sha256').update(text).digest().subarray(0, 16));
}

function columnar(table: string, rows: readonly PlainRow[]): TableRows {
  const keys = rows.map((row) =>
    encodeSeriesKey(Object.entries(row.tags).map(([name, value]) => ({ name, value }))),
  );
  const texts = keys.map((key) => Buffer.from(key).toString('latin1'));
  const distinct = [...new Set(texts)];
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.fields)))];
  return {
    table,
    rowCount: rows.length,
    seriesKeys: packStrings(distinct.map((text) => Buffer.from(text, 'latin1'))),
    series: Int32Array.from(texts, (text) => distinct.indexOf(text)),
    timesNs: BigInt64Array.from(rows, (row) => row.timeNs),
    fields: names.map((name) => fieldColumn(name, rows)),
  };
}

function fieldColumn(name: string, rows: readonly PlainRow[]): FieldColumn {
  const type = fieldTypes[name]!;
  const values = rows.map((row) => row.fields[name]);
  const validity = values.includes(undefined)
    ? Uint8Array.from(values, (value) => (value === undefined ? 0 : 1))
    : null;
  const base = { name, validity };
  switch (type) {
    case 'double':
      return { ...base, type, values: Float64Array.from(values, (value) => Number(value ?? 99)) };
    case 'bigint':
      return { ...base, type, values: BigInt64Array.from(values, (value) => (value ?? -7n) as bigint) };
    case 'ubigint':
      return { ...base, type, values: BigUint64Array.from(values, (value) => (value ?? 7n) as bigint) };
    case 'boolean':
      return { ...base, type, values: Uint8Array.from(values, (value) => (value === true ? 1 : 0)) };
    case 'string':
      return { ...base, type, values: packStrings(values.map((value) => Buffer.from(String(value ?? '')))) };
  }
}

/** What a scan should answer, worked out in the plainest way from all batches, each given once. */
export function naiveScan(batches: readonly PlainBatch[], request: HotScanRequest): PlainRow[] {
  const ascending = [...batches].sort((left, right) =>
    compareBatchPrecedence(batchOf({ ...left, tables: {} }), batchOf({ ...right, tables: {} })),
  );
  const rows = ascending
    .filter((batch) => batch.shard === request.shard)
    .flatMap((batch) => batch.tables[request.table] ?? []);
  const tagNames = [...new Set(rows.flatMap((row) => Object.keys(row.tags)))].sort(compareUtf8);
  const points = new Map<string, PlainRow>();
  for (const row of rows) {
    const key = JSON.stringify([tagNames.map((name) => row.tags[name] ?? null), String(row.timeNs)]);
    points.set(key, { ...row, fields: { ...points.get(key)?.fields, ...row.fields } });
  }
  return [...points.values()]
    .filter((row) => request.minTimeNs === null || row.timeNs >= request.minTimeNs)
    .filter((row) => request.maxTimeNs === null || row.timeNs <= request.maxTimeNs)
    .filter((row) => request.tags.every(({ tag, values }) => values.includes(row.tags[tag] ?? null)))
    .sort((left, right) => {
      for (const name of tagNames) {
        const a = left.tags[name];
        const b = right.tags[name];
        if (a === b) continue;
        if (a === undefined || b === undefined) return a === undefined ? -1 : 1;
        return compareUtf8(a, b);
      }
      return left.timeNs < right.timeNs ? -1 : 1;
    })
    .map((row) => project(row, request.columns));
}

function project(row: PlainRow, columns: readonly string[]): PlainRow {
  const keep = <Value>(record: Readonly<Record<string, Value>>): Record<string, Value> =>
    Object.fromEntries(
      columns.filter((name) => record[name] !== undefined).map((name) => [name, record[name]!]),
    );
  return { tags: keep(row.tags), timeNs: row.timeNs, fields: keep(row.fields) };
}

/** What a reader answers, row by row. */
export async function plainScan(reader: HotReader, request: HotScanRequest): Promise<PlainRow[]> {
  return plainRows(reader.scan(request));
}

/** The rows of an Arrow stream. */
export async function plainRows(pieces: AsyncIterable<Uint8Array>): Promise<PlainRow[]> {
  const rows: PlainRow[] = [];
  for await (const batch of decodeArrowRows(pieces)) {
    for (let row = 0; row < batch.rowCount; row++) {
      const tags: Record<string, string> = {};
      for (const { name, codes, dictionary } of batch.tags) {
        if (codes[row]! >= 0) tags[name] = Buffer.from(stringBytes(dictionary, codes[row]!)).toString();
      }
      const fields: Record<string, PlainValue> = {};
      for (const field of batch.fields) {
        if (field.validity !== null && field.validity[row] === 0) continue;
        fields[field.name] = plainValue(field, row);
      }
      rows.push({ tags, timeNs: batch.timesNs[row]!, fields });
    }
  }
  return rows;
}

/** Rows as text, for comparing many of them. */
export function rowTexts(rows: readonly PlainRow[]): string[] {
  return rows.map((row) =>
    JSON.stringify([sorted(row.tags), row.timeNs, sorted(row.fields)], (_, value) =>
      typeof value === 'bigint' ? `${value}n` : value,
    ),
  );
}

function sorted<Value>(record: Readonly<Record<string, Value>>): [string, Value][] {
  return Object.entries(record).sort(([left], [right]) => (left < right ? -1 : 1));
}

function plainValue(field: FieldColumn, row: number): PlainValue {
  if (field.type === 'boolean') return field.values[row] === 1;
  if (field.type === 'string') return Buffer.from(stringBytes(field.values, row)).toString();
  return field.values[row]!;
}
