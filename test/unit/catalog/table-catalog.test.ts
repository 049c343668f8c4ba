import { describe, expect, it } from 'vitest';
import { defaultDatabaseSettings } from '../../../core/catalog/database-settings.js';
import { extendSchema } from '../../../core/catalog/extend-table.js';
import type { ExtendResult, TableCommit } from '../../../core/catalog/table-catalog.js';
import type { GroupId } from '../../../core/model/batch.js';
import type { SchemaAddition, TableSchema } from '../../../core/model/schema.js';
import { VarveError } from '../../../core/std/errors.js';
import { type CatalogFixture, openCatalog } from './fixture.js';

const limits = { columnsMax: 5, tablesMax: 3 };
const group = (id: string): GroupId => id as GroupId;

const addition = (some: Partial<SchemaAddition>): SchemaAddition => ({
  table: 'cpu',
  tags: [],
  fields: [],
  hasTimeNs: false,
  ...some,
});

const cpu: TableSchema = {
  table: 'cpu',
  columns: [
    { name: 'host', kind: 'tag', type: 'string', fieldId: 3 },
    { name: 'usage', kind: 'field', type: 'double', fieldId: 4 },
  ],
  hasTimeNs: false,
};

describe('extending a schema', () => {
  it('gives tags and fields field ids in one sequence from 3 on', () => {
    const wanted = addition({ tags: ['host'], fields: [{ name: 'usage', type: 'double' }] });
    expect(extendSchema(undefined, wanted, limits)).toEqual({ kind: 'extended', schema: cpu });
  });

  it('appends what is new and keeps what is there', () => {
    const wanted = addition({ tags: ['dc', 'host'], fields: [{ name: 'n', type: 'ubigint' }] });
    expect(extendSchema(cpu, wanted, limits)).toEqual({
      kind: 'extended',
      schema: {
        ...cpu,
        columns: [
          ...cpu.columns,
          { name: 'dc', kind: 'tag', type: 'string', fieldId: 5 },
          { name: 'n', kind: 'field', type: 'ubigint', fieldId: 6 },
        ],
      },
    });
  });

  it('sees when there is nothing to do', () => {
    const wanted = addition({ tags: ['host'], fields: [{ name: 'usage', type: 'double' }] });
    expect(extendSchema(cpu, wanted, limits)).toEqual({ kind: 'unchanged' });
    expect(extendSchema(cpu, addition({}), { columnsMax: 0 })).toEqual({ kind: 'unchanged' });
  });

  it('turns nanoseconds on and never off', () => {
    const exact = extendSchema(cpu, addition({ hasTimeNs: true }), limits);
    expect(exact).toEqual({ kind: 'extended', schema: { ...cpu, hasTimeNs: true } });
    expect(extendSchema({ ...cpu, hasTimeNs: true }, addition({}), limits)).toEqual({ kind: 'unchanged' });
  });

  it.each<[string, Partial<SchemaAddition>, string | null, string]>([
    [
      'another type',
      { fields: [{ name: 'usage', type: 'bigint' }] },
      'usage',
      'got a bigint field; the table has it as a double field',
    ],
    [
      'a field for a tag',
      { fields: [{ name: 'host', type: 'string' }] },
      'host',
      'got a string field; the table has it as a tag',
    ],
    ['a tag for a field', { tags: ['usage'] }, 'usage', 'got a tag; the table has it as a double field'],
    ['another case', { tags: ['Host'] }, 'Host', 'differs only by case from the column "host"'],
    ['a reserved name', { tags: ['time'] }, 'time', 'the name "time" is reserved'],
    [
      'a reserved name in another case',
      { fields: [{ name: 'Time_NS', type: 'double' }] },
      'Time_NS',
      'the name "time_ns" is reserved',
    ],
    [
      'too many columns',
      { tags: ['a', 'b', 'c', 'd'] },
      'd',
      'the table has 5 columns; at most 5 are allowed',
    ],
    [
      'a tag and a field of one name',
      { tags: ['x'], fields: [{ name: 'x', type: 'double' }] },
      'x',
      'got a double field; the table has it as a tag',
    ],
    [
      'two new names that differ by case',
      { tags: ['x', 'X'] },
      'X',
      'differs only by case from the column "x"',
    ],
    ['an empty name', { tags: [''] }, '', 'got a name of 0 bytes; want 1 to 256'],
    [
      'a name too long',
      { tags: ['é'.repeat(129)] },
      'é'.repeat(129),
      'got a name of 258 bytes; want 1 to 256',
    ],
    ['a control character', { tags: ['a\nb'] }, 'a\nb', 'got a control character'],
  ])('refuses %s and names the column', (_, some, column, reason) => {
    const result = extendSchema(cpu, addition(some), limits);
    expect(result).toMatchObject({ kind: 'refused', table: 'cpu', column });
    expect(result.kind === 'refused' && result.reason).toContain(reason);
  });

  it('refuses a table without a name', () => {
    expect(extendSchema(undefined, addition({ table: '' }), limits)).toMatchObject({
      kind: 'refused',
      column: null,
    });
  });
});

