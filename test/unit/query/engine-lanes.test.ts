import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isVarveError, VarveError } from '../../../core/std/errors.js';
import { DuckDbEngine } from '../../../query/engine/duckdb-engine.js';
import type { ExecuteRequest, ViewSql } from '../../../query/engine/query-engine.js';
import { noWatch, rowsOf, schemaOf, Warehouse } from './warehouse.js';

const day = BigInt(Date.UTC(2016, 0, 1)) * 1_000_000n;
const warehouse = new Warehouse();
const other = new Warehouse();
let engine: DuckDbEngine;
const requests: ExecuteRequest[] = [];

/** Rows of 40 hosts, few enough of one that they are picked out of the file. */
async function fill(house: Warehouse, type: 'double' | 'bigint', rowsOfHost: number): Promise<void> {
  house.addTable(schemaOf('m', ['host'], { v: type }));
  const value = (index: number) => (type === 'double' ? index + 0.5 : BigInt(index));
  const points = Array.from({ length: 40 * rowsOfHost }, (_, index) => ({
    timeNs: day + BigInt(index) * 1_000_000n,
    tags: { host: `h${index % 40}` },
    fields: { v: value(index) },
  }));
  await house.seal('m', points, { sequence: 1 });
}

beforeAll(async () => {
  await fill(warehouse, 'double', 700);
  await fill(other, 'bigint', 2);
  engine = await DuckDbEngine.open({ ...warehouse.engineOptions(), memoryBytesMax: 128 * 2 ** 20 }, noWatch);
  const execute = engine.execute.bind(engine);
  engine.execute = (request, signal) => {
    requests.push(request);
    return execute(request, signal);
  };
});
afterAll(async () => {
  await engine.close();
  await warehouse.close();
  await other.close();
});

const ofHost = `from m where host = 'h3'`;

async function run(request: ExecuteRequest): Promise<string> {
  try {
    let text = '';
    for await (const piece of (await engine.execute(request)).body) text += Buffer.from(piece).toString();
    return text;
  } catch (error) {
    return error instanceof VarveError ? error.kind : String(error);
  }
}

/** The request of a question about one host, as the engine got it. */
async function narrowRequest(): Promise<ExecuteRequest> {
  await rowsOf(warehouse.serviceOver(engine), `select count(*) n ${ofHost}`);
  const request = requests.at(-1);
  if (request === undefined) throw new Error('no request');
  return request;
}

describe('questions that need few rows', () => {
  test('ask for alike views the second time', async () => {
    const service = warehouse.serviceOver(engine);
    await rowsOf(service, `select count(*) n ${ofHost}`);
    await rowsOf(service, `select max(v) n from m where host = 'h9'`);
    const [first, second] = requests.slice(-2).map(({ views }) => narrowTexts(views));
    expect(first).toEqual(second);
    expect(first?.join()).toContain('varve_settled');
  });

  test('see their own rows, one after the other and at once', async () => {
    const service = warehouse.serviceOver(engine, { runningMax: 4 });
    const ask = async (host: number): Promise<unknown> =>
      (await rowsOf(service, `select min(v) v, count(*) n from m where host = 'h${host}'`))[0];
    for (let host = 0; host < 5; host++) expect(await ask(host)).toEqual({ v: host + 0.5, n: 700 });
    const hosts = Array.from({ length: 20 }, (_, host) => host);
    expect(await Promise.all(hosts.map(ask))).toEqual(hosts.map((host) => ({ v: host + 0.5, n: 700 })));
  });

  test('are answered as well when the same view has other types', async () => {
    const first = warehouse.serviceOver(engine);
    const second = other.serviceOver(engine);
    const sql = `select min(v) v, typeof(min(v)) t ${ofHost}`;
    expect(await rowsOf(first, sql)).toEqual([{ v: 3.5, t: 'DOUBLE' }]);
    expect(await rowsOf(second, sql)).toEqual([{ v: 3, t: 'BIGINT' }]);
    expect(await rowsOf(first, sql)).toEqual([{ v: 3.5, t: 'DOUBLE' }]);
  });

  test('may need more memory than is set apart for them', async () => {
    const sql = `select count(distinct md5(a.v::varchar || b.v::varchar)) n from m a, m b
      where a.host = 'h3' and b.host = 'h3' and b.v < 14000`;
    expect(await rowsOf(warehouse.serviceOver(engine), sql)).toEqual([{ n: 700 * 350 }]);
  });

  test('have a new connection after one that failed', async () => {
    const service = warehouse.serviceOver(engine);
    const failing = `select sum(case when v > 20000 then error('enough') else 1 end) n ${ofHost}`;
    for (let times = 0; times < 3; times++) {
      const failure = await rowsOf(service, failing).catch((error: unknown) => error);
      expect(isVarveError(failure, 'invalid')).toBe(true);
      expect(await rowsOf(service, `select count(*) n ${ofHost}`)).toEqual([{ n: 700 }]);
    }
  });

  test('have their own now', async () => {
    const service = warehouse.serviceOver(engine);
    const sql = `select max(time) < now() is_past, epoch_ms(now()) ms ${ofHost}`;
    const [before] = await rowsOf(service, sql);
    await warehouse.clock.advance(1000);
    const [after] = await rowsOf(service, sql);
    expect(Number(after?.['ms']) - Number(before?.['ms'])).toBe(1000);
  });
});

describe('the lane for few rows is shut as the other is', () => {
  test.each([
    `select * from read_text('/etc/passwd')`,
    `select * from glob('/*')`,
    `copy (select 1) to '/tmp/varve-evil.csv'`,
    `set memory_limit = '20GB'`,
    `attach '/tmp/varve-evil.duckdb'`,
    `install httpfs`,
    `create table t as select 1`,
    `select * from varve_settled('settled-1')`,
    `select * from varve_hot('hot-0')`,
  ])('%s', async (sql) => {
    const request = await narrowRequest();
    expect(await run({ ...request, sql })).toBe('invalid');
    expect(await run({ ...request, format: 'csv' })).toBe('n\n700\n');
  });

  test('not even its own files are read by it', async () => {
    const request = await narrowRequest();
    const [file] = scansOf(request.views).flatMap(({ scan }) => scan.paths);
    // `corrupt`: the message names a settled file, as one that the engine could not read.
    expect(await run({ ...request, sql: `select count(*) n from '${file}'` })).toBe('corrupt');
  });

  test('a scan is seen by its own query alone', async () => {
    const request = await narrowRequest();
    const id = scansOf(request.views)[0]?.scan.id;
    const sql = `select count(*) n from varve_settled('${id}')`;
    expect(await run({ ...request, sql, format: 'csv' })).toBe('n\n700\n');
    expect(await run({ ...request, sql, views: [] })).toBe('invalid');
  });
});

function scansOf(views: readonly ViewSql[]) {
  return views.flat().flatMap((piece) => (typeof piece !== 'string' && 'scan' in piece ? [piece] : []));
}

function narrowTexts(views: readonly ViewSql[]): readonly string[] {
  return scansOf(views).map(({ narrow }) => narrow);
}
