import type { FieldType } from '../model/columns.js';
import { type Column, type TableSchema, timeFieldId, timeNsFieldId } from '../model/schema.js';
import { VarveError } from '../std/errors.js';

/** Iceberg's names of the primitive types that our tables use. */
export type IcebergType = 'timestamptz' | 'int' | 'string' | 'double' | 'long' | 'decimal(20, 0)' | 'boolean';

/** A column of an Iceberg schema, in the JSON form of the specification (appendix C). */
export interface IcebergField {
  readonly id: number;
  readonly name: string;
  readonly required: boolean;
  readonly type: IcebergType;
  /** `tag` on tag columns, so that a reader of the metadata alone can tell tags from string fields. */
  readonly doc?: string;
}

export interface IcebergSchema {
  readonly type: 'struct';
  readonly 'schema-id': number;
  readonly fields: readonly IcebergField[];
}

const typeOfField: Readonly<Record<FieldType, IcebergType>> = {
  double: 'double',
  bigint: 'long',
  ubigint: 'decimal(20, 0)',
  boolean: 'boolean',
  string: 'string',
};

const tagDoc = 'tag';

/** The Iceberg columns of a table, in order of field id: time, time_ns where the table has it, then tags and fields. */
export function icebergFields(schema: TableSchema): IcebergField[] {
  const fields: IcebergField[] = [{ id: timeFieldId, name: 'time', required: true, type: 'timestamptz' }];
  // Optional, because files written before the first sub-microsecond point lack the column: absent means 0.
  if (schema.hasTimeNs) fields.push({ id: timeNsFieldId, name: 'time_ns', required: false, type: 'int' });
  return fields.concat(schema.columns.map(icebergField));
}

function icebergField(column: Column): IcebergField {
  const field = { id: column.fieldId, name: column.name, required: false, type: typeOfField[column.type] };
  return column.kind === 'tag' ? { ...field, doc: tagDoc } : field;
}

/** True when both describe the same columns under the same ids. */
export function sameFields(left: readonly IcebergField[], right: readonly IcebergField[]): boolean {
  return (
    left.length === right.length &&
    left.every((field, index) => {
      const other = right[index];
      return other?.id === field.id && other.name === field.name && other.type === field.type;
    })
  );
}

/**
 * The table schema that an Iceberg schema of ours stands for: the inverse of `icebergFields`. `corrupt` for a
 * schema that Varve cannot have written.
 */
export function tableSchemaOf(table: string, schema: IcebergSchema): TableSchema {
  const columns = schema.fields
    .filter((field) => field.id !== timeFieldId && field.id !== timeNsFieldId)
    .map((field) => columnOf(table, field));
  return { table, columns, hasTimeNs: schema.fields.some((field) => field.id === timeNsFieldId) };
}

function columnOf(table: string, field: IcebergField): Column {
  const { id: fieldId, name } = field;
  if (field.doc === tagDoc && field.type === 'string') return { name, kind: 'tag', type: 'string', fieldId };
  const found = Object.entries(typeOfField).find(([, type]) => type === field.type);
  if (found === undefined) {
    throw new VarveError(
      'corrupt',
      `reading the Iceberg schema of table "${table}": got type "${field.type}" for column "${name}"; want one of ${Object.values(typeOfField).join(', ')}`,
    );
  }
  return { name, kind: 'field', type: found[0] as FieldType, fieldId };
}
