import type { FieldType } from '../model/columns.js';
import {
  type Column,
  firstColumnFieldId,
  reservedColumnNames,
  type SchemaAddition,
  type TableSchema,
} from '../model/schema.js';
import { nameDefect } from './keys.js';

export interface SchemaLimits {
  /** Columns a table, `time` not counted. */
  readonly columnsMax: number;
  /** Tables a database. */
  readonly tablesMax: number;
}

/** `column: null` when the table itself is at fault. */
export interface SchemaRefusal {
  readonly kind: 'refused';
  readonly table: string;
  readonly column: string | null;
  readonly reason: string;
}

export type ExtendSchemaResult =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'extended'; readonly schema: TableSchema }
  | SchemaRefusal;

interface WantedColumn {
  readonly name: string;
  readonly kind: 'tag' | 'field';
  readonly type: FieldType;
}

/**
 * The table's schema with the columns that a write needs, all of them or none. New columns take the next field ids.
 * Refused are: a tag where a field is and the other way round, another type, names that differ only by case (engines
 * that read the history do not tell them apart), reserved names, and more columns than allowed.
 */
export function extendSchema(
  current: TableSchema | undefined,
  addition: SchemaAddition,
  limits: Pick<SchemaLimits, 'columnsMax'>,
): ExtendSchemaResult {
  const { table } = addition;
  const refuse = (column: string | null, reason: string): SchemaRefusal => ({
    kind: 'refused',
    table,
    column,
    reason,
  });
  if (current === undefined) {
    const defect = nameDefect(table);
    if (defect !== undefined) return refuse(null, defect);
  }

  const columns: Column[] = [...(current?.columns ?? [])];
  const byName = new Map(columns.map((column) => [column.name, column]));
  const byFoldedName = new Map(columns.map((column) => [foldCase(column.name), column]));
  for (const wanted of wantedColumns(addition)) {
    const present = byName.get(wanted.name);
    if (present !== undefined) {
      if (present.kind === wanted.kind && present.type === wanted.type) continue;
      return refuse(wanted.name, `got a ${describe(wanted)}; the table has it as a ${describe(present)}`);
    }
    const alike = byFoldedName.get(foldCase(wanted.name));
    if (alike !== undefined) {
      return refuse(wanted.name, `differs only by case from the column "${alike.name}" that the table has`);
    }
    const defect = columnDefect(wanted.name);
    if (defect !== undefined) return refuse(wanted.name, defect);
    if (columns.length >= limits.columnsMax) {
      return refuse(
        wanted.name,
        `the table has ${columns.length} columns; at most ${limits.columnsMax} are allowed`,
      );
    }
    const column = { ...wanted, fieldId: firstColumnFieldId + columns.length } as Column;
    columns.push(column);
    byName.set(column.name, column);
    byFoldedName.set(foldCase(column.name), column);
  }

  const hasTimeNs = addition.hasTimeNs || (current?.hasTimeNs ?? false);
  const grown = columns.length > (current?.columns.length ?? 0);
  if (current !== undefined && !grown && hasTimeNs === current.hasTimeNs) return { kind: 'unchanged' };
  return { kind: 'extended', schema: { table, columns, hasTimeNs } };
}

function wantedColumns(addition: SchemaAddition): WantedColumn[] {
  return [
    ...addition.tags.map((name) => ({ name, kind: 'tag', type: 'string' }) as const),
    ...addition.fields.map(({ name, type }) => ({ name, kind: 'field', type }) as const),
  ];
}

function columnDefect(name: string): string | undefined {
  if (reservedColumnNames.has(foldCase(name))) return `the name "${foldCase(name)}" is reserved`;
  return nameDefect(name);
}

function foldCase(name: string): string {
  return name.toLowerCase();
}

function describe(column: WantedColumn): string {
  return column.kind === 'tag' ? 'tag' : `${column.type} field`;
}
