import { type AstNode, type AstValue, node, text } from './ast.js';

/**
 * Statements that differ in the texts they compare with alone, such as hosts and times, have the same parse tree but for
 * these texts. What is found out about the tree of one serves the others without asking the engine again.
 */

/** A statement taken apart: two of the same key differ in their literals alone. */
export interface SqlSkeleton {
  /** The statement with every literal emptied. */
  readonly key: string;
  /** Texts in quotes, in order, with the byte at which each begins. */
  readonly literals: readonly { readonly at: number; readonly content: string }[];
}

/** A parse tree with the places of its literals. */
export interface SqlTemplate {
  readonly tree: AstNode;
  /** Of each literal: the keys that lead from the tree to its constant. */
  readonly paths: readonly (readonly (string | number)[])[];
}

/** With more literals, copying the tree costs more than it saves. */
const literalsMax = 64;
/** ASCII that is printed, and white space: bytes and characters count alike. */
const plainText = /^[\t\n\r -~]*$/;
/** What may stand in front of a literal: no letter as in E'…' or x'…', no other quote. */
const startsLiteral = /[\s(,=<>]/;

/**
 * Takes a statement apart, or answers undefined where there could be any doubt where a literal begins or ends: comments,
 * placeholders and dollar quotes, doubled quotes, escapes, quoted names.
 */
export function skeletonOf(sql: string): SqlSkeleton | undefined {
  if (!plainText.test(sql) || /["$\\]|--|\/\*/.test(sql)) return undefined;
  const parts = sql.split("'");
  const count = (parts.length - 1) / 2;
  if (!Number.isInteger(count) || count === 0 || count > literalsMax) return undefined;
  const literals: { at: number; content: string }[] = [];
  let at = 0;
  for (let index = 1; index < parts.length; index += 2) {
    const before = parts[index - 1] ?? '';
    // Also refuses '' within a literal: there, nothing stands between two quotes.
    if (!startsLiteral.test(before.at(-1) ?? '')) return undefined;
    const content = parts[index] ?? '';
    at += before.length;
    literals.push({ at, content });
    at += content.length + 2;
  }
  return { key: parts.filter((_, index) => index % 2 === 0).join("''"), literals };
}

/**
 * The template of a parsed statement; undefined unless every literal is found in the tree once, as a text constant that
 * begins where the literal does. One that became anything else (the name of a table, a part of another text) is not.
 */
export function templateOf(tree: AstNode, { literals }: SqlSkeleton): SqlTemplate | undefined {
  const found = new Map<number, (readonly (string | number)[])[]>();
  const visit = (value: AstValue, path: readonly (string | number)[]): void => {
    if (Array.isArray(value)) {
      for (const [index, item] of (value as readonly AstValue[]).entries()) visit(item, [...path, index]);
      return;
    }
    const child = node(value);
    if (child === undefined) return;
    const location = child['query_location'];
    if (child['class'] === 'CONSTANT' && typeof location === 'number') {
      found.set(location, [...(found.get(location) ?? []), path]);
    }
    for (const [key, property] of Object.entries(child)) visit(property, [...path, key]);
  };
  visit(tree, []);
  const paths: (readonly (string | number)[])[] = [];
  for (const { at, content } of literals) {
    const [path, ...others] = found.get(at) ?? [];
    if (path === undefined || others.length > 0 || contentAt(tree, path) !== content) return undefined;
    paths.push(path);
  }
  return { tree, paths };
}

/** The tree of a statement of the same key. Its `query_location`s are those of the template's own text. */
export function instanceOf({ tree, paths }: SqlTemplate, { literals }: SqlSkeleton): AstNode {
  let instance: AstValue = tree;
  for (const [index, path] of paths.entries()) {
    instance = replaced(instance, [...path, 'value', 'value'], 0, literals[index]?.content ?? '');
  }
  return instance as AstNode;
}

/** The text of the constant at the path; undefined for one of another type. */
function contentAt(tree: AstNode, path: readonly (string | number)[]): string | undefined {
  const constant = node(path.reduce((value, key) => childOf(value, key), tree as AstValue));
  const value = node(constant?.['value']);
  return text(node(value?.['type'])?.['id']) === 'VARCHAR' && typeof value?.['value'] === 'string'
    ? value['value']
    : undefined;
}

function childOf(value: AstValue, key: string | number): AstValue {
  const child = typeof key === 'number' ? (value as readonly AstValue[])[key] : node(value)?.[key];
  return child ?? null;
}

/** The value with what stands at the path replaced; only what leads there is copied. */
function replaced(
  value: AstValue,
  path: readonly (string | number)[],
  depth: number,
  content: string,
): AstValue {
  const key = path[depth];
  if (key === undefined) return content;
  const child = replaced(childOf(value, key), path, depth + 1, content);
  if (typeof key === 'number') return (value as readonly AstValue[]).with(key, child);
  return { ...node(value), [key]: child };
}
