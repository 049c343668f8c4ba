import { get } from 'node:http';
import { beforeEach, describe, expect, it } from 'vitest';
import { readTokenFile } from '../../../core/http/authentication.js';
import { parseLongJson } from '../../../core/iceberg/json-long.js';
import { VarveError } from '../../../core/std/errors.js';
import { CatalogWorld, type Method, refusal } from './iceberg-catalog-world.js';

let world: CatalogWorld;
beforeEach(() => {
  world = new CatalogWorld();
});

describe('Iceberg catalog: configuration', () => {
  it('tells clients which endpoints there are', async () => {
    const { status, json } = await world.ask('config?warehouse=anything');
    expect(status).toBe(200);
    expect(json).toEqual({
      defaults: {},
      overrides: {},
      endpoints: [
        'GET /v1/{prefix}/namespaces',
        'GET /v1/{prefix}/namespaces/{namespace}',
        'HEAD /v1/{prefix}/namespaces/{namespace}',
        'GET /v1/{prefix}/namespaces/{namespace}/tables',
        'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}',
        'HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}',
      ],
    });
  });

  it('hands out the defaults it was given', async () => {
    const other = new CatalogWorld({ clientDefaults: { 's3.region': 'eu-central-1' } });
    expect((await other.ask('config')).json).toMatchObject({ defaults: { 's3.region': 'eu-central-1' } });
  });
});

describe('Iceberg catalog: namespaces', () => {
  it('lists databases, in order of their names', async () => {
    expect((await world.ask('namespaces')).json).toEqual({ namespaces: [], 'next-page-token': null });
    for (const name of ['zoo', 'telegraf/autogen', 'Ähre', 'a.b']) await world.makeDatabase(name);
    expect((await world.ask('namespaces?parent=')).json).toEqual({
      namespaces: [['a.b'], ['telegraf/autogen'], ['zoo'], ['Ähre']],
      'next-page-token': null,
    });
  });

  it('has nothing below a database, and no parent that is none', async () => {
    await world.makeDatabase('metrics');
    expect((await world.ask('namespaces?parent=metrics')).json).toEqual({
      namespaces: [],
      'next-page-token': null,
    });
    for (const parent of ['nothing', 'metrics%1Fbelow']) {
      const { status, json } = await world.ask(`namespaces?parent=${parent}`);
      expect(status).toBe(404);
      expect(json).toEqual(refusal(404, 'NoSuchNamespaceException', expect.stringContaining('no database')));
    }
  });

  it('describes a database with its watermark', async () => {
    await world.makeDatabase('metrics');
    const database = await world.catalogs.databases.get('metrics');
    const { settledThroughNs } = (await world.catalogs.groups.get(database!)).value;
    const { json } = await world.ask('namespaces/metrics');
    expect(json).toEqual({
      namespace: ['metrics'],
      properties: {
        'varve.database-id': database?.id,
        'varve.settled-through': new Date(Number(settledThroughNs / 1_000_000n))
          .toISOString()
          .replace('.000Z', 'Z'),
      },
    });
  });

  it.each<[name: string, segment: string]>([
    ['telegraf/autogen', 'telegraf%2Fautogen'],
    ['two words', 'two%20words'],
    ['two words', 'two+words'],
    ['a+b', 'a%2Bb'],
    ['50%', '50%25'],
    ['%2F', '%252F'],
    ['Ähre 麦', encodeURIComponent('Ähre 麦')],
    ['ä'.repeat(128), encodeURIComponent('ä'.repeat(128))],
  ])('finds database %j', async (name, segment) => {
    await world.makeDatabase(name);
    await world.settle(name, name);
    expect((await world.ask(`namespaces/${segment}`)).json).toMatchObject({ namespace: [name] });
    expect((await world.ask(`namespaces/${segment}`, { method: 'HEAD' })).status).toBe(204);
    expect((await world.ask(`namespaces/${segment}/tables`)).json).toEqual({
      identifiers: [{ namespace: [name], name }],
      'next-page-token': null,
    });
    const table = `namespaces/${segment}/tables/${segment}`;
    expect((await world.ask(table, { method: 'HEAD' })).status).toBe(204);
    expect((await world.ask(table)).status).toBe(200);
  });

  it.each(['nothing', 'metrics%1Fbelow', '%1F', '', 'x'.repeat(300), '%00'])(
    'knows no namespace %j',
    async (segment) => {
      await world.makeDatabase('metrics');
      for (const path of [
        `namespaces/${segment}`,
        `namespaces/${segment}/tables`,
        `namespaces/${segment}/tables/t`,
      ]) {
        const { status, json } = await world.ask(path);
        expect({ path, status }).toEqual({ path, status: 404 });
        expect(json).toEqual(refusal(404, 'NoSuchNamespaceException', expect.any(String)));
        expect((await world.ask(path, { method: 'HEAD' })).text).toBe('');
      }
      expect((await world.ask(`namespaces/${segment}`, { method: 'HEAD' })).status).toBe(404);
    },
  );

  it('forgets a dropped database at once', async () => {
    await world.makeDatabase('metrics');
    await world.settle('metrics', 'cpu');
    await world.catalogs.databases.delete('metrics');
    expect((await world.ask('namespaces/metrics', { method: 'HEAD' })).status).toBe(404);
    expect((await world.ask('namespaces/metrics/tables/cpu')).json).toEqual(
      refusal(404, 'NoSuchNamespaceException', expect.any(String)),
    );
  });
});

