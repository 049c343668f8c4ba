import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorTraits, VarveError } from '../../../core/std/errors.js';
import {
  aggregateFunctions,
  judgeFunction,
  operatorFunctions,
  refusedFunctions,
  refusedTableFunctions,
  scalarFunctions,
  tableFunctions,
  volatileFunctions,
} from '../../../query/plan/functions.js';
import type { QueryService } from '../../../query/query-service.js';
import { asked, bodyOf, noWatch, rowsOf, schemaOf, Warehouse } from './warehouse.js';

const warehouse = new Warehouse();
let service: QueryService;

beforeAll(async () => {
  service = await warehouse.open();
  warehouse.addTable(schemaOf('cpu', ['host'], { usage: 'double' }));
  await warehouse.seal('cpu', [{ timeNs: 0n, tags: { host: 'a' }, fields: { usage: 1 } }], { sequence: 1 });
  mkdirSync(outside(), { recursive: true });
  writeFileSync(join(outside(), 'secret.csv'), 'a,b\n1,2\n');
});
afterAll(() => warehouse.close());

const outside = (): string => join(warehouse.directory, 'outside');
const settledFile = (): string => {
  const directory = join(warehouse.directory, 'settled', 'data');
  return join(directory, readdirSync(directory)[0] ?? '');
};

/** Every file below the warehouse with its size and time of change. */
function filesNow(directory = warehouse.directory): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { size, mtimeMs } = statSync(path);
      return `${path} ${size} ${mtimeMs}`;
    })
    .sort();
}

async function failureOf(sql: string): Promise<VarveError> {
  try {
    const body = await bodyOf(service, asked(sql));
    throw new Error(`answered ${Buffer.from(body).toString('utf8').slice(0, 200)}`);
  } catch (error) {
    if (error instanceof VarveError) return error;
    throw error;
  }
}

