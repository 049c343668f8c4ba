import type { FieldType } from './columns.js';

/** A column of a table, `time` excluded: every table has that, as Iceberg field 1 (and time_ns as field 2). */
export type Column =
  | { readonly name: string; readonly kind: 'tag'; readonly type: 'string'; readonly fieldId: number }
  | { readonly name: string; readonly kind: 'field'; readonly type: FieldType; readonly fieldId: number };

/** Iceberg field id of `time`. */
export const timeFieldId = 1;
/** Iceberg field id of `time_ns`. */
export const timeNsFieldId = 2;
/** Iceberg field id of the first tag or field of a table. */
export const firstColumnFieldId = 3;

/** Column names that points may not use. */
export const reservedColumnNames: ReadonlySet<string> = new Set(['time', 'time_ns']);

/** The columns of a table. Grows only: a column is never removed, renamed or retyped, a field id never reused. */
export interface TableSchema {
  readonly table: string;
  /** In order of field id. */
  readonly columns: readonly Column[];
  /**
   * True once a point with a time that is no whole number of microseconds came: the table then has the column
   * time_ns (0 to 999) in its files. Never goes back to false.
   */
  readonly hasTimeNs: boolean;
}

/** What a write needs a table to have. */
export interface SchemaAddition {
  readonly table: string;
  readonly tags: readonly string[];
  readonly fields: readonly { readonly name: string; readonly type: FieldType }[];
  readonly hasTimeNs: boolean;
}

/** The tag columns in the order by which settled files are sorted: byte order of their names. */
export function sortedTagNames(schema: TableSchema): string[] {
  return schema.columns
    .filter((column) => column.kind === 'tag')
    .map((column) => column.name)
    .sort(compareUtf8);
}

/** Orders strings by their UTF-8 bytes, which is the order of their code points. */
export function compareUtf8(left: string, right: string): number {
  if (left === right) return 0;
  return Buffer.compare(Buffer.from(left, 'utf8'), Buffer.from(right, 'utf8'));
}
