import { afterAll, beforeAll, expect, test } from 'vitest';
import { SystemClock } from '../../../core/adapters/clock-system.js';
import { isVarveError } from '../../../core/std/errors.js';
import { silentLogger } from '../../../core/std/logger.js';
import { WorkerEngine } from '../../../query/engine/worker-engine.js';
import type { QueryService } from '../../../query/query-service.js';
import { asked, bodyOf, rowsOf, schemaOf, Warehouse } from './warehouse.js';

const warehouse = new Warehouse();
let engine: WorkerEngine;
let service: QueryService;
const day = BigInt(Date.UTC(2016, 0, 1)) * 1_000_000n;

beforeAll(async () => {
  engine = new WorkerEngine(warehouse.engineOptions(), new SystemClock(), silentLogger);
  await engine.start();
  service = warehouse.serviceOver(engine, { runningMax: 2 });
  warehouse.addTable(schemaOf('m', ['host'], { v: 'double' }));
  const point = (index: number) => ({
    timeNs: day + BigInt(index),
    tags: { host: 'a' },
    fields: { v: index },
  });
  await warehouse.seal('m', [0, 1000].map(point), { sequence: 1 });
  warehouse.write('m', warehouse.addGroup({ kind: 'late' }), [2000, 3000].map(point));
});
afterAll(async () => {
  await engine.close();
  await warehouse.close();
});

test('answers over both tiers from another thread', async () => {
  expect(await rowsOf(service, 'select v from m order by time')).toEqual(
    [0, 1000, 2000, 3000].map((v) => ({ v })),
  );
});

test('errors keep their kind', async () => {
  const failure = await rowsOf(service, 'select nothing from m').catch((error: unknown) => error);
  expect(isVarveError(failure, 'invalid')).toBe(true);
});

test('long answers stream, and one that is left frees its slot', async () => {
  const request = asked('select * from range(3000000)', { format: 'csv' });
  const bytes = await bodyOf(service, asked('select * from range(300000)', { format: 'csv' }));
  expect(bytes.filter((byte) => byte === 10).length).toBe(300_001);
  for (let times = 0; times < 5; times++) {
    const answer = await service.query(request);
    if (answer.kind !== 'answer') throw new Error('want an answer');
    const pieces = answer.body[Symbol.asyncIterator]();
    if (times > 0) await pieces.next();
    await pieces.return?.();
  }
  expect(await rowsOf(service, 'select 1 a')).toEqual([{ a: 1 }]);
});

test('queries at the same time do not mix', async () => {
  const counts = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      rowsOf(service, `select count(*) n from m where v > ${index * 300}`),
    ),
  );
  expect(counts.map(([row]) => row?.['n'])).toEqual(
    Array.from({ length: 12 }, (_, index) => [0, 1000, 2000, 3000].filter((v) => v > index * 300).length),
  );
});

test('a caller that goes away interrupts the engine', async () => {
  const abort = new AbortController();
  const endless = asked('select count(*) from range(100000000000) a where hash(a.range) % 7 = 1');
  const failure = service.query(endless, abort.signal).catch((error: unknown) => error);
  setImmediate(() => abort.abort());
  expect(isVarveError(await failure, 'cancelled')).toBe(true);
  expect(await rowsOf(service, 'select 1 a')).toEqual([{ a: 1 }]);
});

test('a closed engine says so', async () => {
  const other = new WorkerEngine(warehouse.engineOptions(), new SystemClock(), silentLogger);
  await other.close();
  await expect(other.parse('select 1')).rejects.toMatchObject({ kind: 'unavailable' });
});
