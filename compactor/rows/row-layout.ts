import type { FieldType } from '../../core/model/columns.js';
import { compareUtf8, type TableSchema, timeFieldId, timeNsFieldId } from '../../core/model/schema.js';
import type { ParquetColumnSpec } from '../../core/parquet/types.js';

/** The columns of a table as the compactor moves them: what a file has, and where each column stands in a RowBlock. */
export interface RowLayout {
  /** Columns of a file in file order: time, time_ns where the table has it, then by field id. */
  readonly specs: readonly ParquetColumnSpec[];
  /** In sort order: by UTF-8 bytes of the name. */
  readonly tags: readonly LayoutTag[];
  /** In order of field id. */
  readonly fields: readonly LayoutField[];
  readonly hasTimeNs: boolean;
}

export interface LayoutTag {
  readonly name: string;
  readonly fieldId: number;
}

export interface LayoutField {
  readonly name: string;
  readonly fieldId: number;
  readonly type: FieldType;
}

/** The layout of a table's settled files under its schema of now. */
export function rowLayoutOf(schema: TableSchema): RowLayout {
  const specs: ParquetColumnSpec[] = [{ kind: 'time', name: 'time', fieldId: timeFieldId }];
  if (schema.hasTimeNs) specs.push({ kind: 'time-ns', name: 'time_ns', fieldId: timeNsFieldId });
  const tags: LayoutTag[] = [];
  const fields: LayoutField[] = [];
  for (const column of schema.columns) {
    const { name, fieldId } = column;
    if (column.kind === 'tag') {
      specs.push({ kind: 'tag', name, fieldId });
      tags.push({ name, fieldId });
    } else {
      specs.push({ kind: 'field', name, fieldId, type: column.type });
      fields.push({ name, fieldId, type: column.type });
    }
  }
  tags.sort((left, right) => compareUtf8(left.name, right.name));
  return { specs, tags, fields, hasTimeNs: schema.hasTimeNs };
}