/** $OUT is a directory outside, $SETTLED a settled file, which the engine itself may read. */
const hostile: readonly string[] = [
  // files, by name, by function, by glob
  `select * from '/etc/passwd'`,
  `select * from "/etc/passwd"`,
  `select * from '$OUT/secret.csv'`,
  `select * from '$SETTLED'`,
  `from '$SETTLED'`,
  `select * from read_csv('/etc/passwd')`,
  `select * from read_csv_auto('$OUT/secret.csv')`,
  `select * from read_text('/etc/passwd')`,
  `select * from read_blob('/etc/passwd')`,
  `select * from read_json('/etc/passwd')`,
  `select * from read_json_auto('/etc/passwd')`,
  `select * from read_ndjson('/etc/passwd')`,
  `select * from read_json_objects('/etc/passwd')`,
  `select * from read_parquet('$SETTLED')`,
  `select * from parquet_scan('$SETTLED')`,
  `select * from parquet_metadata('$SETTLED')`,
  `select * from parquet_schema('$SETTLED')`,
  `select * from parquet_kv_metadata('$SETTLED')`,
  `select * from parquet_file_metadata('$SETTLED')`,
  `select * from parquet_bloom_probe('$SETTLED', 'host', 'a')`,
  `select * from read_duckdb('$OUT/x.duckdb')`,
  `select * from glob('/etc/*')`,
  `select * from glob('$SETTLED')`,
  `select * from sniff_csv('/etc/passwd')`,
  `select * from arrow_scan(1, 2, 3)`,
  `select * from seq_scan('cpu')`,
  `select * from 's3://bucket/x.parquet'`,
  `select * from 'https://example.org/x.csv'`,
  `select * from read_csv('https://example.org/x.csv')`,
  // the engine's own tables and settings
  `select * from duckdb_settings()`,
  `select * from duckdb_settings`,
  `select * from duckdb_secrets()`,
  `select * from duckdb_functions()`,
  `select * from duckdb_tables()`,
  `select * from duckdb_views()`,
  `select * from duckdb_variables()`,
  `select * from duckdb_logs`,
  `select * from duckdb_logs()`,
  `select * from duckdb_logs_parsed('FileSystem')`,
  `select * from duckdb_extensions()`,
  `select * from duckdb_databases()`,
  `select * from duckdb_temporary_files()`,
  `select * from duckdb_memory()`,
  `select * from duckdb_prepared_statements()`,
  `select * from which_secret('s3://x', 's3')`,
  `select * from pg_catalog.pg_settings`,
  `select * from pg_catalog.pg_tables`,
  `select * from pg_tables`,
  `select * from sqlite_master`,
  `select * from system.information_schema.tables`,
  `select * from information_schema.schemata`,
  `select * from information_schema.character_sets`,
  `select * from memory.main.cpu`,
  `select * from temp.cpu`,
  `select * from main.cpu`,
  `select * from other.cpu`,
  `select * from pragma_database_size()`,
  `select * from pragma_version()`,
  `select * from pragma_user_agent()`,
  `select * from pragma_table_info('cpu')`,
  `select * from pragma_storage_info('cpu')`,
  `select * from pg_timezone_names()`,
  `select * from sql_auto_complete('sel')`,
  `select * from varve_hot('0')`,
  `select * from varve_settled('0')`,
  `select * from test_all_types()`,
  `select * from histogram_values(cpu, 'usage')`,
  `select * from checkpoint()`,
  `select * from force_checkpoint()`,
  `select * from enable_logging()`,
  `select * from enable_profiling()`,
  `select * from truncate_duckdb_logs()`,
  `select getenv('HOME')`,
  `select current_setting('temp_directory')`,
  `select getvariable('varve_now')`,
  `select current_query()`,
  `select current_database()`,
  `select nextval('x')`,
  `select currval('x')`,
  `select setseed(0.5)`,
  `select sleep_ms(1000000)`,
  `select pg_sleep(1000)`,
  `select write_log('x')`,
  `select stats(usage) from cpu`,
  `select json_serialize_plan('select 1')`,
  `select txid_current()`,
  `select system.main.now()`,
  `select memory.main.now()`,
  `select read_text('/etc/passwd')`,
  `select (select content from read_text('/etc/passwd'))`,
  // SQL in text
  `select * from query('select * from duckdb_settings()')`,
  `select * from query_table('cpu')`,
  `select * from query_table(['duckdb_settings'])`,
  `select * from json_execute_serialized_sql('{}')`,
  `select json_execute_serialized_sql('{}')`,
  // hidden in the depth
  `with x as (select * from read_text('/etc/passwd')) select 1`,
  `with cpu as (select * from cpu), duckdb_settings as (select * from duckdb_settings) select * from duckdb_settings`,
  `with a as (select * from b), b as (select 1) select * from a`,
  `with recursive duckdb_settings as (select * from duckdb_settings union all select * from duckdb_settings) select 1`,
  `select * from cpu where host in (select content from read_text('/etc/passwd'))`,
  `select * from cpu order by (select count(*) from duckdb_settings())`,
  `select * from cpu limit (select count(*) from glob('/etc/*'))`,
  `select * from cpu, lateral (select * from read_text('/etc/passwd')) t`,
  `select list_transform([1], x -> (select count(*) from glob('/etc/*')))`,
  `select case when true then getenv('HOME') end`,
  `select count(*) filter (where getenv('HOME') = '/root') from cpu`,
  `select sum(usage) over (partition by getenv('HOME')) from cpu`,
  `select * from cpu group by getenv('HOME')`,
  `select * replace (getenv('HOME') as host) from cpu`,
  `select * from (values (getenv('HOME'))) t`,
  `select * from unnest([getenv('HOME')])`,
  `select * from range((select count(*) from glob('/etc/*')))`,
  `pivot (select * from duckdb_settings()) on name in ('threads') using first(value)`,
  `select 1 union all select count(*) from duckdb_settings()`,
  `describe select * from read_csv('/etc/passwd')`,
  `describe '/etc/passwd'`,
  `summarize '$SETTLED'`,
  `explain select * from '/etc/passwd'`,
  `explain analyze select * from read_text('/etc/passwd')`,
  `select * from (show databases)`,
  `select * from (show all tables)`,
  `show databases`,
  `show all tables`,
  `select * from cpu at (version => 1)`,
  // not a SELECT
  `copy (select 1) to '$OUT/evil.csv'`,
  `copy cpu to '$OUT/evil.parquet'`,
  `copy (select 1) to '$SETTLED'`,
  `explain copy (select 1) to '$OUT/evil.csv'`,
  `explain analyze copy (select 1) to '$OUT/evil.csv'`,
  `EXPLAIN /* x */ ANALYZE -- y\n copy (select 1) to '$OUT/evil.csv'`,
  `explain (format json) copy (select 1) to '$OUT/evil.csv'`,
  `with x as (select 1) copy (select 1) to '$OUT/evil.csv'`,
  `attach '$OUT/x.duckdb'`,
  `attach ':memory:' as other`,
  `detach memory`,
  `use memory`,
  `install httpfs`,
  `load httpfs`,
  `load '$OUT/x.duckdb_extension'`,
  `set enable_external_access = true`,
  `set memory_limit = '20GB'`,
  `set variable varve_now = 1`,
  `set timezone = 'Europe/Paris'`,
  `reset lock_configuration`,
  `pragma database_list`,
  `pragma enable_profiling = 'json'`,
  `pragma profiling_output = '$OUT/prof.json'`,
  `call enable_logging()`,
  `call pragma_version()`,
  `create table zz as select 1`,
  `create temp table zz as select 1`,
  `create view v as select 1`,
  `create or replace temp view cpu as select 1`,
  `create macro now() as 1`,
  `create secret s (type s3, key_id 'a', secret 'b')`,
  `create type mood as enum ('a')`,
  `create sequence s`,
  `create schema s`,
  `insert into cpu values (1)`,
  `update cpu set usage = 1`,
  `delete from cpu`,
  `truncate cpu`,
  `drop view cpu`,
  `alter table cpu add column x int`,
  `export database '$OUT/exp'`,
  `import database '$OUT/exp'`,
  `prepare p as select 1`,
  `execute p`,
  `deallocate p`,
  `begin transaction`,
  `commit`,
  `rollback`,
  `checkpoint`,
  `vacuum`,
  `analyze`,
  `comment on view cpu is 'x'`,
  `pivot cpu on host using sum(usage)`,
  // several statements, and none
  `select 1; select 2`,
  `select 1; copy (select 1) to '$OUT/evil.csv'`,
  `copy (select 1) to '$OUT/evil.csv'; select 1`,
  `select 1; set enable_external_access = true; select 1`,
  `explain select 1; copy (select 1) to '$OUT/evil.csv'`,
  ``,
  `;`,
  `-- nothing`,
  `explain`,
  `explain analyze`,
  `select`,
  `not sql at all`,
  `select * from cpu where host = 'unclosed`,
];

