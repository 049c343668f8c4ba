import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange } from '../support/http-exchange.js';
import {
  makeDataDir,
  removeDataDir,
  sealAll,
  startTestServer,
  type TestServer,
  writeLines,
} from '../support/server-process.js';

const db = 'guarded';
const secret = 'correct horse battery staple';
let dataDir = '';
/** Working directory of the server: what it would write by a relative path lands here. */
let workDir = '';
let server: TestServer;
let settledFile = '';

beforeAll(async () => {
  dataDir = makeDataDir();
  workDir = mkdtempSync(join(tmpdir(), 'varve-test-cwd-'));
  writeFileSync(join(workDir, 'secret.csv'), `word\n${secret}\n`);
  mkdirSync(join(workDir, 'sub'));
  server = await startTestServer({
    dataDir,
    cwd: workDir,
    flags: ['--deadline', '2h', '--late-delay', '2h', '--log-level', 'warn'],
    env: { VARVE_TEST_SECRET: secret },
  });
  await writeLines(server.client, db, `cpu,host=a usage=1.5 1600000000000000000`);
  await writeLines(server.client, 'other', `hidden word="${secret}" 1600000000000000000`);
  await sealAll(server.client, db);
  await sealAll(server.client, 'other');
  settledFile = files(join(dataDir, 'objects')).find((path) => path.endsWith('.parquet')) ?? '';
  expect(settledFile).not.toBe('');
});
afterAll(async () => {
  await server.kill();
  removeDataDir(dataDir);
  rmSync(workDir, { recursive: true, force: true });
});

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** What a statement must not change: no file comes or goes, in the data or where the server runs. */
function filesNow(): readonly string[] {
  return [...files(workDir), ...files(dataDir)].filter((path) => !path.endsWith('lock.mdb'));
}

