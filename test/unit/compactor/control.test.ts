import { MessageChannel } from 'node:worker_threads';
import Fastify, { type FastifyInstance } from 'fastify';
import { describe, expect, it } from 'vitest';
import { ChannelCompactor, serveCompactorChannel } from '../../../compactor/channel.js';
import type { Compactor } from '../../../compactor/compactor.js';
import type { CompactorControl } from '../../../compactor/compactor-control.js';
import { registerCompactorRoutes } from '../../../compactor/http/compactor-routes.js';
import { parseTimeNs } from '../../../compactor/http/parse-time.js';
import { formatTimeNs } from '../../../core/model/window.js';
import { errorTraits, isVarveError } from '../../../core/std/errors.js';
import type { PlainPoint } from '../../support/rows.js';
import { hourMs, startMs, World } from './world.js';

function points(count: number): PlainPoint[] {
  return Array.from({ length: count }, (_, i) => ({
    tags: { host: `h${i}` },
    timeNs: BigInt(startMs) * 1_000_000n + 1n,
    fields: { value: i },
  }));
}

async function makeWorld(): Promise<{ world: World; compactor: Compactor }> {
  const world = await World.make(1);
  await world.write('cpu', points(5));
  const compactor = world.compactor();
  await compactor.keepLease();
  return { world, compactor };
}

function serverOf(control: CompactorControl): FastifyInstance {
  const server = Fastify();
  registerCompactorRoutes(server, control);
  server.setErrorHandler((error, _request, reply) => {
    const status = isVarveError(error) ? errorTraits[error.kind].httpStatus : 500;
    return reply.status(status).send({ error: error instanceof Error ? error.message : 'unknown' });
  });
  return server;
}

