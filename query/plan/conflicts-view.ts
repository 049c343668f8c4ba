import type { FieldConflict } from '../../core/ports/conflict-reader.js';
import { sqlIdentifier, sqlText } from './identifiers.js';

/** Schema of the tables that tell of Varve itself. */
export const systemSchema = 'varve';
/** Fields of points that were given different values, as far as they are in flux or remembered. */
export const conflictsTable = 'conflicts';

/** Columns of varve.conflicts with their SQL types, in the order shown. */
export const conflictColumns: readonly (readonly [name: string, type: string])[] = [
  ['table_name', 'VARCHAR'],
  ['series', 'VARCHAR'],
  ['time', 'TIMESTAMP_NS'],
  ['field', 'VARCHAR'],
  ['values', 'VARCHAR[]'],
  ['origins', 'VARCHAR[]'],
  ['shard_group', 'VARCHAR'],
  ['shard', 'INTEGER'],
];

/** Types of the columns as they stand in JSON. */
const jsonTypes = Object.fromEntries(conflictColumns.map(([name, type]) => [name, jsonType(type)] as const));

/**
 * The view that answers varve.conflicts. The series is a JSON object of its tags. All rows are one constant: the
 * engine takes seconds for ten thousand of them as VALUES.
 */
export function conflictsViewSql(name: string, conflicts: readonly FieldConflict[]): string {
  const columns = conflictColumns.map(([column]) => {
    const cell = `r.${sqlIdentifier(column)}`;
    return `${column === 'time' ? `make_timestamp_ns(${cell})` : cell} AS ${sqlIdentifier(column)}`;
  });
  const rows = sqlText(JSON.stringify(conflicts.map(rowJson)));
  const shape = sqlText(JSON.stringify([jsonTypes]));
  return `CREATE TEMP VIEW ${sqlIdentifier(name)} AS SELECT ${columns.join(', ')}
FROM (SELECT unnest(from_json(${rows}, ${shape})) AS r)`;
}

function rowJson({ table, tags, timeNs, field, values, group, shard }: FieldConflict): object {
  return {
    table_name: table,
    series: JSON.stringify(Object.fromEntries(tags)),
    time: `${timeNs}`,
    field,
    values: values.map(({ text }) => text),
    origins: values.map(({ origin }) => origin),
    shard_group: group,
    shard,
  };
}

function jsonType(type: string): string | readonly string[] {
  if (type === 'TIMESTAMP_NS') return 'BIGINT';
  return type.endsWith('[]') ? [type.slice(0, -2)] : type;
}
