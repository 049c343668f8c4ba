import { createHash } from 'node:crypto';
import { emptyHistoryRoot } from '../core/iceberg/history-root.js';
import type { QueryPlan } from './query-planner.js';
import type { QueryRequest } from './query-request.js';

/** Grows when the bytes of an answer to the same question change: formats, dialect, engine. */
const answerVersion = 1;

/** The history root of what a query pinned: that of its table, or a hash over names and roots of several. */
export function historyRootOf(plan: QueryPlan): string {
  const [first, ...rest] = plan.tables;
  if (first === undefined) return emptyHistoryRoot;
  if (rest.length === 0) return first.snapshot.historyRoot;
  const lines = plan.tables.map((table) => `${JSON.stringify(table.name)} ${table.snapshot.historyRoot}\n`);
  return createHash('sha256').update(lines.sort().join('')).digest('hex');
}

/**
 * An entity tag of history and question: same tag, same rows. The columns are part of it, for a new column changes
 * what `*` means without a new snapshot. It is weak where the engine's threads may add up floating-point numbers in
 * another order next time: the answers then mean the same and may differ in the last digit.
 */
export function entityTag(plan: QueryPlan, request: QueryRequest, isWeak: boolean): string {
  const { database, sql, parameters, format } = request;
  const tables = plan.tables.map(({ name, snapshot, plan: { schema } }) => [
    name,
    snapshot.historyRoot,
    schema.hasTimeNs,
    schema.columns.map((column) => [column.name, column.kind, column.type]),
  ]);
  const sorted = Object.entries(parameters).sort(([left], [right]) => (left < right ? -1 : 1));
  const named = sorted.map(([name, value]) => [name, typeof value, String(value)]);
  const content = JSON.stringify([answerVersion, plan.database.id, database, tables, sql, named, format]);
  const tag = `"${createHash('sha256').update(content).digest('base64url')}"`;
  return isWeak ? `W/${tag}` : tag;
}

/** Whether the header If-None-Match names the tag, by the weak comparison that RFC 9110 asks for here. */
export function matchesTag(ifNoneMatch: string | null, tag: string): boolean {
  if (ifNoneMatch === null) return false;
  const opaque = tag.replace(/^W\//, '');
  return ifNoneMatch.split(',').some((part) => {
    const candidate = part.trim();
    return candidate === '*' || candidate.replace(/^W\//, '') === opaque;
  });
}
