import { type DataType, tableFromIPC, type Vector } from 'apache-arrow';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** A row with every value as text, so that answers in different formats can be held against each other. */
export type TextRow = Readonly<Record<string, string | null>>;

/** Rows of a JSON answer. Numbers are taken as their text: those past 2^53 would lose digits. */
export function jsonRows(text: string): TextRow[] {
  const quoted = text.replace(
    /("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|true|false/g,
    (token, string) => (typeof string === 'string' ? string : `"${token}"`),
  );
  return JSON.parse(quoted) as TextRow[];
}

/** Rows of an Arrow IPC stream, decoded by apache-arrow; timestamps as their raw count. */
export function arrowRows(bytes: Uint8Array): TextRow[] {
  const table = tableFromIPC(bytes);
  const columns = table.schema.fields.map((field) => {
    const vector = table.getChild(field.name) as Vector<DataType>;
    const raw =
      field.typeId === 10 ? vector.data.flatMap((data) => Array.from(data.values)) : Array.from(vector);
    return [field.name, raw] as const;
  });
  return Array.from({ length: table.numRows }, (_, row) =>
    Object.fromEntries(columns.map(([name, values]) => [name, textOf(values[row])])),
  );
}

/** The type of each column of an Arrow IPC stream, in apache-arrow's words. */
export function arrowTypes(bytes: Uint8Array): readonly string[] {
  return tableFromIPC(bytes).schema.fields.map((field) => String(field.type));
}

/** Rows of a Parquet file, decoded by hyparquet; timestamps as their raw count. */
export async function parquetRows(bytes: Uint8Array): Promise<TextRow[]> {
  const raw = (count: bigint): bigint => count;
  const rows = await parquetReadObjects({
    file: new Uint8Array(bytes).buffer,
    compressors,
    parsers: {
      timestampFromNanoseconds: raw,
      timestampFromMicroseconds: raw,
      timestampFromMilliseconds: raw,
    },
  });
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, textOf(value)])),
  );
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return Object.is(value, -0) ? '-0' : String(value);
}