/** $DATA is the data directory, $CWD where the server runs, $SETTLED a settled file that the engine may read. */
const statements: Readonly<Record<string, readonly string[]>> = {
  'reading files': [
    `select * from '/etc/passwd'`,
    `select * from "/etc/passwd"`,
    `select * from '$CWD/secret.csv'`,
    `select * from 'secret.csv'`,
    `select * from '$SETTLED'`,
    `from '$SETTLED'`,
    `select * from read_csv('/etc/passwd')`,
    `select * from read_csv_auto('$CWD/secret.csv')`,
    `select content from read_text('/etc/passwd')`,
    `select read_text('/etc/passwd')`,
    `select * from read_blob('$DATA/varve.lock')`,
    `select * from read_json('/etc/passwd')`,
    `select * from read_json_auto('/etc/passwd')`,
    `select * from read_ndjson_objects('/etc/passwd')`,
    `select count(*) from read_parquet('$SETTLED')`,
    `select count(*) from read_parquet('$DATA/objects/**/*.parquet')`,
    `select count(*) from read_parquet('$DATA/objects/../wal/*')`,
    `select count(*) from parquet_scan('$SETTLED')`,
    `select * from parquet_metadata('$SETTLED')`,
    `select * from parquet_schema('$SETTLED')`,
    `select * from parquet_kv_metadata('$SETTLED')`,
    `select * from sniff_csv('/etc/passwd')`,
    `select * from glob('/etc/*')`,
    `select * from glob('$DATA/**')`,
    `select * from 'https://example.org/x.csv'`,
    `select * from read_csv('http://127.0.0.1:1/x.csv')`,
    `select * from 's3://bucket/x.parquet'`,
    `with a as (select * from read_text('/etc/passwd')) select * from a`,
    `select * from cpu where host in (select content from read_text('/etc/passwd'))`,
    `select * from cpu union all select * from read_csv('/etc/passwd')`,
    `select (select content from read_text('/etc/hostname'))`,
    `select * from cpu join lateral (select * from read_text('/etc/passwd')) on true`,
    `select list_transform([1], x -> (select content from read_text('/etc/passwd')))`,
    `pivot read_csv('/etc/passwd') on 1 using count(*)`,
  ],
  'writing files': [
    `copy (select 1) to './evil.csv'`,
    `copy (select 1) to '$CWD/evil.csv'`,
    `copy (select 1) to '$DATA/objects/evil.parquet'`,
    `copy (select 1) to '$DATA/cache/spill/evil.csv'`,
    `copy cpu from '/etc/passwd'`,
    `explain copy (select 1) to '$DATA/objects/evil.parquet'`,
    `explain analyze copy (select 1) to '$DATA/objects/evil.parquet'`,
    `EXPLAIN /* x */ ANALYZE -- y\n copy (select 1) to '$CWD/evil.csv'`,
    `export database './exp'`,
    `import database './exp'`,
    `select write_log('x')`,
    `PRAGMA enable_profiling='json'`,
    `PRAGMA profiling_output='./prof.json'`,
    `attach './evil.duckdb'`,
    `attach ':memory:' as m`,
    `attach '$CWD/evil.duckdb' as evil`,
    `detach memory`,
    `create table zz as select 1`,
    `create temp table z2 as select 1`,
    `create or replace view v as select 1`,
    `create macro f(a) as a`,
    `create secret s (type s3)`,
    `create persistent secret s (type s3)`,
    `create type t as enum ('a')`,
    `create sequence q`,
    `create schema s`,
    `drop view cpu`,
    `drop table cpu`,
    `insert into cpu values (1)`,
    `update cpu set usage = 1`,
    `delete from cpu`,
    `truncate cpu`,
    `alter table cpu add column x int`,
    `vacuum`,
    `checkpoint`,
    `begin transaction`,
    `commit`,
  ],
  'settings, extensions and the engine itself': [
    `install httpfs`,
    `load httpfs`,
    `load './x.duckdb_extension'`,
    `update extensions`,
    `set enable_external_access=true`,
    `set memory_limit='20GB'`,
    `set threads=8`,
    `set allowed_directories=['/']`,
    `reset lock_configuration`,
    `reset all`,
    `set search_path='main'`,
    `set schema='main'`,
    `use memory`,
    `set TimeZone='UTC'`,
    `set variable a=1`,
    `pragma database_list`,
    `pragma version`,
    `call enable_logging()`,
    `call pragma_version()`,
    `PREPARE p AS select 1`,
    `execute p`,
    `deallocate p`,
    `select * from duckdb_settings()`,
    `select * from duckdb_secrets()`,
    `select * from duckdb_functions() limit 1`,
    `select * from duckdb_logs limit 1`,
    `select * from duckdb_extensions() where loaded`,
    `select * from duckdb_databases()`,
    `select * from duckdb_tables()`,
    `select * from duckdb_views()`,
    `select * from duckdb_columns()`,
    `select * from duckdb_temporary_files()`,
    `select * from duckdb_prepared_statements()`,
    `select * from pragma_storage_info('zz')`,
    `select * from pragma_database_size()`,
    `select * from which_secret('s3://x', 's3')`,
    `select * from pg_catalog.pg_settings`,
    `select * from pg_catalog.pg_class`,
    `select * from sqlite_master`,
    `select * from system.information_schema.tables`,
    `select * from information_schema.schemata`,
    `select current_setting('temp_directory')`,
    `select getenv('VARVE_TEST_SECRET')`,
    `select getvariable('varve_now')`,
    `select current_database()`,
    `select current_schemas(true)`,
    `select current_query()`,
    `select nextval('q')`,
    `select * from query('select 42')`,
    `select * from query_table('cpu')`,
    `select * from varve_hot('0')`,
    `select * from json_execute_serialized_sql(json_serialize_sql('select 1'))`,
    `select * from test_all_types()`,
    `show databases`,
    `show all tables`,
    `describe '/etc/passwd'`,
    `summarize '/etc/passwd'`,
    `summarize '$SETTLED'`,
  ],
  'other databases': [
    `select * from hidden`,
    `select * from other.hidden`,
    `select * from other.main.hidden`,
    `select * from "other/hidden"`,
    `select * from memory.main.cpu`,
    `select * from main.cpu`,
    `select * from temp.cpu`,
    `select * from iox.cpu`,
  ],
  'more or less than one statement': [
    ``,
    `   `,
    `;`,
    `-- nothing`,
    `select 1; select 2`,
    `select 1; copy (select 1) to './evil.csv'`,
    `select 1; drop table cpu; --`,
    `select 1;; attach './evil.duckdb'`,
    `select`,
    `this is no SQL`,
    `select '\u0000'; select 1`,
  ],
};