describe('hostile SQL gets a 4xx and nothing else happens', () => {
  test.each(hostile)('%s', async (template) => {
    const sql = template.replaceAll('$OUT', outside()).replaceAll('$SETTLED', settledFile());
    const before = filesNow();
    const error = await failureOf(sql);
    expect(errorTraits[error.kind].httpStatus, error.message).toBeGreaterThanOrEqual(400);
    expect(errorTraits[error.kind].httpStatus, error.message).toBeLessThan(500);
    expect(filesNow()).toEqual(before);
    expect(await rowsOf(service, 'select usage from cpu')).toEqual([{ usage: 1 }]);
  });
});

test('an unknown table is not found, whatever its name looks like', async () => {
  expect((await failureOf(`select * from '/etc/passwd'`)).kind).toBe('not-found');
  const near = await failureOf('select * from cpus');
  expect(near.kind).toBe('not-found');
  expect(near.message).toContain('such as "cpu"');
});

test('an expression too deep to be prepared in time is refused', async () => {
  expect((await failureOf(`select ${Array.from({ length: 400 }, () => '1').join(' + ')}`)).kind).toBe(
    'invalid',
  );
});

test('what admission lets by in error the engine still refuses', async () => {
  const { DuckDbEngine } = await import('../../../query/engine/duckdb-engine.js');
  const engine = await DuckDbEngine.open(warehouse.engineOptions(), noWatch);
  try {
    const run = async (sql: string, isGathered: boolean): Promise<string> => {
      try {
        const request = { explain: 'no', parameters: {}, views: [], nowMicros: null, hotScans: [] } as const;
        const answer = await engine.execute({
          ...request,
          sql,
          format: 'csv',
          isGathered,
          heldBytesMax: 1e6,
        });
        let text = '';
        for await (const piece of answer.body) text += Buffer.from(piece).toString('utf8');
        return text;
      } catch (error) {
        return error instanceof VarveError ? error.kind : String(error);
      }
    };
    const target = join(outside(), 'evil.csv');
    for (const sql of [
      `select * from read_text('/etc/passwd')`,
      `select * from '${join(outside(), 'secret.csv')}'`,
      `copy (select 1) to '${target}'`,
      `set enable_external_access = true`,
      `set memory_limit = '20GB'`,
      `attach '${join(outside(), 'x.duckdb')}'`,
      `install httpfs`,
      `create table t as select 1`,
    ]) {
      expect(await run(sql, false), sql).toBe('invalid');
      expect(await run(sql, true), sql).toBe('invalid');
    }
    expect(existsSync(target)).toBe(false);
  } finally {
    await engine.close();
  }
});

