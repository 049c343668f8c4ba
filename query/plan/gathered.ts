import { type AstNode, AstNumber, type AstValue, list, node, nodes } from './ast.js';
import type { TablePlan } from './plan-table.js';

/**
 * Whether the answer has to be whole inside the engine before its first row goes out.
 *
 * The engine hands out rows while it works, and stops working on them while its buffer of about a megabyte is full. Of
 * the branches of a UNION it may put off what the later ones wait for (the build side of a join, a grouping) until the
 * earlier ones are done; and it takes an answer to have begun only when everything but its last pipeline is. If an
 * earlier branch fills the buffer, each waits for the other for ever, and not even an interrupt ends it
 * (docs/adr/0015-gathered-answers.md). So rows do not go straight from a union to the client where any other
 * pipeline may be put off.
 */
export function mustGather(root: AstNode, plans: readonly TablePlan[]): boolean {
  if (endsWhole(root)) return false;
  const shape = new Shape();
  shape.visit(root);
  // DESCRIBE and SHOW read no rows, and are no part of a larger statement.
  if (shape.hasShow) return false;
  const hasMerge = plans.some(({ parts }) => parts.some((part) => part.kind === 'merge'));
  const hasUnion = hasMerge || shape.hasSetOperation || plans.some(isUnion);
  return hasUnion && (hasMerge || shape.hasSetOperation || shape.queries > 1 || shape.hasJoin);
}

/** Sorted or grouped at its end: the rows that go out have all been seen before the first of them does. */
function endsWhole(root: AstNode): boolean {
  const isSorted = nodes(root['modifiers']).some(
    (modifier) =>
      modifier['type'] === 'ORDER_MODIFIER' &&
      nodes(modifier['orders']).some((order) => node(order['expression'])?.['class'] === 'COLUMN_REF'),
  );
  return isSorted || (root['type'] === 'SELECT_NODE' && list(root['group_expressions']).length > 0);
}

/** Whether the table's view may be a union: of parts, or of files that have not the same columns. */
function isUnion({ parts }: TablePlan): boolean {
  return parts.length > 1 || parts.some((part) => part.kind === 'settled' && part.files.length > 1);
}

/** What of a statement makes more than one pipeline. */
class Shape {
  queries = 0;
  hasJoin = false;
  hasSetOperation = false;
  hasShow = false;

  visit(value: AstValue | undefined): void {
    if (typeof value !== 'object' || value === null || value instanceof AstNumber) return;
    if (Array.isArray(value)) {
      for (const item of value as readonly AstValue[]) this.visit(item);
      return;
    }
    const child = value as AstNode;
    if (child['type'] === 'SELECT_NODE') this.queries += 1;
    if (child['type'] === 'JOIN') this.hasJoin = true;
    if (child['type'] === 'SHOW_REF') this.hasShow = true;
    if (child['type'] === 'SET_OPERATION_NODE' || child['type'] === 'RECURSIVE_CTE_NODE')
      this.hasSetOperation = true;
    for (const item of Object.values(child)) this.visit(item);
  }
}