function inPlace(sql: string): string {
  return sql.replaceAll('$DATA', dataDir).replaceAll('$CWD', workDir).replaceAll('$SETTLED', settledFile);
}

describe.each(Object.entries(statements))('%s', (_, list) => {
  it.each(list)('is refused and does nothing: %s', async (sql) => {
    const before = filesNow();
    const q = inPlace(sql);
    const answers = [
      await exchange(server, '/api/v3/query_sql', { query: { db, q } }),
      await exchange(server, '/api/v3/query_sql', { body: { db, q, format: 'csv', tier: 'settled' } }),
    ];
    for (const answer of answers) {
      expect([answer.status, answer.text]).toEqual([
        expect.toSatisfy((status: number) => status === 400 || status === 404),
        expect.stringContaining('"error":'),
      ]);
      expect(answer.text).not.toContain(secret);
      expect(answer.text).not.toContain('root:');
    }
    expect(filesNow()).toEqual(before);
  });
});

describe('in parameters and names', () => {
  it('nothing is taken for SQL', async () => {
    const before = filesNow();
    const path = '/api/v3/query_sql';
    const attempts = [
      {
        body: { db, q: 'select $x::VARCHAR as x', params: { x: `'; copy (select 1) to './evil.csv'; --` } },
        status: 200,
      },
      { body: { db: `guarded"; attach './evil.duckdb'; --`, q: 'select 1' }, status: 404 },
      { body: { db: '../other', q: 'select * from hidden' }, status: 404 },
      { body: { db, q: `select * from cpu`, snapshot: '../../etc/passwd' }, status: 400 },
      { body: { db, q: `select * from $t`, params: { t: 'other.hidden' } }, status: 400 },
      { body: { db, q: `select * from identifier($t)`, params: { t: 'cpu' } }, status: 400 },
    ];
    for (const { body, status } of attempts) {
      expect([body, (await exchange(server, path, { body })).status]).toEqual([body, status]);
    }
    // A measurement may have any name; asked for by it, it is a table and no path.
    const name = '$CWD/secret.csv';
    await writeLines(server.client, db, `${inPlace(name)} v=7i 1600000000000000000`);
    const named = await exchange(server, path, { query: { db, q: `select v from "${inPlace(name)}"` } });
    expect(named.text).toBe('[{"v":7}]');
    await writeLines(server.client, db, `read_csv('x')";drop\\ table\\ cpu;-- v=8i 1600000000000000000`);
    const quoted = await exchange(server, path, {
      query: { db, q: `select v from "read_csv('x')"";drop table cpu;--"` },
    });
    expect(quoted.text).toBe('[{"v":8}]');
    await sealAll(server.client, db);
    const settled = await exchange(server, path, {
      query: { db, q: `select v from "read_csv('x')"";drop table cpu;--"`, tier: 'settled' },
    });
    expect(settled.text).toBe('[{"v":8}]');
    expect(filesNow().filter((file) => file.startsWith(workDir))).toEqual(
      before.filter((file) => file.startsWith(workDir)),
    );
  });
});

describe('after all of it', () => {
  it('the server is well and answers as before', async () => {
    expect((await exchange(server, '/health')).status).toBe(200);
    expect((await exchange(server, '/ready')).body).toEqual({ status: 'ready' });
    const answer = await exchange(server, '/api/v3/query_sql', {
      query: { db, q: 'select host, usage from cpu' },
    });
    expect(answer.text).toBe('[{"host":"a","usage":1.5}]');
    expect(existsSync(join(workDir, 'evil.csv'))).toBe(false);
    expect(server.log()).not.toMatch(/ERROR|FATAL/);
  });
});
