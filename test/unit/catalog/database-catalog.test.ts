import { describe, expect, it } from 'vitest';
import { checkDatabase, defaultDatabaseSettings } from '../../../core/catalog/database-settings.js';
import { VarveError } from '../../../core/std/errors.js';
import { assign, minuteMs, openCatalog, settingsWith, startMs } from './fixture.js';

const dayMs = 86_400_000;

describe('settings of a database', () => {
  it.each(['metrics', 'name/rp', 'a b', 'ü\u{1f30d}', '%', 'é'.repeat(128)])('takes the name %j', (name) => {
    expect(() => checkDatabase(name, defaultDatabaseSettings)).not.toThrow();
  });

  it.each(['', 'a\nb', 'a\u0000', 'a\u007f', `${'é'.repeat(128)}x`, 'a\ud800'])(
    'refuses the name %j',
    (name) => {
      expect(() => checkDatabase(name, defaultDatabaseSettings)).toThrowError(
        expect.objectContaining({ kind: 'invalid' }) as Error,
      );
    },
  );

  it.each([1000, 10_000, minuteMs, 60 * minuteMs, dayMs, 7 * dayMs])(
    'takes a window of %d ms',
    (windowMs) => {
      expect(() => checkDatabase('db', settingsWith({ windowMs, graceMs: 0 }))).not.toThrow();
    },
  );

  it.each([
    [{ windowMs: 999 }, 'got window 999 ms; want 1s to 366d'],
    [{ windowMs: 7 * minuteMs }, 'got window 7m; want a span that divides a day, or whole days'],
    [{ windowMs: 36 * 60 * minuteMs }, 'got window 1d12h; want a span that divides a day, or whole days'],
    [{ windowMs: 1000.5 }, 'got window 1000.5 ms'],
    [{ windowMs: Number.NaN }, 'got window NaN ms'],
    [{ graceMs: -1 }, 'got deadline -1 ms; want 0s to'],
    [{ windowMs: 1000, graceMs: 1_000_001 }, 'got deadline 1000001 ms; want 0s to 16m40s'],
    [{ lateDelayMs: -1 }, 'got late delay -1 ms'],
    [{ lateBytesMax: 0 }, 'got late bytes 0; want a whole number from 1'],
    [{ retentionMs: 1000 }, 'got retention 1000 ms; want 10m to'],
    [{ historyMs: -1 }, 'got history -1 ms'],
    [{ replication: 0 }, 'got replication 0; want a whole number from 1 to 7'],
    [{ shards: 1025 }, 'got shards 1025; want a whole number from 1 to 1024'],
    [{ consistency: 'most' as 'all' }, 'got consistency most; want any, one, quorum, all'],
  ])('refuses %j', (some, message) => {
    expect(() => checkDatabase('db', settingsWith(some))).toThrow(message);
  });
});

describe('the catalog of databases', () => {
  it('makes a database once', async () => {
    const { databases } = openCatalog();
    const made = await databases.create('a/b', settingsWith({ shards: 4, retentionMs: dayMs }));
    expect(made).toMatchObject({ kind: 'created', database: { name: 'a/b', shards: 4, createdMs: startMs } });
    expect(await databases.create('a/b', defaultDatabaseSettings)).toEqual({
      kind: 'exists',
      database: made.database,
    });
    expect(await databases.get('a/b')).toEqual(made.database);
    expect(await databases.getById(made.database.id)).toEqual(made.database);
    expect(await databases.ensure('a/b', defaultDatabaseSettings)).toEqual(made.database);
  });

  it('makes what is not there yet on demand, and one only when many ask at once', async () => {
    const { databases } = openCatalog();
    const asked = Array.from({ length: 10 }, () => databases.ensure('db', defaultDatabaseSettings));
    const ids = new Set((await Promise.all(asked)).map((database) => database.id));
    expect(ids.size).toBe(1);
    expect(await databases.list()).toHaveLength(1);
  });

  it('lists all of them, whatever their names', async () => {
    const { databases } = openCatalog();
    for (const name of ['b', 'a/b', 'a', 'a%2Fb', 'a%'])
      await databases.create(name, defaultDatabaseSettings);
    const names = (await databases.list()).map((database) => database.name);
    expect(names.sort()).toEqual(['a', 'a%', 'a%2Fb', 'a/b', 'b']);
  });

  it('refuses invalid names and settings before it writes', async () => {
    const { databases } = openCatalog();
    await expect(databases.create('', defaultDatabaseSettings)).rejects.toMatchObject({ kind: 'invalid' });
    await expect(databases.create('a', settingsWith({ shards: 0 }))).rejects.toMatchObject({
      kind: 'invalid',
    });
    await expect(databases.get('a\nb')).rejects.toMatchObject({ kind: 'invalid' });
    expect(await databases.list()).toEqual([]);
  });

  it('drops a database at once and keeps what is needed to clear away its remains', async () => {
    const { databases, tables, groups, store } = openCatalog();
    const { database } = await databases.create('db', defaultDatabaseSettings);
    const limits = { columnsMax: 10, tablesMax: 10 };
    const addition = { table: 'cpu', tags: ['host'], fields: [], hasTimeNs: false };
    await tables.extend('db', [addition], limits);
    await groups.openSpillGroup(database, 'late', { nowMs: startMs, assign });

    expect(await databases.delete('db')).toBe(true);
    expect(await databases.delete('db')).toBe(false);
    expect(await databases.get('db')).toBeUndefined();
    await expect(tables.get('db', 'cpu')).rejects.toMatchObject({ kind: 'not-found' });
    expect(await databases.listDropped()).toEqual([{ database, droppedMs: startMs }]);

    const again = await databases.create('db', defaultDatabaseSettings);
    expect(again.kind).toBe('created');
    expect(again.database.id).not.toBe(database.id);
    expect(await tables.get('db', 'cpu')).toBeUndefined();
    expect((await groups.get(again.database)).value.groups).toEqual([]);
    await tables.extend('db', [addition], limits);

    await databases.forgetDropped(database.id);
    await databases.forgetDropped(database.id);
    expect(await databases.listDropped()).toEqual([]);
    expect((await tables.list('db')).map(({ value }) => value.table)).toEqual(['cpu']);
    expect((await store.range('groups/')).map((item) => item.key)).toEqual([]);
  });

  it('takes a drop that did not come to its end for not made', async () => {
    let failing = false;
    const { databases } = openCatalog({
      fail: (call) =>
        failing && call.operation === 'delete'
          ? { kind: 'refused', error: new VarveError('unavailable', 'injected') }
          : undefined,
    });
    const { database } = await databases.create('db', defaultDatabaseSettings);
    failing = true;
    await expect(databases.delete('db')).rejects.toMatchObject({ kind: 'unavailable' });
    failing = false;
    expect(await databases.get('db')).toEqual(database);
    expect(await databases.listDropped()).toEqual([]);
    await expect(databases.forgetDropped(database.id)).rejects.toMatchObject({ kind: 'conflict' });
    expect(await databases.delete('db')).toBe(true);
    expect(await databases.listDropped()).toHaveLength(1);
  });

  it('finds the id of a name again when another process has made the database anew', async () => {
    const here = openCatalog();
    const { database } = await here.databases.create('db', defaultDatabaseSettings);
    const { DatabaseCatalog } = await import('../../../core/catalog/database-catalog.js');
    const there = new DatabaseCatalog(here);
    await there.delete('db');
    const again = await there.create('db', defaultDatabaseSettings);
    expect(await here.databases.idOf('db')).toBe(database.id);
    await here.clock.advance(5000);
    expect(await here.databases.idOf('db')).toBe(again.database.id);
  });
});
