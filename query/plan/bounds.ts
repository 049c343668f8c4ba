import type { TagPredicate } from '../../core/ports/hot-reader.js';
import type { SqlParameters } from '../engine/query-engine.js';
import { type AstNode, type AstValue, columnPath, list, node, nodes, text } from './ast.js';
import { constantSql } from './constant-sql.js';
import type { TableReference } from './sql-check.js';
import { readTimeLiteral } from './time-literal.js';

/** What a query can want of a table, at most. */
export interface TableBounds {
  /** Inclusive; null for no bound. Wider than the predicate by up to two microseconds, never narrower. */
  readonly minTimeNs: bigint | null;
  readonly maxTimeNs: bigint | null;
  /** No row at or after this time can be in the answer; null for no bound. Exact where the SQL says so exactly. */
  readonly endNs: bigint | null;
  /** All must hold. */
  readonly tags: readonly TagPredicate[];
}

/** Everything may match. */
export const noBounds: TableBounds = { minTimeNs: null, maxTimeNs: null, endNs: null, tags: [] };

/** A bound on time as the SQL states it. */
interface TimeBound {
  readonly side: 'lower' | 'upper' | 'both';
  readonly isExclusive: boolean;
  readonly value: { readonly timeNs: bigint } | { readonly expression: number };
}

interface ReferenceBounds {
  readonly times: readonly TimeBound[];
  readonly tags: readonly TagPredicate[];
}

/** Bounds with constants that the engine has yet to evaluate. */
export interface PendingBounds {
  /** Column-free expressions for QueryEngine.evaluate, in order. */
  readonly expressions: readonly string[];
  readonly byReference: ReadonlyMap<AstNode, ReferenceBounds>;
}

/**
 * Finds bounds on time and tags for each place that names a table: AND-ed conditions of the WHERE of the SELECT that
 * reads the table directly, alone or in an inner or cross join. Everything else (OR, NOT, outer joins, subqueries
 * around it, renamed columns) bounds nothing: when unsure, read more.
 */
export function extractBounds(
  root: AstNode,
  tables: readonly TableReference[],
  parameters: SqlParameters,
): PendingBounds {
  const known = new Set(tables.map((table) => table.node));
  const expressions: string[] = [];
  const byReference = new Map<AstNode, ReferenceBounds>();
  const visit = (value: AstValue): void => {
    if (Array.isArray(value)) {
      for (const item of value as readonly AstValue[]) visit(item);
      return;
    }
    const child = node(value);
    if (child === undefined) return;
    if (child['type'] === 'SELECT_NODE') boundSelect(child, known, parameters, expressions, byReference);
    for (const property of Object.values(child)) visit(property);
  };
  visit(root);
  return { expressions, byReference };
}

/**
 * Bounds of a table over all the places that name it: the widest of each. `values` answer the pending expressions,
 * microseconds since the epoch, null where there is no value.
 */
export function resolveBounds(
  pending: PendingBounds,
  references: readonly AstNode[],
  values: readonly (bigint | null)[],
): TableBounds {
  const each = references.map((reference) => {
    const bounds = pending.byReference.get(reference);
    return bounds === undefined ? noBounds : resolveOne(bounds, values);
  });
  return each.reduce(widest);
}

/** A microsecond either side: the engine compares in microseconds what may be written in nanoseconds. */
const slackNs = 1000n;

function resolveOne(bounds: ReferenceBounds, values: readonly (bigint | null)[]): TableBounds {
  let minTimeNs: bigint | null = null;
  let maxTimeNs: bigint | null = null;
  let endNs: bigint | null = null;
  for (const { side, isExclusive, value } of bounds.times) {
    const isExact = 'timeNs' in value;
    const micros = isExact ? null : (values[value.expression] ?? null);
    const timeNs = isExact ? value.timeNs : micros === null ? null : micros * 1000n;
    if (timeNs === null) continue;
    if (side !== 'upper') minTimeNs = larger(minTimeNs, timeNs - slackNs);
    if (side === 'lower') continue;
    maxTimeNs = smaller(maxTimeNs, timeNs + 2n * slackNs);
    // An evaluated constant has lost what it had below the microsecond.
    endNs = smaller(endNs, timeNs + (isExact ? 0n : slackNs) + (isExclusive ? 0n : 1n));
  }
  return { minTimeNs, maxTimeNs, endNs, tags: bounds.tags };
}

