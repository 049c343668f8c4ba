import { VarveError } from '../../core/std/errors.js';
import { type AstNode, type AstValue, columnPath, list, node, nodes, text } from './ast.js';
import { conflictsTable, systemSchema } from './conflicts-view.js';
import { judgeFunction, tableFunctions, volatileNames } from './functions.js';
import { readTimeLiteral } from './time-literal.js';

/**
 * Admission of SQL by its parse tree: a statement may read tables of its database, CTEs in scope and
 * information_schema, and call functions that compute. Every node is visited; a kind that is not known here is refused,
 * so a new version of the engine cannot bring in what nobody has looked at (invariant 10).
 */
export interface SqlFacts {
  /** Every place where a table of the database is named, CTEs left out. */
  readonly tables: readonly TableReference[];
  readonly informationSchema: readonly InformationReference[];
  /** True when varve.conflicts is read. */
  readonly readsConflicts: boolean;
  /** True when there is any CTE: then which table a name means is a question of scope. */
  readonly hasCtes: boolean;
  /** Names of `$name` placeholders. */
  readonly placeholders: ReadonlySet<string>;
  /** True when any text constant is a timestamp with an offset. */
  readonly hasOffsets: boolean;
  /** False when the same data can give another answer: now(), random() and the like. */
  readonly isDeterministic: boolean;
}

export interface TableReference {
  /** As written. */
  readonly name: string;
  /** The BASE_TABLE node, by identity the key to what is found out about this place. */
  readonly node: AstNode;
}

export interface InformationReference {
  readonly view: 'tables' | 'columns';
  readonly node: AstNode;
}

const queryKinds = new Set(['SELECT_NODE', 'SET_OPERATION_NODE', 'RECURSIVE_CTE_NODE', 'CTE_NODE']);
const tableKinds = new Set([
  'BASE_TABLE',
  'JOIN',
  'SUBQUERY',
  'TABLE_FUNCTION',
  'EXPRESSION_LIST',
  'EMPTY',
  'SHOW_REF',
  'PIVOT',
]);
const partKinds = new Set([
  'ORDER_MODIFIER',
  'LIMIT_MODIFIER',
  'LIMIT_PERCENT_MODIFIER',
  'DISTINCT_MODIFIER',
  'ORDER_DEFAULT',
  'ASCENDING',
  'DESCENDING',
]);
/** What the tree tells of types beyond their name: in casts, and in every literal with a decimal point. */
const typeKinds = new Set([
  'ARRAY_TYPE_INFO',
  'DECIMAL_TYPE_INFO',
  'LIST_TYPE_INFO',
  'STRING_TYPE_INFO',
  'STRUCT_TYPE_INFO',
]);
const expressionClasses = new Set([
  'BETWEEN',
  'CASE',
  'CAST',
  'COLLATE',
  'COLUMN_REF',
  'COMPARISON',
  'CONJUNCTION',
  'CONSTANT',
  'FUNCTION',
  'LAMBDA',
  'LAMBDA_REF',
  'OPERATOR',
  'PARAMETER',
  'POSITIONAL_REFERENCE',
  'STAR',
  'SUBQUERY',
  'TYPE',
  'WINDOW',
]);

/** Names of CTEs that a place sees, in lower case. */
type Scope = ReadonlySet<string>;

/** Admits the statement or throws `invalid`, saying what is refused and what is wanted. */
export function checkSql(root: AstNode): SqlFacts {
  const walk = new SqlWalk();
  walk.visit(root, new Set());
  return walk.facts();
}

class SqlWalk {
  readonly #tables: TableReference[] = [];
  readonly #informationSchema: InformationReference[] = [];
  readonly #placeholders = new Set<string>();
  #isDeterministic = true;
  #readsConflicts = false;
  #hasCtes = false;
  #hasOffsets = false;

  facts(): SqlFacts {
    return {
      tables: this.#tables,
      informationSchema: this.#informationSchema,
      readsConflicts: this.#readsConflicts,
      hasCtes: this.#hasCtes,
      hasOffsets: this.#hasOffsets,
      placeholders: this.#placeholders,
      isDeterministic: this.#isDeterministic,
    };
  }

  visit(value: AstValue | undefined, scope: Scope): void {
    if (Array.isArray(value)) {
      for (const item of value as readonly AstValue[]) this.visit(item, scope);
      return;
    }
    const child = node(value);
    if (child !== undefined) this.#visitNode(child, scope);
  }

