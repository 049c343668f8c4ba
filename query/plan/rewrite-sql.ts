import { formatTimeNs } from '../../core/model/window.js';
import { type AstNode, type AstValue, columnPath, list, mapAst, node, text } from './ast.js';
import { systemSchema } from './conflicts-view.js';
import { readTimeLiteral } from './time-literal.js';

/** A statement as the engine is to read it. */
export interface RewrittenSql {
  readonly tree: AstNode;
  /** False when nothing had to be changed: then the text as written is executed. */
  readonly isChanged: boolean;
  /** Placeholders whose text values are timestamps with an offset, to be given in UTC. */
  readonly instants: ReadonlySet<string>;
}

export interface RewriteOptions {
  /** The view that stands for information_schema.<name>. */
  readonly informationView: (name: string) => string;
  /** The view that stands for varve.conflicts. */
  readonly conflictsView: string;
  /** Tags and string fields of the tables read, in lower case: text compared with them stays text. */
  readonly textColumns: ReadonlySet<string>;
  /** Placeholders whose value is a timestamp with an offset. */
  readonly offsetPlaceholders: ReadonlySet<string>;
}

/**
 * Changes what the engine would read otherwise than meant: information_schema is ours, not the engine's, and a timestamp
 * with an offset compared with a TIMESTAMP would lose its offset without a word.
 */
export function rewriteSql(tree: AstNode, options: RewriteOptions): RewrittenSql {
  let isChanged = false;
  const instants = new Set<string>();

  const toUtc = (operand: AstValue): AstValue => {
    const operandNode = node(operand);
    if (operandNode === undefined) return operand;
    const placeholder = operandNode['class'] === 'PARAMETER' ? text(operandNode['identifier']) : '';
    if (options.offsetPlaceholders.has(placeholder)) instants.add(placeholder);
    const value = operandNode['class'] === 'CONSTANT' ? node(operandNode['value']) : undefined;
    const literal = readTimeLiteral(text(value?.['value']));
    if (value === undefined || literal === undefined || !literal.hasOffset) return operand;
    isChanged = true;
    return { ...operandNode, value: { ...value, value: formatTimeNs(literal.timeNs) } };
  };

  /** Operands that are compared with one another; looked at once, for a list can have many thousands. */
  const allToUtc = (operands: readonly AstValue[]): readonly AstValue[] => {
    const isText = operands.some((operand) => options.textColumns.has(columnPath(operand)?.at(-1) ?? ''));
    return isText ? operands : operands.map(toUtc);
  };

  const changed = mapAst(tree, (child) => {
    const schema = child['type'] === 'BASE_TABLE' ? text(child['schema_name']).toLowerCase() : '';
    if (schema === 'information_schema' || schema === systemSchema) {
      isChanged = true;
      const name = text(child['table_name']).toLowerCase();
      const alias = text(child['alias']) || name;
      const view = schema === systemSchema ? options.conflictsView : options.informationView(name);
      return { ...child, schema_name: '', table_name: view, alias };
    }
    switch (child['class']) {
      case 'COMPARISON':
        return replaceOperands(child, ['left', 'right'], allToUtc);
      case 'BETWEEN':
        return replaceOperands(child, ['input', 'lower', 'upper'], allToUtc);
      case 'OPERATOR': {
        if (child['type'] !== 'COMPARE_IN' && child['type'] !== 'COMPARE_NOT_IN') return child;
        return { ...child, children: allToUtc(list(child['children'])) };
      }
      default:
        return child;
    }
  });
  return { tree: changed, isChanged, instants };
}

function replaceOperands(
  parent: AstNode,
  keys: readonly string[],
  replace: (operands: readonly AstValue[]) => readonly AstValue[],
): AstNode {
  const replaced = replace(keys.map((key) => parent[key] ?? null));
  return { ...parent, ...Object.fromEntries(keys.map((key, index) => [key, replaced[index] ?? null])) };
}