function widest(left: TableBounds, right: TableBounds): TableBounds {
  return {
    minTimeNs:
      left.minTimeNs === null || right.minTimeNs === null ? null : smaller(left.minTimeNs, right.minTimeNs),
    maxTimeNs:
      left.maxTimeNs === null || right.maxTimeNs === null ? null : larger(left.maxTimeNs, right.maxTimeNs),
    endNs: left.endNs === null || right.endNs === null ? null : larger(left.endNs, right.endNs),
    tags: left.tags.flatMap(({ tag, values }) => {
      const others = right.tags.filter((other) => other.tag === tag);
      if (others.length === 0) return [];
      return [{ tag, values: [...new Set([...values, ...others.flatMap((other) => other.values)])] }];
    }),
  };
}

function smaller(left: bigint | null, right: bigint): bigint {
  return left === null || right < left ? right : left;
}

function larger(left: bigint | null, right: bigint): bigint {
  return left === null || right > left ? right : left;
}

/** A table as the conditions of its SELECT can name it. */
interface FromItem {
  readonly reference: AstNode | null;
  readonly alias: string;
}

interface Reading {
  readonly items: readonly FromItem[];
  readonly parameters: SqlParameters;
  readonly expressions: string[];
  readonly found: Map<AstNode, { times: TimeBound[]; tags: TagPredicate[] }>;
}

function boundSelect(
  select: AstNode,
  known: ReadonlySet<AstNode>,
  parameters: SqlParameters,
  expressions: string[],
  byReference: Map<AstNode, ReferenceBounds>,
): void {
  const items = fromItems(node(select['from_table']), known);
  if (items === undefined) return;
  const reading: Reading = { items, parameters, expressions, found: new Map() };
  for (const condition of conjuncts(node(select['where_clause']))) readCondition(condition, reading);
  for (const [reference, bounds] of reading.found) byReference.set(reference, bounds);
}

/** The from-items of a table alone or of inner and cross joins; undefined where conditions may mean something else. */
function fromItems(table: AstNode | undefined, known: ReadonlySet<AstNode>): readonly FromItem[] | undefined {
  if (table === undefined) return undefined;
  if (table['type'] === 'JOIN') {
    const isInner = table['join_type'] === 'INNER' && ['REGULAR', 'CROSS'].includes(text(table['ref_type']));
    const left = fromItems(node(table['left']), known);
    const right = fromItems(node(table['right']), known);
    return isInner && left !== undefined && right !== undefined ? [...left, ...right] : undefined;
  }
  const alias = (text(table['alias']) || text(table['table_name'])).toLowerCase();
  const isPlain =
    table['type'] === 'BASE_TABLE' &&
    known.has(table) &&
    list(table['column_name_alias']).length === 0 &&
    node(table['sample']) === undefined;
  return [{ reference: isPlain ? table : null, alias }];
}

function conjuncts(condition: AstNode | undefined): readonly AstNode[] {
  if (condition === undefined) return [];
  if (condition['type'] !== 'CONJUNCTION_AND') return [condition];
  return nodes(condition['children']).flatMap((child) => conjuncts(child));
}

const mirrored: Readonly<Record<string, string>> = {
  COMPARE_EQUAL: 'COMPARE_EQUAL',
  COMPARE_LESSTHAN: 'COMPARE_GREATERTHAN',
  COMPARE_LESSTHANOREQUALTO: 'COMPARE_GREATERTHANOREQUALTO',
  COMPARE_GREATERTHAN: 'COMPARE_LESSTHAN',
  COMPARE_GREATERTHANOREQUALTO: 'COMPARE_LESSTHANOREQUALTO',
};