const withDatabase = async (fixture: CatalogFixture): Promise<CatalogFixture> => {
  await fixture.databases.create('db', defaultDatabaseSettings);
  return fixture;
};

describe('the catalog of tables', () => {
  it('makes and extends tables, each addition for itself', async () => {
    const { tables } = await withDatabase(openCatalog());
    const results = await tables.extend(
      'db',
      [
        addition({ tags: ['host'] }),
        addition({ table: 'mem', tags: ['time'] }),
        addition({ table: 'a/b %', tags: ['host'] }),
      ],
      limits,
    );
    expect(results.map((result) => result.kind)).toEqual(['extended', 'refused', 'extended']);
    expect((await tables.list('db')).map(({ value }) => value.table)).toEqual(['a/b %', 'cpu']);
    const record = await tables.get('db', 'cpu');
    expect(results[0]).toEqual({ kind: 'extended', record: record?.value, version: record?.version });
    expect(record?.value).toMatchObject({
      database: 'db',
      table: 'cpu',
      metadataKey: null,
      snapshotId: null,
      sealedGroups: [],
      fencingEpoch: 0,
    });
    expect(record?.value.tableUuid).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect((await tables.extend('db', [addition({ tags: ['host'] })], limits))[0]?.kind).toBe('unchanged');
    expect(await tables.get('db', 'none')).toBeUndefined();
    expect(await tables.get('db', '')).toBeUndefined();
  });

  it('lets concurrent writers extend one table to the union of what they need', async () => {
    const { tables } = await withDatabase(openCatalog());
    const names = ['a', 'b', 'c', 'd', 'e'];
    const extended = names.map((name) => tables.extend('db', [addition({ tags: [name] })], limits));
    await Promise.all(extended);
    const columns = (await tables.get('db', 'cpu'))?.value.schema.columns ?? [];
    expect(columns.map((column) => column.name).sort()).toEqual(names);
    expect(columns.map((column) => column.fieldId)).toEqual([3, 4, 5, 6, 7]);
  });

  it('gives one of two concurrent types, and refuses the other', async () => {
    const { tables } = await withDatabase(openCatalog());
    const ask = (type: 'double' | 'bigint'): Promise<ExtendResult[]> =>
      tables.extend('db', [addition({ fields: [{ name: 'v', type }] })], limits);
    const results = (await Promise.all([ask('double'), ask('bigint')])).flat();
    expect(results.map((result) => result.kind).sort()).toEqual(['extended', 'refused']);
  });

  it('refuses new tables at the limit, known ones not', async () => {
    const fixture = await withDatabase(openCatalog());
    const { tables } = fixture;
    for (const table of ['a', 'b', 'c'])
      await tables.extend('db', [addition({ table, tags: ['x'] })], limits);
    const refused = await tables.extend('db', [addition({ table: 'd', tags: ['x'] })], limits);
    expect(refused).toEqual([
      {
        kind: 'refused',
        table: 'd',
        column: null,
        reason: 'the database has 3 tables, as many as are allowed',
      },
    ]);
    const { TableCatalog } = await import('../../../core/catalog/table-catalog.js');
    const elsewhere = new TableCatalog(fixture, fixture.databases);
    expect((await elsewhere.extend('db', [addition({ table: 'd', tags: ['x'] })], limits))[0]?.kind).toBe(
      'refused',
    );
    expect((await elsewhere.extend('db', [addition({ table: 'c', tags: ['y'] })], limits))[0]?.kind).toBe(
      'extended',
    );
  });

  it('respects the limit of tables among those asked for at once, refused ones taking no place', async () => {
    const { tables } = await withDatabase(openCatalog());
    const wanted = ['a', 'bad', 'b', 'c', 'd'].map((table) =>
      addition({ table, tags: [table === 'bad' ? 'time' : 'x'] }),
    );
    const results = await tables.extend('db', wanted, limits);
    const kinds = results.map((result) => result.kind);
    expect(kinds.slice(0, 3)).toEqual(['extended', 'refused', 'extended']);
    expect((await tables.list('db')).length).toBeLessThanOrEqual(3);
    await tables.extend('db', [wanted[3] ?? addition({})], limits);
    expect((await tables.list('db')).map(({ value }) => value.table)).toEqual(['a', 'b', 'c']);
  });

  it('refuses columns that would not fit an item', async () => {
    const { tables } = await withDatabase(openCatalog());
    const tags = Array.from({ length: 2000 }, (_, index) => `${index}`.padStart(200, 'x'));
    const [result] = await tables.extend('db', [addition({ tags })], { columnsMax: 10_000, tablesMax: 10 });
    expect(result).toMatchObject({ kind: 'refused', column: null });
    expect(await tables.get('db', 'cpu')).toBeUndefined();
  });

  it('refuses to work on a database that is not there', async () => {
    const { tables } = openCatalog();
    await expect(tables.list('none')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(tables.extend('none', [], limits)).rejects.toThrow('database none does not exist');
  });

  it('takes a database itself in place of its name', async () => {
    const { tables, databases } = openCatalog();
    const { database } = await databases.create('db', defaultDatabaseSettings);
    await tables.extend(database, [addition({ tags: ['x'] })], limits);
    await databases.delete('db');
    await databases.create('db', defaultDatabaseSettings);
    expect((await tables.get(database, 'cpu'))?.value.database).toBe('db');
    expect(await tables.get('db', 'cpu')).toBeUndefined();
  });
});

describe('committing a table', () => {
  const change = (name: string): TableCommit => ({
    metadataKey: `m/${name}`,
    snapshotId: '17',
    historyRoot: 'ab',
    sealedGroups: [group('w000000000001'), group('l000000000002')],
    outline: {
      columns: 1,
      hasTimeNs: false,
      sortOrders: [{ id: 1, fieldIds: [3, 1] }],
      manifests: [{ name: `${name}-m0`, specId: 0, minTimeNs: -1n, maxTimeNs: 7n }],
    },
  });
  const withTable = async (fixture: CatalogFixture): Promise<CatalogFixture> => {
    await withDatabase(fixture);
    await fixture.tables.extend('db', [addition({ tags: ['host'] })], limits);
    return fixture;
  };

  it('replaces what the record says of the history, and nothing else', async () => {
    const { tables } = await withTable(openCatalog());
    const before = await tables.get('db', 'cpu');
    const result = await tables.commit('db', 'cpu', before?.version ?? 0, change('1'), 4);
    const after = await tables.get('db', 'cpu');
    expect(result).toEqual({ kind: 'committed', record: after });
    expect(after?.value).toEqual({ ...before?.value, ...change('1'), fencingEpoch: 4 });
  });

  it('tells a lost compare-and-set, a schema that grew included', async () => {
    const { tables } = await withTable(openCatalog());
    await tables.extend('db', [addition({ tags: ['dc'] })], limits);
    expect(await tables.commit('db', 'cpu', 1, change('1'), 1)).toEqual({ kind: 'conflict' });
    expect(await tables.commit('db', 'none', 1, change('1'), 1)).toEqual({ kind: 'conflict' });
    expect((await tables.get('db', 'cpu'))?.value.metadataKey).toBeNull();
  });

  it('refuses a lower fencing epoch, whatever version it expects', async () => {
    const { tables } = await withTable(openCatalog());
    await tables.commit('db', 'cpu', 1, change('1'), 5);
    const before = await tables.get('db', 'cpu');
    expect(await tables.commit('db', 'cpu', 2, change('2'), 4)).toEqual({ kind: 'fenced', by: 5 });
    expect(await tables.commit('db', 'cpu', 9, change('2'), 4)).toEqual({ kind: 'fenced', by: 5 });
    expect(await tables.get('db', 'cpu')).toEqual(before);
  });

  it('recognises its own commit after a lost answer', async () => {
    let losing = false;
    const error = new VarveError('unavailable', 'injected');
    const { tables } = await withTable(
      openCatalog({
        fail: (call) => (losing && call.operation === 'put' ? { kind: 'answer-lost', error } : undefined),
      }),
    );
    losing = true;
    expect(await tables.commit('db', 'cpu', 1, change('1'), 1)).toMatchObject({ kind: 'committed' });
    losing = false;
    expect(await tables.commit('db', 'cpu', 1, change('1'), 1)).toMatchObject({ kind: 'committed' });
    expect((await tables.get('db', 'cpu'))?.version).toBe(2);
  });

  it('passes on an error when the commit has not been made', async () => {
    let failing = false;
    const error = new VarveError('unavailable', 'injected');
    const { tables } = await withTable(
      openCatalog({
        fail: (call) => (failing && call.operation === 'put' ? { kind: 'refused', error } : undefined),
      }),
    );
    failing = true;
    await expect(tables.commit('db', 'cpu', 1, change('1'), 1)).rejects.toBe(error);
  });

  it('forgets groups that have left the list', async () => {
    const { tables } = await withTable(openCatalog());
    await tables.commit('db', 'cpu', 1, change('1'), 1);
    await tables.forgetGroups('db', 'cpu', [group('w000000000001'), group('w000000000009')]);
    expect((await tables.get('db', 'cpu'))?.value.sealedGroups).toEqual(['l000000000002']);
    const { version } = (await tables.get('db', 'cpu')) ?? {};
    await tables.forgetGroups('db', 'cpu', [group('w000000000001')]);
    await tables.forgetGroups('db', 'none', [group('w000000000001')]);
    expect((await tables.get('db', 'cpu'))?.version).toBe(version);
  });
});
