import type { DataFile } from '../../core/iceberg/types.js';
import type { TableSchema } from '../../core/model/schema.js';
import { type AstNode, type AstValue, columnPath, list, node, nodes, text } from './ast.js';
import type { SqlFacts } from './sql-check.js';

/** Fields of which a statement wants the newest value alone; their field ids. */
export type LastFields = ReadonlySet<number>;

/**
 * Recognises a statement that wants of each series its newest values alone: `SELECT host, max(time), arg_max(usage,
 * time) FROM cpu GROUP BY host`. The last row of each series then gives the same answer as all its rows, as long as
 * that row has the fields. Exact or not at all: null for whatever has any other part, be it harmless.
 */
export function lastFields(root: AstNode, facts: SqlFacts, schema: TableSchema): LastFields | null {
  const [table, ...others] = facts.tables;
  if (table === undefined || others.length > 0 || facts.hasCtes || !facts.isDeterministic) return null;
  if (root['type'] !== 'SELECT_NODE' || node(root['from_table']) !== table.node) return null;
  if (node(table.node['sample']) !== undefined || list(table.node['column_name_alias']).length > 0)
    return null;
  if (root['aggregate_handling'] !== 'STANDARD_HANDLING') return null;
  if (['having', 'sample', 'qualify'].some((part) => node(root[part]) !== undefined)) return null;
  const reading = new Reading(schema, table.node);
  const groups = list(root['group_expressions']).map((group) => reading.tag(group));
  if (groups.includes(undefined) || list(root['group_sets']).length > 1) return null;
  if (!modifiersAreHarmless(root) || !reading.hasTagsAlone(root['where_clause'] ?? null)) return null;
  const fields = new Set<number>();
  for (const item of nodes(root['select_list'])) {
    const tag = reading.tag(item);
    const alias = text(item['alias']).toLowerCase();
    // A name of a group that stands for something else.
    if (groups.includes(alias) && tag !== alias) return null;
    if (tag !== undefined && groups.includes(tag)) continue;
    const field = reading.newest(item);
    if (field === undefined) return null;
    if (field !== null) fields.add(field);
  }
  return fields;
}

/** Whether the last row of each series of the file has each of the fields, or no row has: its statistics know. */
export function hasLastFields(file: DataFile, fields: LastFields, schema: TableSchema): boolean {
  const sorted = new Set(file.sortedBy);
  const present = new Set(file.columns.map((column) => column.fieldId));
  const isSorted = schema.columns.every(
    ({ kind, name, fieldId }) => kind !== 'tag' || !present.has(fieldId) || sorted.has(name),
  );
  if (!isSorted) return false;
  return file.columns.every(
    ({ fieldId, nullCount, valueCount }) =>
      !fields.has(fieldId) || nullCount === 0 || nullCount === valueCount,
  );
}

function modifiersAreHarmless(root: AstNode): boolean {
  return nodes(root['modifiers']).every((modifier) => {
    if (modifier['type'] === 'ORDER_MODIFIER') {
      return nodes(modifier['orders']).every((order) => isPlain(order['expression']));
    }
    const isLimit = modifier['type'] === 'LIMIT_MODIFIER';
    return isLimit && isPlainOrNone(modifier['limit']) && isPlainOrNone(modifier['offset']);
  });
}

function isPlainOrNone(value: AstValue | undefined): boolean {
  return node(value) === undefined || isPlain(value);
}

function isPlain(value: AstValue | undefined): boolean {
  return ['COLUMN_REF', 'CONSTANT', 'PARAMETER'].includes(text(node(value)?.['class']));
}

/** What column references mean in the one table. */
class Reading {
  readonly #schema: TableSchema;
  readonly #name: string;

  constructor(schema: TableSchema, table: AstNode) {
    this.#schema = schema;
    this.#name = (text(table['alias']) || text(table['table_name'])).toLowerCase();
  }

  /** The lower-case name of the tag that the value refers to. */
  tag(value: AstValue): string | undefined {
    const name = this.#column(value);
    return name !== undefined && this.#kindOf(name)?.kind === 'tag' ? name : undefined;
  }

  /** The id of the field of which it is the newest value; null for the newest time; undefined for anything else. */
  newest(item: AstNode): number | null | undefined {
    if (item['class'] !== 'FUNCTION' || item['distinct'] !== false || text(item['schema']) !== '')
      return undefined;
    if (node(item['filter']) !== undefined || list(node(item['order_bys'])?.['orders']).length > 0)
      return undefined;
    const [first, second, ...more] = list(item['children']);
    if (first === undefined || more.length > 0) return undefined;
    const name = text(item['function_name']).toLowerCase();
    if (name === 'max') return second === undefined && this.#column(first) === 'time' ? null : undefined;
    if (!['arg_max', 'argmax', 'max_by'].includes(name) || second === undefined) return undefined;
    if (this.#column(second) !== 'time') return undefined;
    const column = this.#kindOf(this.#column(first) ?? '');
    return column?.kind === 'field' ? column.fieldId : undefined;
  }

  /** Whether all columns in it are tags, so that it holds for a series as a whole. */
  hasTagsAlone(value: AstValue): boolean {
    if (Array.isArray(value)) return (value as readonly AstValue[]).every((item) => this.hasTagsAlone(item));
    const child = node(value);
    if (child === undefined) return true;
    if (child['class'] === 'COLUMN_REF') return this.tag(child) !== undefined;
    if (['STAR', 'SUBQUERY', 'POSITIONAL_REFERENCE', 'LAMBDA', 'WINDOW'].includes(text(child['class'])))
      return false;
    return Object.values(child).every((part) => this.hasTagsAlone(part));
  }

  #column(value: AstValue): string | undefined {
    const path = columnPath(value);
    if (path?.length === 1) return path[0];
    return path?.length === 2 && path[0] === this.#name ? path[1] : undefined;
  }

  #kindOf(name: string): TableSchema['columns'][number] | undefined {
    const found = this.#schema.columns.filter((column) => column.name.toLowerCase() === name);
    return found.length === 1 ? found[0] : undefined;
  }
}