describe('the compactor over a channel and HTTP', () => {
  it('cuts the window of now, tells the owner, and settles what is before the cut', async () => {
    const { world, compactor } = await makeWorld();
    const { port1, port2 } = new MessageChannel();
    const stop = serveCompactorChannel(port1, compactor);
    const server = serverOf(new ChannelCompactor(port2));
    try {
      await world.clock.advance(600_000);
      const answer = await server.inject({ method: 'POST', url: '/api/v1/truncate-shards', payload: {} });
      const cutAt = formatTimeNs(BigInt(world.clock.nowMs()) * 1_000_000n);
      expect(answer.json()).toEqual({
        databases: [
          {
            database: 'd',
            groups: [
              {
                group: expect.stringMatching(/^w\d+$/),
                start: '2026-01-10T00:00:00Z',
                end: cutAt,
                owners: ['n1'],
                untold: [],
              },
            ],
          },
        ],
      });
      await world.write('cpu', points(5));
      const more = points(2).map((point, i) => ({
        ...point,
        timeNs: point.timeNs + BigInt(3000 + i) * 10n ** 9n,
      }));
      await world.write('cpu', more);
      const [old, late, rest] = (await world.catalogs.groups.get(await world.databaseRecord())).value.groups;
      expect([old?.state, late?.kind, rest?.kind]).toEqual(['closing', 'late', 'window']);
      expect(rest?.startNs).toBe(old?.endNs);
      await compactor.sealTick();
      const shown = await server.inject({ url: '/api/v1/settled?db=d' });
      expect(shown.json()).toMatchObject({
        settled_through: cutAt,
        tables: [{ rows: 5 }],
        groups: [{ kind: 'late' }, { kind: 'window', start: cutAt, end: '2026-01-10T01:00:00Z' }],
      });
      const again = await server.inject({
        method: 'POST',
        url: '/api/v1/truncate-shards',
        payload: { db: 'nowhere' },
      });
      expect(again.statusCode).toBe(404);
    } finally {
      stop();
      port1.close();
      port2.close();
    }
  });

  it('names owners that could not be told of a cut', async () => {
    const { world } = await makeWorld();
    await world.clock.advance(1000);
    const compactor = world.compactor({
      peers: () => ({
        ...world.owner,
        closeGroup: () => Promise.reject(new Error('it is away')),
      }),
    });
    await compactor.keepLease();
    const [report] = await compactor.truncateShards('d');
    expect(report?.groups).toMatchObject([{ untold: [{ node: 'n1', reason: 'it is away' }] }]);
  });

  it('seals, shows, compacts and verifies', async () => {
    const { compactor } = await makeWorld();
    const { port1, port2 } = new MessageChannel();
    const stop = serveCompactorChannel(port1, compactor);
    const remote = new ChannelCompactor(port2);
    const server = serverOf(remote);
    try {
      const shown = await server.inject({ url: '/api/v1/settled?db=d' });
      expect(shown.json()).toMatchObject({
        database: 'd',
        compactor_active: true,
        tables: [{ table: 'cpu', snapshot: null, files: 0 }],
        groups: [
          {
            kind: 'window',
            state: 'open',
            start: '2026-01-10T00:00:00Z',
            deadline: '2026-01-10T01:05:00Z',
            owners: ['n1'],
          },
        ],
      });
      const sealed = await server.inject({
        method: 'POST',
        url: '/api/v1/seal',
        payload: { db: 'd', before: '2026-01-10T01:00:00Z' },
      });
      expect(sealed.json()).toMatchObject({
        database: 'd',
        sealed: [{ kind: 'window', tables: 1, files: 1, rows: 5 }],
        waiting: [],
      });
      const compacted = await server.inject({ method: 'POST', url: '/api/v1/compact', payload: { db: 'd' } });
      expect(compacted.json()).toEqual({
        database: 'd',
        tables: [{ table: 'cpu', merges: 0, files_before: 1, files_after: 1, conflicts: 0 }],
      });
      const verified = await server.inject({ url: '/api/v1/verify?db=d' });
      const report = verified.json();
      expect(report).toMatchObject({ ok: true, files: 1, differences: [] });
      expect(report.tables[0].computed_root).toBe(report.tables[0].history_root);
      const one = await server.inject({ url: '/api/v1/verify?db=d&table=cpu' });
      expect(one.json()).toEqual(report);
      const after = await server.inject({ url: '/api/v1/settled?db=d' });
      expect(after.json()).toMatchObject({ tables: [{ table: 'cpu', files: 1, rows: 5 }], groups: [] });
    } finally {
      remote.close('the test is over');
      stop();
      port1.close();
      await server.close();
    }
  });

  it('answers 400 and 404 with what was got and what was wanted', async () => {
    const { compactor } = await makeWorld();
    const server = serverOf(compactor);
    const ask = async (method: 'GET' | 'POST', url: string, payload?: object): Promise<[number, string]> => {
      const answer = await server.inject({ method, url, ...(payload === undefined ? {} : { payload }) });
      return [answer.statusCode, answer.json().error];
    };
    expect(await ask('GET', '/api/v1/settled')).toEqual([400, expect.stringContaining('"db": got nothing')]);
    expect(await ask('GET', '/api/v1/settled?db=no')).toEqual([404, expect.stringContaining('"no"')]);
    expect(await ask('POST', '/api/v1/seal', { db: 'd', before: 'soon' })).toEqual([
      400,
      expect.stringContaining('got time "soon"'),
    ]);
    expect(await ask('POST', '/api/v1/seal', [])).toEqual([400, expect.stringContaining('want {"db"')]);
    expect(await ask('POST', '/api/v1/compact', { db: 'd', table: 'no' })).toEqual([
      404,
      expect.stringContaining('"no"'),
    ]);
    expect(await ask('GET', '/api/v1/verify?db=d&table=no')).toEqual([404, expect.stringContaining('"no"')]);
    await server.close();
  });

  it('names every file that was damaged, lost or exchanged', async () => {
    const { world, compactor } = await makeWorld();
    await compactor.sealBefore('d', BigInt(startMs + hourMs) * 1_000_000n);
    const files: string[] = [];
    for await (const { key } of world.objects.list('')) if (key.endsWith('.parquet')) files.push(key);
    const [key = ''] = files;
    const good = await world.objects.get(key);
    const bad = good.slice();
    bad[100] = (bad[100] ?? 0) ^ 1;
    await world.objects.put(key, bad);
    const damaged = await compactor.verify('d', null);
    expect(damaged.differences.map((each) => [each.table, each.key])).toEqual([
      ['cpu', key],
      ['cpu', null],
    ]);
    await world.objects.deleteMany([key]);
    const lost = await compactor.verify('d', null);
    expect(lost.differences[0]?.problem).toContain('got no object');
    await world.objects.put(key, good);
    expect((await compactor.verify('d', null)).differences).toEqual([]);
  });
});

describe('reading a time', () => {
  it('takes RFC 3339 with up to nine digits and an offset', () => {
    expect(parseTimeNs('1970-01-01T00:00:00Z')).toBe(0n);
    expect(parseTimeNs('1970-01-01T00:00:01.5Z')).toBe(1_500_000_000n);
    expect(parseTimeNs('1969-12-31T23:59:59.000000001Z')).toBe(-999_999_999n);
    expect(parseTimeNs('1970-01-01T01:00:00.000000002+01:00')).toBe(2n);
  });

  it('refuses anything else', () => {
    for (const text of ['', 'now', '1970-01-01', '1970-13-01T00:00:00Z', '1970-01-01T00:00:00.1234567890Z']) {
      expect(() => parseTimeNs(text)).toThrow(/want RFC 3339/);
    }
  });
});
