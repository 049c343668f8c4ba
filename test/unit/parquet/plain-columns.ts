import { packStrings, type StringValues, stringBytes } from '../../../core/model/columns.js';
import { ParquetWriter, type ParquetWriterOptions } from '../../../core/parquet/parquet-writer.js';
import type { ParquetColumnData, ParquetColumnSpec, ParquetFile } from '../../../core/parquet/types.js';

/** A value as tests write it: numbers for time-ns and doubles, bigints for time, bigint and ubigint. */
export type PlainValue = bigint | number | string | boolean | null;

/** A column with its rows as plain values; what every reader is compared with. */
export interface PlainColumn {
  readonly spec: ParquetColumnSpec;
  readonly values: readonly PlainValue[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export function timeSpec(fieldId = 1): ParquetColumnSpec {
  return { kind: 'time', name: 'time', fieldId };
}

export function fieldSpec(
  type: 'double' | 'bigint' | 'ubigint' | 'boolean' | 'string',
  name: string = type,
  fieldId = 10,
): ParquetColumnSpec {
  return { kind: 'field', name, fieldId, type };
}

export function tagSpec(name = 'host', fieldId = 9): ParquetColumnSpec {
  return { kind: 'tag', name, fieldId };
}

/** Writes the columns in row groups of `rowGroupRows`. */
export function writePlain(
  columns: readonly PlainColumn[],
  rowGroupRows = Number.POSITIVE_INFINITY,
  options: ParquetWriterOptions = {},
): ParquetFile {
  const writer = new ParquetWriter(
    columns.map((column) => column.spec),
    options,
  );
  const rows = columns[0]?.values.length ?? 0;
  for (let from = 0; from < rows; from += rowGroupRows) {
    const to = Math.min(rows, from + rowGroupRows);
    writer.writeRowGroup(
      to - from,
      columns.map(({ spec, values }) => toColumnData(spec, values.slice(from, to))),
    );
  }
  return writer.finish();
}

export function toColumnData(spec: ParquetColumnSpec, values: readonly PlainValue[]): ParquetColumnData {
  if (spec.kind === 'time') return { kind: 'time', micros: BigInt64Array.from(values as bigint[]) };
  if (spec.kind === 'time-ns') return { kind: 'time-ns', nanos: Int32Array.from(values as number[]) };
  if (spec.kind === 'tag') return { kind: 'tag', tags: toTagCodes(values as (string | null)[]) };
  const validity = values.includes(null) ? Uint8Array.from(values, (value) => +(value !== null)) : null;
  const base = { kind: 'field' as const, validity };
  switch (spec.type) {
    case 'double':
      return { ...base, type: 'double', values: Float64Array.from(values, (value) => Number(value ?? 7.5)) };
    case 'bigint':
      return { ...base, type: 'bigint', values: BigInt64Array.from(values, (value) => BigInt(value ?? 77)) };
    case 'ubigint':
      return {
        ...base,
        type: 'ubigint',
        values: BigUint64Array.from(values, (value) => BigInt(value ?? 77)),
      };
    case 'boolean':
      return {
        ...base,
        type: 'boolean',
        values: Uint8Array.from(values, (value) => (value === false ? 0 : 1)),
      };
    case 'string':
      return { ...base, type: 'string', values: packText(values.map((value) => String(value ?? ''))) };
  }
}

/** Reads column data back into plain values. */
export function fromColumnData(data: ParquetColumnData): PlainValue[] {
  if (data.kind === 'time') return Array.from(data.micros);
  if (data.kind === 'time-ns') return Array.from(data.nanos);
  if (data.kind === 'tag') {
    const { codes, dictionary } = data.tags;
    return Array.from(codes, (code) => (code < 0 ? null : textAt(dictionary, code)));
  }
  const { validity } = data;
  const rows = data.type === 'string' ? data.values.offsets.length - 1 : data.values.length;
  return Array.from({ length: rows }, (_, row) => {
    if (validity !== null && validity[row] === 0) return null;
    if (data.type === 'string') return textAt(data.values, row);
    if (data.type === 'boolean') return data.values[row] !== 0;
    return data.values[row] ?? null;
  });
}

function toTagCodes(values: readonly (string | null)[]): {
  readonly codes: Int32Array;
  readonly dictionary: StringValues;
} {
  // An entry that no row uses, as a dictionary shared by row groups has them.
  const entries = ['\u{10ffff}unused', ...new Set(values.filter((value) => value !== null))];
  const places = new Map(entries.map((entry, index) => [entry, index]));
  const codes = Int32Array.from(values, (value) => (value === null ? -1 : (places.get(value) ?? -1)));
  return { codes, dictionary: packText(entries) };
}

function packText(values: readonly string[]): StringValues {
  return packStrings(values.map((value) => encoder.encode(value)));
}

function textAt(values: StringValues, index: number): string {
  return decoder.decode(stringBytes(values, index));
}