describe('Iceberg catalog: pages', () => {
  async function walk(path: string, read: (json: unknown) => readonly unknown[]): Promise<unknown[][]> {
    const pages: unknown[][] = [];
    let token: string | null = '';
    while (token !== null) {
      const { status, json } = await world.ask(`${path}pageToken=${encodeURIComponent(token)}`);
      expect(status).toBe(200);
      pages.push([...read(json)]);
      token = (json as { 'next-page-token': string | null })['next-page-token'];
    }
    return pages;
  }

  it('gives every name once, in pages of the size asked for', async () => {
    for (const name of ['e', 'b', 'ä', 'a', 'c/d']) await world.makeDatabase(name);
    const namespaces = (json: unknown) => (json as { namespaces: string[][] }).namespaces;
    expect(await walk('namespaces?pageSize=2&', namespaces)).toEqual([
      [['a'], ['b']],
      [['c/d'], ['e']],
      [['ä']],
    ]);
    expect(await walk('namespaces?pageSize=5&', namespaces)).toHaveLength(1);
    expect(await walk('namespaces?', namespaces)).toHaveLength(1);

    for (const table of ['t1', 't3', 't2']) await world.settle('a', table);
    const names = (json: unknown) =>
      (json as { identifiers: { name: string }[] }).identifiers.map(({ name }) => name);
    expect(await walk('namespaces/a/tables?pageSize=1&', names)).toEqual([['t1'], ['t2'], ['t3']]);
  });

  it('goes on after the last name though tables were made meanwhile', async () => {
    await world.makeDatabase('a');
    for (const table of ['t2', 't4', 't6']) await world.settle('a', table);
    const first = (await world.ask('namespaces/a/tables?pageToken=&pageSize=2')).json as Record<
      string,
      string
    >;
    for (const table of ['t1', 't5']) await world.settle('a', table);
    const { json } = await world.ask(`namespaces/a/tables?pageSize=9&pageToken=${first['next-page-token']}`);
    expect((json as { identifiers: { name: string }[] }).identifiers.map(({ name }) => name)).toEqual([
      't5',
      't6',
    ]);
  });

  it('gives the whole list to a client that sends no page token', async () => {
    for (const name of ['a', 'b', 'c']) await world.makeDatabase(name);
    expect((await world.ask('namespaces?pageSize=1')).json).toEqual({
      namespaces: [['a'], ['b'], ['c']],
      'next-page-token': null,
    });
  });

  it.each([
    'pageSize=0',
    'pageSize=-1',
    'pageSize=1.5',
    'pageSize=ten',
    'pageSize=',
    'pageSize=1&pageSize=2',
    'pageToken=nonsense',
    'pageToken=1.',
    'pageToken=1.Zm9v%20',
    'pageToken=1.a&pageToken=1.b',
    'parent=a&parent=b',
  ])('refuses %s', async (query) => {
    const { status, json } = await world.ask(`namespaces?${query}`);
    expect(status).toBe(400);
    expect(json).toEqual(refusal(400, 'BadRequestException', expect.stringContaining('want')));
  });
});

