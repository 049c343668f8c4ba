import { formatTimeNs } from '../core/model/window.js';
import type { SqlParameters } from './engine/query-engine.js';
import type { AstNode } from './plan/ast.js';
import { conflictsTable, systemSchema } from './plan/conflicts-view.js';
import { rewriteSql } from './plan/rewrite-sql.js';
import { readTimeLiteral } from './plan/time-literal.js';
import type { QueryPlan } from './query-planner.js';
import type { PreparedSql } from './sql-preparer.js';

/** A statement and its parameters as the engine is to have them. */
export interface RewrittenRequest {
  /** Null when the text can be executed as written. */
  readonly tree: AstNode | null;
  readonly parameters: SqlParameters;
  /** Views to make, by what they stand for. */
  readonly informationViews: ReadonlyMap<'tables' | 'columns', string>;
  /** Name for the view of varve.conflicts. */
  readonly conflictsView: string;
}

/** Applies rewriteSql with what the plan knows of the tables. */
export function rewriteRequest(
  plan: QueryPlan,
  prepared: PreparedSql,
  parameters: SqlParameters,
): RewrittenRequest {
  const freeName = freeNames(plan);
  const informationView = (view: string): string => freeName(`information_schema.${view}`);
  const conflictsView = freeName(`${systemSchema}.${conflictsTable}`);
  const offsets = Object.entries(parameters).filter(
    ([, value]) => typeof value === 'string' && readTimeLiteral(value)?.hasOffset === true,
  );
  const { informationSchema, readsConflicts, hasOffsets } = prepared.facts;
  // Most statements have nothing to rewrite, and the walk over their tree would copy it.
  if (informationSchema.length === 0 && !readsConflicts && !hasOffsets && offsets.length === 0) {
    return { tree: null, parameters, informationViews: new Map(), conflictsView };
  }
  const rewritten = rewriteSql(prepared.tree, {
    informationView,
    conflictsView,
    textColumns: textColumns(plan),
    offsetPlaceholders: new Set(offsets.map(([name]) => name)),
  });
  const instants = offsets.flatMap(([name, value]) => {
    const literal = rewritten.instants.has(name) ? readTimeLiteral(String(value)) : undefined;
    return literal === undefined ? [] : [[name, formatTimeNs(literal.timeNs)] as const];
  });
  const views = informationSchema.map(({ view }) => [view, informationView(view)] as const);
  return {
    tree: rewritten.isChanged ? rewritten.tree : null,
    parameters: { ...parameters, ...Object.fromEntries(instants) },
    informationViews: new Map(views),
    conflictsView,
  };
}

/** Names for views of our own that no table of the query has. */
function freeNames(plan: QueryPlan): (wanted: string) => string {
  const taken = new Set(plan.tables.map((table) => table.name.toLowerCase()));
  return (wanted) => {
    let name = wanted;
    while (taken.has(name)) name += '_';
    return name;
  };
}

function textColumns(plan: QueryPlan): ReadonlySet<string> {
  const columns = plan.tables.flatMap((table) => table.plan.schema.columns);
  return new Set(
    columns.filter((column) => column.type === 'string').map((column) => column.name.toLowerCase()),
  );
}
