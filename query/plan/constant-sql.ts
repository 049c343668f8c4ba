import { type AstNode, AstNumber, type AstValue, list, node, nodes, text } from './ast.js';
import { judgeFunction, volatileNames } from './functions.js';
import { sqlIdentifier, sqlText } from './identifiers.js';

const castTypes = new Set([
  'VARCHAR',
  'INTEGER',
  'BIGINT',
  'DOUBLE',
  'DATE',
  'TIME',
  'INTERVAL',
  'TIMESTAMP',
  'TIMESTAMP_S',
  'TIMESTAMP_MS',
  'TIMESTAMP_NS',
  'TIMESTAMP WITH TIME ZONE',
]);
/** Functions of now may be evaluated, since a query has one now; random ones may not. */
const notConstant = new Set([
  'random',
  'uuid',
  'gen_random_uuid',
  'uuidv4',
  'uuidv7',
  'error',
  'unnest',
  'unlist',
]);

/**
 * The SQL of an expression that needs no row: constants, casts, calls of pure functions and of now(). Undefined for
 * anything else, which then bounds nothing.
 */
export function constantSql(value: AstValue | undefined): string | undefined {
  const expression = node(value);
  switch (expression?.['class']) {
    case 'CONSTANT':
      return literalSql(expression);
    case 'PARAMETER':
      return `$${text(expression['identifier'])}`;
    case 'CAST':
      return castSql(expression);
    case 'FUNCTION':
      return callSql(expression);
    case 'COLUMN_REF': {
      const [name, ...rest] = list(expression['column_names']).map((part) => text(part).toLowerCase());
      return rest.length === 0 && volatileNames.has(name ?? '') ? name : undefined;
    }
    default:
      return undefined;
  }
}

function literalSql(constant: AstNode): string | undefined {
  const content = node(constant['value']);
  const value = content?.['value'];
  switch (node(content?.['type'])?.['id']) {
    case 'VARCHAR':
      return typeof value === 'string' ? sqlText(value) : undefined;
    case 'INTEGER':
    case 'BIGINT':
      if (value instanceof AstNumber) return value.text;
      return typeof value === 'number' ? String(value) : undefined;
    case 'DOUBLE':
      return typeof value === 'number' ? `${value}::DOUBLE` : undefined;
    default:
      return undefined;
  }
}

function castSql(cast: AstNode): string | undefined {
  const child = constantSql(cast['child']);
  const type = node(cast['cast_type']);
  const id = text(type?.['id']);
  if (child === undefined || !castTypes.has(id) || cast['try_cast'] === true) return undefined;
  return `CAST(${child} AS ${id})`;
}

function callSql(call: AstNode): string | undefined {
  const name = text(call['function_name']);
  const children = nodes(call['children']).map((child) => constantSql(child));
  const verdict = judgeFunction(name, children.length);
  const isPlain =
    (verdict === 'pure' || verdict === 'volatile') &&
    !notConstant.has(name.toLowerCase()) &&
    call['distinct'] !== true &&
    node(call['filter']) === undefined &&
    nodes(call['children']).every((child) => text(child['alias']) === '');
  if (!isPlain || children.includes(undefined)) return undefined;
  return `${sqlIdentifier(name)}(${children.join(', ')})`;
}