describe('every function of the engine is judged', () => {
  let names: { name: string; type: string }[];
  beforeAll(async () => {
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const reader = await connection.runAndReadAll(
      'select distinct function_name, function_type from duckdb_functions()',
    );
    names = reader.getRows().map(([name, type]) => ({ name: String(name), type: String(type) }));
    expect(names.length).toBeGreaterThan(800);
  });

  test('scalar functions, aggregates and macros', () => {
    const called = names.filter(({ type }) => ['scalar', 'aggregate', 'macro'].includes(type));
    expect(called.filter(({ name }) => judgeFunction(name, 2) === 'unknown')).toEqual([]);
  });

  test('table functions and pragmas', () => {
    const unknown = names
      .filter(({ type }) => ['table', 'table_macro', 'pragma'].includes(type))
      .filter(({ name }) => !tableFunctions.has(name) && !refusedTableFunctions.has(name));
    expect(unknown).toEqual([]);
  });

  test('no list names what the engine does not have, and no name stands in two lists', () => {
    const lists = [
      scalarFunctions,
      operatorFunctions,
      aggregateFunctions,
      volatileFunctions,
      refusedFunctions,
    ];
    const listed = lists.flatMap((names) => [...names]);
    expect(new Set(listed).size).toBe(listed.length);
    const engine = new Set(names.map(({ name }) => name.toLowerCase()));
    expect(listed.filter((name) => !engine.has(name))).toEqual([]);
    const tables = [...tableFunctions, ...refusedTableFunctions];
    expect(tables.filter((name) => !engine.has(name))).toEqual([]);
    expect([...tableFunctions].filter((name) => refusedTableFunctions.has(name))).toEqual([]);
  });

  test('functions whose stability the engine calls volatile are not pure', async () => {
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const reader = await connection.runAndReadAll(
      `select distinct function_name from duckdb_functions() where stability <> 'CONSISTENT' and function_type = 'scalar'`,
    );
    const pure = reader.getRows().filter(([name]) => judgeFunction(String(name), 2) === 'pure');
    // error() gives no value at all.
    expect(pure.flat()).toEqual(['error']);
  });
});