function readCondition(condition: AstNode, reading: Reading): void {
  const kind = text(condition['type']);
  if (condition['class'] === 'COMPARISON' && kind in mirrored) {
    readComparison(kind, condition['left'], condition['right'], reading);
    readComparison(mirrored[kind] ?? '', condition['right'], condition['left'], reading);
  } else if (condition['class'] === 'BETWEEN' && kind === 'COMPARE_BETWEEN') {
    readComparison('COMPARE_GREATERTHANOREQUALTO', condition['input'], condition['lower'], reading);
    readComparison('COMPARE_LESSTHANOREQUALTO', condition['input'], condition['upper'], reading);
  } else if (kind === 'COMPARE_IN') {
    const [column, ...values] = list(condition['children']);
    readTags(column, values, reading);
  } else if (kind === 'OPERATOR_IS_NULL') {
    addTag(list(condition['children'])[0], [null], reading);
  }
}

function readComparison(
  kind: string,
  column: AstValue | undefined,
  constant: AstValue | undefined,
  reading: Reading,
): void {
  const target = resolveColumn(column, reading);
  if (target === undefined) return;
  if (target.column !== 'time') {
    if (kind === 'COMPARE_EQUAL') readTags(column, [constant], reading);
    return;
  }
  const value = timeConstant(constant, reading);
  if (value === undefined) return;
  const side = kind === 'COMPARE_EQUAL' ? 'both' : kind.startsWith('COMPARE_GREATER') ? 'lower' : 'upper';
  const isExclusive = kind === 'COMPARE_LESSTHAN' || kind === 'COMPARE_GREATERTHAN';
  boundsOf(target.reference, reading).times.push({ side, isExclusive, value });
}

function readTags(
  column: AstValue | undefined,
  constants: readonly (AstValue | undefined)[],
  reading: Reading,
): void {
  const values: string[] = [];
  for (const constant of constants) {
    const value = textConstant(constant, reading.parameters);
    if (value === undefined) return;
    values.push(value);
  }
  addTag(column, values, reading);
}

/** Whether the column is a tag only the schema knows: the planner leaves out what is none. */
function addTag(column: AstValue | undefined, values: readonly (string | null)[], reading: Reading): void {
  const target = resolveColumn(column, reading);
  if (target === undefined || target.column === 'time') return;
  boundsOf(target.reference, reading).tags.push({ tag: target.column, values });
}

/** The place that a column belongs to, if there is no doubt: qualified, or the only table of its SELECT. */
function resolveColumn(
  value: AstValue | undefined,
  { items }: Reading,
): { readonly reference: AstNode; readonly column: string } | undefined {
  const path = columnPath(value);
  if (path === undefined || path.length > 2) return undefined;
  const qualifier = path.length === 2 ? path[0] : undefined;
  const candidates = qualifier === undefined ? items : items.filter((item) => item.alias === qualifier);
  const reference = candidates.length === 1 ? candidates[0]?.reference : null;
  const column = path.at(-1);
  return reference === null || reference === undefined || column === undefined
    ? undefined
    : { reference, column };
}

function boundsOf(reference: AstNode, reading: Reading): { times: TimeBound[]; tags: TagPredicate[] } {
  let bounds = reading.found.get(reference);
  if (bounds === undefined) {
    bounds = { times: [], tags: [] };
    reading.found.set(reference, bounds);
  }
  return bounds;
}

function timeConstant(constant: AstValue | undefined, reading: Reading): TimeBound['value'] | undefined {
  const literal = textConstant(constant, reading.parameters);
  const time = literal === undefined ? undefined : readTimeLiteral(literal);
  if (time !== undefined) return { timeNs: time.timeNs };
  // Text in another form: what it means depends on the type that the engine casts it to.
  if (literal !== undefined) return undefined;
  const sql = constantSql(constant);
  if (sql === undefined) return undefined;
  reading.expressions.push(sql);
  return { expression: reading.expressions.length - 1 };
}

/** The text of a string constant or of a placeholder that stands for one. */
function textConstant(value: AstValue | undefined, parameters: SqlParameters): string | undefined {
  const constant = node(value);
  if (constant?.['class'] === 'PARAMETER') {
    const parameter = parameters[text(constant['identifier'])];
    return typeof parameter === 'string' ? parameter : undefined;
  }
  const content = node(constant?.['value']);
  const isText = constant?.['class'] === 'CONSTANT' && node(content?.['type'])?.['id'] === 'VARCHAR';
  return isText && typeof content?.['value'] === 'string' ? content['value'] : undefined;
}