describe('Iceberg catalog: tables', () => {
  beforeEach(() => world.makeDatabase('metrics'));

  it('answers with the metadata file as it is, snapshot ids to the last digit', async () => {
    const snapshotId = await world.settle('metrics', 'cpu');
    const record = (await world.catalogs.tables.get('metrics', 'cpu'))?.value;
    const file = Buffer.from(await world.objects.get(record!.metadataKey!)).toString();
    const { status, text, json, headers } = await world.ask('namespaces/metrics/tables/cpu');
    expect(status).toBe(200);
    expect(headers['content-type']).toMatch(/^application\/json/);
    const location = world.objects.uriOf(record!.metadataKey!);
    expect(text).toBe(`{"metadata-location":"${location}","metadata":${file},"config":{}}`);
    expect(text).toContain(`"current-snapshot-id":${snapshotId}`);
    expect(json).toMatchObject({ metadata: { 'format-version': 2, 'table-uuid': record?.tableUuid } });
  });

  it('leaves out snapshots that no reference names when asked to', async () => {
    for (let times = 0; times < 3; times++) await world.settle('metrics', 'cpu');
    const metadataOf = async (query: string) => {
      const { text } = await world.ask(`namespaces/metrics/tables/cpu${query}`);
      return (parseLongJson(text) as { metadata: Record<string, unknown> }).metadata;
    };
    const all = await metadataOf('?snapshots=all');
    expect(all['snapshots']).toHaveLength(3);
    expect(await metadataOf('')).toEqual(all);
    const refs = await metadataOf('?snapshots=refs');
    expect(refs).toEqual({ ...all, snapshots: [(all['snapshots'] as unknown[])[2]] });
    expect((await world.ask('namespaces/metrics/tables/cpu?snapshots=some')).json).toEqual(
      refusal(400, 'BadRequestException', expect.stringContaining('all or refs')),
    );
  });

  it('answers 304 and reads no object while the table is as the client has it', async () => {
    await world.settle('metrics', 'cpu');
    const path = 'namespaces/metrics/tables/cpu';
    const first = await world.ask(path);
    const etag = String(first.headers['etag']);
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    expect((await world.ask(`${path}?snapshots=refs`)).headers['etag']).not.toBe(etag);

    world.reads.length = 0;
    for (const header of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await world.ask(path, { headers: { 'if-none-match': header } });
      expect([again.status, again.text, again.headers['etag']]).toEqual([304, '', etag]);
    }
    expect(world.reads).toEqual([]);
    expect((await world.ask(`${path}?snapshots=refs`, { headers: { 'if-none-match': etag } })).status).toBe(
      200,
    );

    await world.settle('metrics', 'cpu');
    const changed = await world.ask(path, { headers: { 'if-none-match': etag } });
    expect(changed.status).toBe(200);
    expect(changed.headers['etag']).not.toBe(etag);
  });

  it('does not show a table of which nothing has settled', async () => {
    await world.makeTable('metrics', 'new');
    expect((await world.ask('namespaces/metrics/tables')).json).toMatchObject({ identifiers: [] });
    expect((await world.ask('namespaces/metrics/tables/new', { method: 'HEAD' })).status).toBe(404);
    expect((await world.ask('namespaces/metrics/tables/new')).json).toEqual(
      refusal(404, 'NoSuchTableException', expect.stringContaining('nothing of it has settled yet')),
    );
    await world.settle('metrics', 'new');
    expect((await world.ask('namespaces/metrics/tables')).json).toMatchObject({
      identifiers: [{ name: 'new' }],
    });
    expect((await world.ask('namespaces/metrics/tables/new', { method: 'HEAD' })).status).toBe(204);
  });

  it.each(['nothing', '%00', '', 'x'.repeat(300)])('knows no table %j', async (segment) => {
    const { status, json } = await world.ask(`namespaces/metrics/tables/${segment}`);
    expect(status).toBe(404);
    expect(json).toEqual(refusal(404, 'NoSuchTableException', expect.any(String)));
    expect((await world.ask(`namespaces/metrics/tables/${segment}`, { method: 'HEAD' })).status).toBe(404);
  });

  it('takes a metadata file that is gone for damage, not for a table that is not there', async () => {
    await world.settle('metrics', 'cpu');
    const record = (await world.catalogs.tables.get('metrics', 'cpu'))?.value;
    await world.objects.deleteMany([record!.metadataKey!]);
    const { status, json } = await world.ask('namespaces/metrics/tables/cpu');
    expect(status).toBe(500);
    expect(json).toEqual(refusal(500, 'InternalServerError', expect.stringContaining(record!.metadataKey!)));
  });

  it('says that a store is out of reach in the shape of the catalog', async () => {
    await world.settle('metrics', 'cpu');
    world.objects.get = () =>
      Promise.reject(new VarveError('unavailable', 'bucket b is out of reach', { retryAfterSeconds: 3 }));
    const { status, json, headers } = await world.ask('namespaces/metrics/tables/cpu');
    expect([status, headers['retry-after']]).toEqual([503, '3']);
    expect(json).toEqual(refusal(503, 'ServiceUnavailableException', 'bucket b is out of reach'));
  });

  it('keeps the words of a defect from callers', async () => {
    await world.settle('metrics', 'cpu');
    world.objects.get = () => Promise.reject(new Error('secret detail'));
    const { status, text, json } = await world.ask('namespaces/metrics/tables/cpu');
    expect(status).toBe(500);
    expect(json).toEqual(refusal(500, 'InternalServerError', expect.stringContaining('internal error')));
    expect(text).not.toContain('secret');
    expect(world.defects).toHaveLength(1);
  });

  it('stops reading for a client that went away, and takes that for no defect', async () => {
    await world.settle('metrics', 'cpu');
    const url = await world.server.listen({ host: '127.0.0.1', port: 0 });
    const request = get(`${url}/iceberg/v1/namespaces/metrics/tables/cpu`);
    request.on('error', () => undefined);
    const reason = await new Promise<unknown>((resolve) => {
      world.objects.get = (_key, signal) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => {
            resolve(signal.reason);
            reject(signal.reason);
          });
          request.destroy();
        });
    });
    await world.server.close();
    expect(reason).toMatchObject({ kind: 'cancelled' });
    expect(world.defects).toEqual([]);
  });
});

