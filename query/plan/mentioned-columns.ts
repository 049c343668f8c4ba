import { type AstNode, type AstValue, columnPath, node, text } from './ast.js';

/** Names that a statement may mean as columns, in lower case; `all` when it may mean any. */
export type MentionedColumns = ReadonlySet<string> | 'all';

/**
 * Which columns a statement can need, so that hot scans carry no others. Generous: every text in the tree counts as a
 * name, and what stands for all columns (a star, a whole row, NATURAL, PIVOT, DESCRIBE) means all.
 */
export function mentionedColumns(root: AstNode, tableNames: readonly string[]): MentionedColumns {
  const names = new Set<string>();
  const rows = new Set(tableNames.map((name) => name.toLowerCase()));
  let isAll = false;
  const visit = (value: AstValue): void => {
    if (typeof value === 'string') names.add(value.toLowerCase());
    if (Array.isArray(value)) {
      for (const item of value as readonly AstValue[]) visit(item);
      return;
    }
    const child = node(value);
    if (child === undefined) return;
    if (child['type'] === 'BASE_TABLE') rows.add(text(child['alias']).toLowerCase());
    const renames = child['column_name_alias'];
    if (Array.isArray(renames) && renames.length > 0) isAll = true;
    if (child['class'] === 'STAR' || child['class'] === 'POSITIONAL_REFERENCE') isAll = true;
    if (['PIVOT', 'SHOW_REF'].includes(text(child['type'])) || child['ref_type'] === 'NATURAL') isAll = true;
    for (const property of Object.values(child)) visit(property);
  };
  const findRows = (value: AstValue): void => {
    const path = columnPath(value);
    // `select cpu from cpu` is a row as a struct.
    if (path?.length === 1 && rows.has(path[0] ?? '')) isAll = true;
    for (const property of Object.values(node(value) ?? {})) findRows(property);
    if (Array.isArray(value)) for (const item of value as readonly AstValue[]) findRows(item);
  };
  visit(root);
  findRows(root);
  return isAll ? 'all' : names;
}
