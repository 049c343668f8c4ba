import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GroupId } from '../../../core/model/batch.js';
import { VarveError } from '../../../core/std/errors.js';
import { conflictsMax } from '../../../query/gather-conflicts.js';
import type { QueryService } from '../../../query/query-service.js';
import { asked, bodyOf, rowsOf, schemaOf, Warehouse } from './warehouse.js';

const second = 1_000_000_000n;
const startNs = BigInt(Date.UTC(2016, 0, 1)) * 1_000_000n;

let warehouse: Warehouse;
let service: QueryService;
let late: GroupId;

beforeEach(async () => {
  warehouse = new Warehouse();
  service = await warehouse.open();
  warehouse.addTable(schemaOf('m', ['host'], { v: 'double', note: 'string' }));
  late = warehouse.addGroup({ kind: 'late' });
});
afterEach(() => warehouse.close());

function write(at: bigint, fields: Record<string, number | string>, group = late): void {
  warehouse.write('m', group, [{ timeNs: startNs + at * second, tags: { host: "it's" }, fields }]);
}

const all = 'SELECT * FROM varve.conflicts';

test('lists what is in flux, latest group first, then what is remembered', async () => {
  expect(await rowsOf(service, all)).toEqual([]);
  write(1n, { v: 1 });
  write(1n, { v: 2, note: "a'b" });
  const window = warehouse.addGroup({ kind: 'window' });
  write(3n, { note: 'x\u0000 "\\$1' }, window);
  write(3n, { note: 'y' }, window);
  const expected = [
    {
      table_name: 'm',
      series: '{"host":"it\'s"}',
      time: '2016-01-01T00:00:03Z',
      field: 'note',
      values: ['y', 'x\u0000 "\\$1'],
      origins: ['n1', 'n1'],
      shard_group: window,
      shard: 0,
    },
    {
      ...{ table_name: 'm', series: '{"host":"it\'s"}', time: '2016-01-01T00:00:01Z', field: 'v' },
      ...{ values: ['2.0', '1.0'], origins: ['n1', 'n1'], shard_group: late, shard: 0 },
    },
  ];
  expect(await rowsOf(service, all)).toEqual(expected);

  // Sealed and still held, then dropped: told once all the time.
  const seal = (group: GroupId): void => {
    warehouse.groups = warehouse.groups.map((each) =>
      each.id === group ? { ...each, state: 'sealed' } : each,
    );
  };
  seal(window);
  expect(await rowsOf(service, all)).toEqual(expected);
  await warehouse.conflicts.keep(warehouse.database.id, window);
  warehouse.tier.drop(warehouse.database.id, window);
  expect(await rowsOf(service, all)).toEqual(expected.toReversed());
});

test('is a table like others in SQL', async () => {
  write(1n, { v: 1 });
  write(1n, { v: 2 });
  write(2n, { note: 'x' });
  write(2n, { note: 'y' });
  const sql = `WITH c AS (SELECT * FROM varve.conflicts) SELECT c.field, conflicts.values[1] AS stands, m.v
    FROM c JOIN VARVE.Conflicts USING (field, time) JOIN m ON m.time = c.time
    WHERE c.time < '2016-01-01T02:00:02+02:00' AND (c.series->>'host') = 'it''s'`;
  expect(await rowsOf(service, sql)).toEqual([{ field: 'v', stands: '2.0', v: 2 }]);
  expect(await rowsOf(service, 'SELECT values FROM varve.conflicts ORDER BY time LIMIT 1')).toEqual([
    { values: ['2.0', '1.0'] },
  ]);
});

test('information_schema knows it, SHOW TABLES does not', async () => {
  expect(
    await rowsOf(service, "SELECT * FROM information_schema.tables WHERE table_schema = 'varve'"),
  ).toEqual([
    { table_catalog: 'public', table_schema: 'varve', table_name: 'conflicts', table_type: 'VIEW' },
  ]);
  const columns = `SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'varve'
    ORDER BY ordinal_position`;
  const known = (await rowsOf(service, columns)).map((row) => [row['column_name'], row['data_type']]);
  write(1n, { v: 1 });
  write(1n, { v: 2 });
  const described = await rowsOf(service, 'DESCRIBE SELECT * FROM varve.conflicts');
  expect(described.map((row) => [row['column_name'], row['column_type']])).toEqual(known);
  expect((await rowsOf(service, 'SHOW TABLES')).map((row) => row['table_name'])).toEqual(['m']);
});

