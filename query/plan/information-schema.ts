import type { TableSchema } from '../../core/model/schema.js';
import { conflictColumns, conflictsTable, systemSchema } from './conflicts-view.js';
import { sqlIdentifier, sqlText } from './identifiers.js';
import { columnSqlType, shownColumns, timeSqlType } from './view-sql.js';

/** Catalog and schema as InfluxDB 3 names them, so that its clients find what they look for. */
const catalogName = 'public';
const schemaName = 'iox';

/** The view that answers information_schema.<view>, out of the catalog. */
export function informationViewSql(
  view: 'tables' | 'columns',
  name: string,
  tables: readonly TableSchema[],
): string {
  return view === 'tables' ? tablesSql(name, tables) : columnsSql(name, tables);
}

function tablesSql(name: string, tables: readonly TableSchema[]): string {
  const rows = [
    ...tables.map(({ table }) => [catalogName, schemaName, table, 'BASE TABLE']),
    [catalogName, systemSchema, conflictsTable, 'VIEW'],
  ].map((row) => row.map(sqlText));
  return valuesViewSql(name, ['table_catalog', 'table_schema', 'table_name', 'table_type'], rows);
}

function columnsSql(name: string, tables: readonly TableSchema[]): string {
  const shown = tables.flatMap((schema) => {
    const columns = [
      { name: 'time', type: timeSqlType(schema), kind: 'time' },
      ...shownColumns(schema).map((column) => ({
        name: column.name,
        type: columnSqlType(column),
        kind: column.kind,
      })),
    ];
    return columns.map((column, index) => ({ ...column, schema: schemaName, table: schema.table, index }));
  });
  const system = conflictColumns.map(([name, type], index) => ({
    ...{ name, type, index, schema: systemSchema, table: conflictsTable },
    kind: name === 'time' ? 'time' : 'field',
  }));
  const rows = [...shown, ...system].map((column) => [
    ...[catalogName, column.schema, column.table, column.name].map(sqlText),
    String(column.index + 1),
    'NULL::VARCHAR',
    sqlText(column.kind === 'time' ? 'NO' : 'YES'),
    sqlText(column.type),
    sqlText(column.kind),
  ]);
  const names = [
    'table_catalog',
    'table_schema',
    'table_name',
    'column_name',
    'ordinal_position',
    'column_default',
    'is_nullable',
    'data_type',
    'column_kind',
  ];
  return valuesViewSql(name, names, rows);
}

function valuesViewSql(
  name: string,
  columns: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const head = `CREATE TEMP VIEW ${sqlIdentifier(name)} AS SELECT`;
  const names = columns.map(sqlIdentifier);
  if (rows.length === 0) {
    return `${head} ${names.map((column) => `NULL::VARCHAR AS ${column}`).join(', ')} WHERE false`;
  }
  const values = rows.map((row) => `(${row.join(', ')})`).join(',\n');
  return `${head} * FROM (VALUES ${values}) AS t(${names.join(', ')})`;
}
