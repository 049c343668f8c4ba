import { type TableSchema, timeFieldId } from '../model/schema.js';
import { VarveError } from '../std/errors.js';
import type { IcebergSchema } from './table-schema.js';

/** A sort order in the JSON form of the specification (appendix C). Order 0 is reserved for "unsorted". */
export interface SortOrder {
  readonly 'order-id': number;
  readonly fields: readonly SortField[];
}

export interface SortField {
  readonly transform: 'identity';
  readonly 'source-id': number;
  readonly direction: 'asc';
  readonly 'null-order': 'nulls-first';
}

/**
 * The order of rows in a file that is sorted by these tags, then time. A table gets a new one with every new tag,
 * because tags are sorted by name, absent first.
 */
export function sortFields(schema: TableSchema, sortedBy: readonly string[]): SortField[] {
  const tagIds = sortedBy.map((name) => {
    const column = schema.columns.find((candidate) => candidate.kind === 'tag' && candidate.name === name);
    if (column === undefined) {
      throw new VarveError(
        'invalid',
        `sort order of table "${schema.table}": got "${name}"; want one of its tags`,
      );
    }
    return column.fieldId;
  });
  return [...tagIds, timeFieldId].map((id) => ({
    transform: 'identity',
    'source-id': id,
    direction: 'asc',
    'null-order': 'nulls-first',
  }));
}

/** The id of the order with these fields, or undefined when there is none yet. */
export function findSortOrder(
  orders: readonly SortOrder[],
  fields: readonly SortField[],
): number | undefined {
  const found = orders.find(
    (order) =>
      order.fields.length === fields.length &&
      order.fields.every((field, index) => field['source-id'] === fields[index]?.['source-id']),
  );
  return found?.['order-id'];
}

/** The orders with one more if these fields are new. Ids start at 1 and are never used again. */
export function withSortOrder(
  orders: readonly SortOrder[],
  fields: readonly SortField[],
): readonly SortOrder[] {
  if (findSortOrder(orders, fields) !== undefined) return orders;
  const last = orders.reduce((highest, order) => Math.max(highest, order['order-id']), 0);
  return [...orders, { 'order-id': last + 1, fields }];
}

/** The tag names that a sort order sorts by, by order id: what DataFile.sortedBy says. */
export function sortedByOf(
  orders: readonly SortOrder[],
  schema: IcebergSchema,
): ReadonlyMap<number, readonly string[]> {
  const names = new Map(schema.fields.map((field) => [field.id, field.name]));
  return new Map(
    orders.map((order) => [
      order['order-id'],
      order.fields
        .filter((field) => field['source-id'] !== timeFieldId)
        .map((field) => names.get(field['source-id']) ?? ''),
    ]),
  );
}