test.each([
  'SELECT * FROM conflicts',
  'SELECT * FROM varve.main.conflicts',
  'SELECT * FROM memory.varve.conflicts',
  'SELECT * FROM varve.other',
  'SELECT * FROM "varve.conflicts"',
  'SELECT * FROM varve."conflicts "',
])('%s is not found', async (sql) => {
  await expect(rowsOf(service, sql)).rejects.toMatchObject({ kind: 'not-found' });
});

test('a table of the same name in the database is another one', async () => {
  warehouse.addTable(schemaOf('conflicts', [], { v: 'double' }));
  warehouse.addTable(schemaOf('varve.conflicts', [], { v: 'double' }));
  warehouse.write('conflicts', late, [{ timeNs: startNs, tags: {}, fields: { v: 7 } }]);
  warehouse.write('varve.conflicts', late, [{ timeNs: startNs, tags: {}, fields: { v: 8 } }]);
  write(1n, { v: 1 });
  write(1n, { v: 2 });
  const sql = 'SELECT a.v AS a, b.v AS b, c.field FROM conflicts a, "varve.conflicts" b, varve.conflicts c';
  expect(await rowsOf(service, sql)).toEqual([{ a: 7, b: 8, field: 'v' }]);
});

test('a group that is dropped meanwhile is remembered by then', async () => {
  write(1n, { v: 1 });
  write(1n, { v: 2 });
  const { conflicts } = warehouse.conflicts;
  let isFirst = true;
  warehouse.conflicts.conflicts = async (request, signal) => {
    if (isFirst) {
      isFirst = false;
      await warehouse.conflicts.keep(warehouse.database.id, late);
      warehouse.tier.drop(warehouse.database.id, late);
      warehouse.groups = [];
    }
    return conflicts.call(warehouse.conflicts, request, signal);
  };
  expect(await rowsOf(service, 'SELECT field FROM varve.conflicts')).toEqual([{ field: 'v' }]);
});

test('never has a tag, and is refused where history alone is asked for', async () => {
  const answer = await service.query(asked(all));
  expect(answer.facts).toMatchObject({ etag: null, tiers: 'settled,hot', areConflictsCut: false });
  if (answer.kind === 'answer') for await (const _ of answer.body);
  await expect(service.query(asked(all, { tier: 'settled' }))).rejects.toMatchObject({
    kind: 'invalid',
    message: expect.stringContaining('varve.conflicts'),
  });
});

test('more than can be told is cut, and the answer says so', async () => {
  const points = (v: number) =>
    Array.from({ length: conflictsMax + 1 }, (_, at) => ({
      timeNs: startNs + BigInt(at),
      tags: { host: 'a' },
      fields: { v },
    }));
  warehouse.write('m', late, points(1));
  warehouse.write('m', late, points(2));
  const request = asked('SELECT count(*)::INT AS n FROM varve.conflicts');
  const answer = await service.query(request);
  expect(answer.facts.areConflictsCut).toBe(true);
  if (answer.kind === 'answer') for await (const _ of answer.body);
  expect(Buffer.from(await bodyOf(service, request)).toString()).toBe(`[{"n":${conflictsMax}}]`);
});

test('are not looked for while no more queries may run', async () => {
  const engine = await warehouse.open({ runningMax: 1, waitingMax: 0 });
  const running = await engine.query(asked('SELECT 1'));
  warehouse.conflicts.conflicts = () => Promise.reject(new Error('got a search; want none'));
  await expect(engine.query(asked(all))).rejects.toMatchObject({ kind: 'busy' });
  if (running.kind === 'answer') for await (const _ of running.body);
});

test('an owner that does not answer fails it, or is left out', async () => {
  warehouse.conflicts.conflicts = async ({ read }) => {
    const onIncomplete = read?.onIncomplete;
    if (onIncomplete === undefined) throw new VarveError('unavailable', 'node n1: no answer');
    onIncomplete({ group: late, shard: 0, reason: 'node n1: no answer' });
    return { conflicts: [], isCut: false };
  };
  await expect(service.query(asked(all))).rejects.toMatchObject({ kind: 'unavailable' });
  const answer = await service.query(asked(all, { allowPartial: true }));
  expect(answer.facts.incomplete).toMatchObject([{ table: 'varve.conflicts', group: late, shard: 0 }]);
  if (answer.kind === 'answer') for await (const _ of answer.body);
});
