import { VarveError } from '../../core/std/errors.js';

/**
 * The engine's parse tree as data. Numbers that a double does not hold exactly (and Infinity, which JSON lacks) are kept
 * as their text, so that a tree can be printed back without loss.
 */
export type AstValue = null | boolean | number | string | AstNumber | AstNode | readonly AstValue[];

export interface AstNode {
  readonly [key: string]: AstValue;
}

/** A number that is kept as text. */
export class AstNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toJSON(): object {
    return { [numberKey]: this.text };
  }
}

const numberKey = '$number';
const tokenPattern = /"(?:[^"\\]|\\.)*"|-?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Infinity|inf)|NaN|nan/g;
/** In printed JSON the quotes of a text are escaped, so this cannot match inside one. */
const wrappedPattern = new RegExp(`\\{"\\${numberKey}":"([^"\\\\]*)"\\}`, 'g');

/** Reads the JSON of a parse tree of one statement and answers its root query node. */
export function parseAst(json: string): { readonly tree: AstNode; readonly root: AstNode } {
  const exact = json.replace(tokenPattern, (token) => {
    if (token.startsWith('"')) return token;
    return String(Number(token)) === token && Number.isFinite(Number(token))
      ? token
      : `{"${numberKey}":"${token}"}`;
  });
  const tree = JSON.parse(exact, (_key, value: unknown) => {
    const text = (value as { [numberKey]?: unknown } | null)?.[numberKey];
    return typeof text === 'string' ? new AstNumber(text) : value;
  }) as AstNode;
  return { tree, root: rootOf(tree) };
}

/** The root query node of a tree; `invalid` unless it is of one statement. */
export function rootOf(tree: AstNode): AstNode {
  const statements = list(tree['statements']);
  const root = node(node(statements[0])?.['node']);
  if (statements.length !== 1 || root === undefined) {
    throw new VarveError('invalid', `query: got ${statements.length} statements; want one SELECT statement`);
  }
  return root;
}

/** The JSON that parseAst read, for the engine to print as SQL. */
export function printAst(tree: AstNode): string {
  return JSON.stringify(tree).replace(wrappedPattern, '$1');
}

/** The value as a node, or undefined when it is none. */
export function node(value: AstValue | undefined): AstNode | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return value instanceof AstNumber ? undefined : (value as AstNode);
}

/** The value as a list; empty when it is none. */
export function list(value: AstValue | undefined): readonly AstValue[] {
  return Array.isArray(value) ? (value as readonly AstValue[]) : [];
}

/** The value as text; empty when it is none. */
export function text(value: AstValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** The nodes of a list. */
export function nodes(value: AstValue | undefined): readonly AstNode[] {
  const found: AstNode[] = [];
  for (const item of list(value)) {
    const child = node(item);
    if (child !== undefined) found.push(child);
  }
  return found;
}

/** The tree with some nodes replaced: `change` sees every node, children first, and answers it or another. */
export function mapAst(tree: AstNode, change: (node: AstNode) => AstNode): AstNode {
  return change(
    Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, mapValue(value, change)])),
  );
}

function mapValue(value: AstValue, change: (node: AstNode) => AstNode): AstValue {
  if (Array.isArray(value)) return value.map((item: AstValue) => mapValue(item, change));
  const child = node(value);
  return child === undefined ? value : mapAst(child, change);
}

/** Name of a column reference such as `c.time` in lower case, its qualifiers before it; undefined for another node. */
export function columnPath(value: AstValue | undefined): readonly string[] | undefined {
  const reference = node(value);
  if (reference?.['class'] !== 'COLUMN_REF') return undefined;
  return list(reference['column_names']).map((name) => text(name).toLowerCase());
}
