/**
 * What stands around a SELECT and is not the engine's to see: EXPLAIN, and the SHOW statements, which are questions to
 * information_schema in other words.
 */
export interface SqlCommand {
  readonly explain: 'no' | 'plan' | 'analyze';
  /** One SELECT statement, to be parsed and admitted. */
  readonly sql: string;
  /** A table that the statement is about without reading it. */
  readonly table: string | null;
}

const skipped = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/;
const explainPattern = /^explain\b/i;
const analyzePattern = /^analyze\b/i;
const showTablesPattern = /^show\s+tables\s*;?\s*$/i;
const showColumnsPattern = /^show\s+columns\s+(?:from|in)\s+(?:"((?:[^"]|"")+)"|([^\s";]+))\s*;?\s*$/i;

/** Takes the statement apart. Never fails: what is no SELECT is found out by parsing. */
export function readCommand(statement: string): SqlCommand {
  const sql = statement.replace(skipped, '');
  if (showTablesPattern.test(sql)) return { explain: 'no', sql: showTables, table: null };
  const columns = showColumnsPattern.exec(sql);
  if (columns !== null) {
    const table = columns[1]?.replaceAll('""', '"') ?? columns[2] ?? '';
    return { explain: 'no', sql: showColumns(table), table };
  }
  if (!explainPattern.test(sql)) return { explain: 'no', sql: statement, table: null };
  const rest = sql.replace(explainPattern, '').replace(skipped, '');
  if (!analyzePattern.test(rest)) return { explain: 'plan', sql: rest, table: null };
  return { explain: 'analyze', sql: rest.replace(analyzePattern, '').replace(skipped, ''), table: null };
}

const showTables =
  "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables WHERE table_type = 'BASE TABLE' ORDER BY ALL";

function showColumns(table: string): string {
  return `SELECT table_catalog, table_schema, table_name, column_name, data_type, is_nullable
FROM information_schema.columns WHERE lower(table_name) = lower('${table.replaceAll("'", "''")}') ORDER BY ordinal_position`;
}
