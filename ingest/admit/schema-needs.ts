import { stringBytes, stringCount, type TableRows } from '../../core/model/columns.js';
import type { SchemaAddition, TableSchema } from '../../core/model/schema.js';
import { decodeSeriesKey, sameTagNames } from '../../core/model/series-key.js';

/**
 * What the table's schema lacks for these rows, or undefined when it has everything. Tag names are taken from the
 * distinct series.
 */
export function schemaNeeds(rows: TableRows, schema: TableSchema | undefined): SchemaAddition | undefined {
  const known = new Map((schema?.columns ?? []).map((column) => [column.name, column]));
  const tags = tagNames(rows).filter((name) => known.get(name)?.kind !== 'tag');
  const fields = rows.fields
    .filter((field) => {
      const column = known.get(field.name);
      return column?.kind !== 'field' || column.type !== field.type;
    })
    .map(({ name, type }) => ({ name, type }));
  const hasTimeNs = schema?.hasTimeNs !== true && anyBelowMicrosecond(rows);
  if (schema !== undefined && tags.length === 0 && fields.length === 0 && !hasTimeNs) return undefined;
  return { table: rows.table, tags, fields, hasTimeNs: hasTimeNs || schema?.hasTimeNs === true };
}

/** The distinct tag names of the rows' series. Series next to one another mostly have the same ones. */
function tagNames(rows: TableRows): string[] {
  const { offsets, bytes } = rows.seriesKeys;
  const names = new Set<string>();
  for (let series = 0; series < stringCount(rows.seriesKeys); series++) {
    const start = offsets[series] as number;
    const end = offsets[series + 1] as number;
    if (series > 0 && sameTagNames(bytes, offsets[series - 1] as number, start, start, end)) continue;
    for (const { name } of decodeSeriesKey(stringBytes(rows.seriesKeys, series))) names.add(name);
  }
  return [...names];
}

/**
 * Whether some time is no whole number of microseconds. Hot loop: modulo 1000 of a 64-bit number by its 32-bit
 * lanes, 2^32 being 296 modulo 1000.
 */
function anyBelowMicrosecond(rows: TableRows): boolean {
  const low = new Uint32Array(rows.timesNs.buffer, rows.timesNs.byteOffset, rows.rowCount * 2);
  const high = new Int32Array(rows.timesNs.buffer, rows.timesNs.byteOffset, rows.rowCount * 2);
  for (let row = 0; row < rows.rowCount; row++) {
    if (((high[row * 2 + 1] as number) * 296 + ((low[row * 2] as number) % 1000)) % 1000 !== 0) return true;
  }
  return false;
}