describe('Iceberg catalog: what it does not do', () => {
  it.each<[Method, string]>([
    ['POST', 'namespaces'],
    ['DELETE', 'namespaces/metrics'],
    ['POST', 'namespaces/metrics/properties'],
    ['POST', 'namespaces/metrics/tables'],
    ['POST', 'namespaces/metrics/register'],
    ['POST', 'namespaces/metrics/tables/cpu'],
    ['DELETE', 'namespaces/metrics/tables/cpu'],
    ['POST', 'namespaces/metrics/tables/cpu/metrics'],
    ['POST', 'namespaces/metrics/tables/cpu/plan'],
    ['GET', 'namespaces/metrics/tables/cpu/credentials'],
    ['POST', 'tables/rename'],
    ['POST', 'transactions/commit'],
    ['GET', 'namespaces/metrics/views'],
    ['POST', 'oauth/tokens'],
    ['PUT', 'config'],
    ['PATCH', 'namespaces'],
    ['GET', 'nothing'],
    ['GET', '../v2/config'],
  ])('refuses %s %s and changes nothing', async (method, path) => {
    await world.makeDatabase('metrics');
    await world.settle('metrics', 'cpu');
    const before = await world.catalogs.tables.get('metrics', 'cpu');
    const hasBody = method === 'POST' || method === 'PUT' || method === 'PATCH';
    for (const contentType of ['application/json', 'application/x-www-form-urlencoded', 'text/odd']) {
      const { status, json } = await world.ask(path, {
        method,
        ...(hasBody ? { headers: { 'content-type': contentType }, body: '{"not json' } : {}),
      });
      expect(status).toBe(406);
      expect(json).toEqual(
        refusal(406, 'UnsupportedOperationException', expect.stringContaining('read-only')),
      );
    }
    expect(await world.catalogs.tables.get('metrics', 'cpu')).toEqual(before);
  });

  it('has no views', async () => {
    await world.makeDatabase('metrics');
    const { status, json } = await world.ask('namespaces/metrics/views/cpu');
    expect(status).toBe(404);
    expect(json).toEqual(refusal(404, 'NoSuchViewException', expect.stringContaining('no view')));
    expect((await world.ask('namespaces/metrics/views/cpu', { method: 'HEAD' })).status).toBe(404);
  });

  it('says what is wrong with a path that cannot be decoded', async () => {
    const { status } = await world.ask('namespaces/%FF');
    expect(status).toBe(400);
  });

  it('wants the same token as every other part of the server', async () => {
    const guarded = new CatalogWorld({ authentication: readTokenFile('a-token-of-one\n') });
    for (const headers of [{}, { authorization: 'Bearer another-token' }]) {
      const { status, json, headers: answered } = await guarded.ask('config', { headers });
      expect(status).toBe(401);
      expect(answered['www-authenticate']).toContain('Bearer');
      expect(json).toEqual(refusal(401, 'NotAuthorizedException', expect.any(String)));
    }
    const { status } = await guarded.ask('config', { headers: { authorization: 'Bearer a-token-of-one' } });
    expect(status).toBe(200);
  });
});