  #visitNode(child: AstNode, scope: Scope): void {
    const kind = child['type'];
    if (typeof child['class'] === 'string') this.#checkExpression(child);
    else if (typeof kind === 'string') {
      if (queryKinds.has(kind)) {
        this.#visitQuery(child, scope);
        return;
      }
      if (tableKinds.has(kind)) this.#checkTable(child, scope);
      else if (kind === 'UNBOUND_TYPE_INFO') checkNamedType(child);
      else if (!partKinds.has(kind) && !typeKinds.has(kind)) throw refused(`the construct ${kind}`);
    }
    this.#visitChildren(child, scope);
  }

  #visitChildren(parent: AstNode, scope: Scope, except: ReadonlySet<string> = new Set()): void {
    for (const [key, value] of Object.entries(parent)) if (!except.has(key)) this.visit(value, scope);
  }

  /** A CTE sees those before it and, in its recursive part, itself: the engine's own rule of scope. */
  #visitQuery(query: AstNode, outer: Scope): void {
    const scope = new Set(outer);
    for (const entry of nodes(node(query['cte_map'])?.['map'])) {
      this.#hasCtes = true;
      this.visit(entry['value'], scope);
      scope.add(text(entry['key']).toLowerCase());
    }
    if (query['type'] === 'RECURSIVE_CTE_NODE') {
      this.visit(query['left'], scope);
      const inner = new Set(scope).add(text(query['cte_name']).toLowerCase());
      this.#visitChildren(query, inner, recursiveKeys);
    } else {
      this.#visitChildren(query, scope, cteMapKey);
    }
  }

  #checkTable(table: AstNode, scope: Scope): void {
    switch (table['type']) {
      case 'BASE_TABLE':
        this.#checkBaseTable(table, scope);
        return;
      case 'TABLE_FUNCTION': {
        // The call itself is a function expression; as a table it obeys another list, see #checkFunction.
        const call = node(table['function']);
        const name = text(call?.['function_name']);
        if (call === undefined || !tableFunctions.has(name.toLowerCase()) || !isUnqualified(call)) {
          throw refused(`the table function ${name}()`);
        }
        return;
      }
      case 'SHOW_REF':
        if (node(table['query']) === undefined) {
          throw refused(`SHOW ${text(table['table_name'])} inside a statement`);
        }
        return;
      case 'PIVOT':
        if (nodes(table['pivots']).some((pivot) => text(pivot['pivot_enum']) !== '')) {
          throw refused('PIVOT over a type');
        }
        return;
      default:
    }
  }

  #checkBaseTable(table: AstNode, scope: Scope): void {
    const name = text(table['table_name']);
    const schema = text(table['schema_name']).toLowerCase();
    if (node(table['at_clause']) !== undefined) {
      throw refused('AT after a table', 'the parameter snapshot= for a past version');
    }
    if (text(table['catalog_name']) === '') {
      const isInScope = scope.has(name.toLowerCase());
      if (schema === '' && isInScope) return;
      if (schema === 'recurring' && isInScope) return;
      if (schema === '') {
        this.#tables.push({ name, node: table });
        return;
      }
      const view = name.toLowerCase();
      if (schema === 'information_schema' && (view === 'tables' || view === 'columns')) {
        this.#informationSchema.push({ view, node: table });
        return;
      }
      if (schema === systemSchema && view === conflictsTable) {
        this.#readsConflicts = true;
        return;
      }
    }
    const path = [table['catalog_name'], table['schema_name'], name].map(text).filter((part) => part !== '');
    throw new VarveError(
      'not-found',
      `query: got table "${path.join('.')}"; want a table of the database without a schema before it, or information_schema.tables, .columns, or ${systemSchema}.${conflictsTable}`,
    );
  }

  #checkExpression(expression: AstNode): void {
    const kind = text(expression['class']);
    if (!expressionClasses.has(kind)) throw refused(`the expression ${kind}`);
    if (kind === 'FUNCTION' || kind === 'WINDOW') this.#checkFunction(expression);
    if (kind === 'PARAMETER') this.#placeholders.add(text(expression['identifier']));
    if (kind === 'CONSTANT') {
      this.#hasOffsets ||= readTimeLiteral(text(node(expression['value'])?.['value']))?.hasOffset === true;
    }
    const path = columnPath(expression);
    if (path?.length === 1 && volatileNames.has(path[0] ?? '')) this.#isDeterministic = false;
  }

  #checkFunction(call: AstNode): void {
    const name = text(call['function_name']);
    const isTableFunction = tableFunctions.has(name.toLowerCase());
    const verdict = judgeFunction(name, list(call['children']).length);
    if (verdict === 'volatile') this.#isDeterministic = false;
    if (!isUnqualified(call)) throw refused(`a schema before the function ${name}()`);
    if (verdict === 'pure' || verdict === 'volatile' || isTableFunction) return;
    throw refused(verdict === 'refused' ? `the function ${name}()` : `the unknown function ${name}()`);
  }
}

/** Types that the engine looks up by name could be anyone's; of those only JSON is known. */
function checkNamedType(type: AstNode): void {
  const isQualified = text(type['catalog']) !== '' || text(type['schema']) !== '';
  if (isQualified || text(type['name']).toLowerCase() !== 'json') {
    throw refused(`the type ${text(type['name'])}`, 'one of the types in docs/sql.md');
  }
}

const cteMapKey: ReadonlySet<string> = new Set(['cte_map']);
const recursiveKeys: ReadonlySet<string> = new Set(['cte_map', 'left']);

/** The engine's parser itself puts `main` before the functions that it makes out of syntax, such as `[1, 2]`. */
function isUnqualified(call: AstNode): boolean {
  const schema = text(call['schema']);
  return text(call['catalog']) === '' && (schema === '' || schema === 'main');
}

function refused(
  what: string,
  instead = 'a SELECT over tables of the database, see docs/sql.md',
): VarveError {
  return new VarveError('invalid', `query: got ${what}, which is refused; want ${instead}`);
}
