import { type FieldColumn, stringBytes, type TableRows } from '../../../core/model/columns.js';
import type { TableSchema } from '../../../core/model/schema.js';
import { decodeSeriesKey } from '../../../core/model/series-key.js';
import {
  type DecodedWrite,
  type LineProtocolCaches,
  LineProtocolDecoder,
  type LineProtocolLimits,
} from '../../../ingest/protocols/line-protocol/decoder.js';
import type { TimePrecision } from '../../../ingest/protocols/line-protocol/precision.js';
import { ScratchPool } from '../../../ingest/protocols/line-protocol/row-memory.js';
import { SeriesInternerSlot } from '../../../ingest/protocols/line-protocol/series-interner.js';

export interface DecodeSettings {
  readonly precision?: TimePrecision;
  readonly nowNs?: bigint;
  readonly schemas?: readonly TableSchema[];
  readonly limits?: Partial<LineProtocolLimits>;
  readonly caches?: LineProtocolCaches;
  /** Positions at which the body is cut. */
  readonly cuts?: readonly number[];
}

/** One decoded row in a form that tests can compare. */
export interface PlainRow {
  readonly lineNumber: number;
  readonly table: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string | number | bigint | boolean>>;
  readonly timeNs: bigint;
}

export function newCaches(
  internerBytesMax = 64 << 20,
  kernel: WebAssembly.Module | undefined = undefined,
): LineProtocolCaches {
  return { interners: new SeriesInternerSlot(internerBytesMax, kernel), scratch: new ScratchPool(64 << 20) };
}

export function decode(body: string | Uint8Array, settings: DecodeSettings = {}): DecodedWrite {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
  const decoder = new LineProtocolDecoder({
    schemaOf: (table) => settings.schemas?.find((schema) => schema.table === table),
    precision: settings.precision ?? 'ns',
    nowNs: settings.nowNs ?? 42n,
    caches: settings.caches ?? newCaches(),
    limits: { columnsMax: 1000, tablesMax: 1000, ...settings.limits },
  });
  let from = 0;
  for (const cut of [...(settings.cuts ?? []), bytes.length]) {
    decoder.push(bytes.subarray(from, cut));
    from = cut;
  }
  return decoder.finish();
}

/** All rows in order of their lines. */
export function plainRows(write: DecodedWrite): PlainRow[] {
  return write.tables
    .flatMap(({ rows, lineNumbers }) =>
      Array.from({ length: rows.rowCount }, (_, row) => plainRow(rows, row, lineNumbers[row] ?? 0)),
    )
    .sort((left, right) => left.lineNumber - right.lineNumber);
}

function plainRow(rows: TableRows, row: number, lineNumber: number): PlainRow {
  const tags = decodeSeriesKey(stringBytes(rows.seriesKeys, rows.series[row] ?? 0));
  const present = rows.fields.filter((field) => field.validity === null || field.validity[row] === 1);
  return {
    lineNumber,
    table: rows.table,
    tags: Object.fromEntries(tags.map((tag) => [tag.name, tag.value])),
    fields: Object.fromEntries(present.map((field) => [field.name, fieldValue(field, row)])),
    timeNs: rows.timesNs[row] ?? 0n,
  };
}

function fieldValue(field: FieldColumn, row: number): string | number | bigint | boolean {
  switch (field.type) {
    case 'string':
      return Buffer.from(stringBytes(field.values, row)).toString('utf8');
    case 'boolean':
      return field.values[row] === 1;
    default:
      return field.values[row] ?? 0;
  }
}
