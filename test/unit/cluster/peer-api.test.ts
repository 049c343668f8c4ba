import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { HttpHotReader } from '../../../core/adapters/http-hot-reader.js';
import { HttpPeer } from '../../../core/adapters/http-peer.js';
import type { PeerClient } from '../../../core/adapters/peer-client.js';
import {
  peerNodeHeader,
  peerPath,
  peerVersion,
  peerVersionHeader,
} from '../../../core/codec/peer-messages.js';
import type { GroupId, NodeId } from '../../../core/model/batch.js';
import type { ConflictReader } from '../../../core/ports/conflict-reader.js';
import type { HotReader } from '../../../core/ports/hot-reader.js';
import type { Peer } from '../../../core/ports/peer.js';
import { VarveError } from '../../../core/std/errors.js';
import { clusterSecret, peerClient, startPeerServer } from '../../support/peer-server.js';

const node = 'n1' as NodeId;
const group = 'l000000000001' as GroupId;
const scanRequest = {
  database: 'db',
  group,
  shard: 0,
  table: 'cpu',
  columns: [],
  minTimeNs: null,
  maxTimeNs: null,
  tags: [],
};

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function client(...options: Parameters<typeof peerClient>): PeerClient {
  const made = peerClient(...options);
  cleanUps.push(() => made.close());
  return made;
}

async function serve(
  served: {
    readonly peer?: Partial<Peer>;
    readonly hotReader?: Partial<HotReader>;
    readonly conflicts?: Partial<ConflictReader>;
  },
  options: Parameters<typeof startPeerServer>[2] = {},
): Promise<Awaited<ReturnType<typeof startPeerServer>>> {
  const node1 = {
    peer: (served.peer ?? {}) as Peer,
    hotReader: (served.hotReader ?? {}) as HotReader,
    conflicts: (served.conflicts ?? {}) as ConflictReader,
  };
  const server = await startPeerServer(node, () => node1, options);
  cleanUps.push(() => server.stop());
  return server;
}

/** A server that answers whatever it is told to. */
async function serveRaw(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const released: Partial<Peer> = { releaseGroup: async () => ({ kind: 'released' }) };
const release = (peer: Peer): Promise<unknown> => peer.releaseGroup('db', group, []);

async function read(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const piece of pieces) bytes += piece.length;
  return bytes;
}

describe('peer API: who is let in', () => {
  const headers = {
    authorization: `Bearer ${clusterSecret}`,
    [peerVersionHeader]: peerVersion,
    [peerNodeHeader]: 'n1',
    'content-type': 'application/json',
  };
  const cases: readonly [name: string, change: Readonly<Record<string, string>>, status: number][] = [
    ['the secret, the version and the node', {}, 200],
    ['no secret', { authorization: '' }, 401],
    ['another secret', { authorization: `Bearer ${clusterSecret}x` }, 401],
    ['a prefix of the secret', { authorization: `Bearer ${clusterSecret.slice(0, -1)}` }, 401],
    ['another version', { [peerVersionHeader]: '1' }, 503],
    ['no version', { [peerVersionHeader]: '' }, 503],
    ['a call meant for another node', { [peerNodeHeader]: 'n2' }, 503],
  ];
  it.each(cases)('%s', async (_, change, status) => {
    const { url } = await serve({ peer: released });
    const response = await fetch(url + peerPath('release-group'), {
      method: 'POST',
      headers: { ...headers, ...change },
      body: JSON.stringify({ database: 'db', group, sealed: [] }),
    });
    expect([response.status, await response.json()]).toEqual([
      status,
      status === 200 ? { kind: 'released' } : expect.objectContaining({ kind: expect.any(String) }),
    ]);
  });

  it('every route is closed to who shows no secret', async () => {
    const { url } = await serve({ peer: released });
    const methods = [
      ...(['append', 'close-group', 'report-group', 'list-batches'] as const),
      ...(['release-group', 'describe', 'fetch-batches', 'scan'] as const),
      ...(['catch-up', 'holdings'] as const),
    ];
    for (const method of methods) {
      const { status } = await fetch(url + peerPath(method), { method: 'POST' });
      expect([method, status]).toEqual([method, 401]);
    }
  });

  it('takes every secret of the file, so that one can be changed without an outage', async () => {
    const { url } = await serve({ peer: released }, { secret: `${'new'.repeat(8)}\n${clusterSecret}` });
    expect(
      await release(
        new HttpPeer(
          node,
          client(() => url),
        ),
      ),
    ).toEqual({ kind: 'released' });
  });

  it('tells a caller with another secret what is wrong, as a node that does not answer', async () => {
    const { url } = await serve({ peer: released }, { secret: 'some other secret, long enough' });
    await expect(
      release(
        new HttpPeer(
          node,
          client(() => url),
        ),
      ),
    ).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(/node n1 at http.*--cluster-secret-file/),
    });
  });
});

describe('peer API: failures on the way', () => {
  it('a node that cannot be reached is unavailable, named with its address', async () => {
    const server = await serve({});
    await server.stop();
    await expect(
      release(
        new HttpPeer(
          node,
          client(() => server.url),
        ),
      ),
    ).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(
        /^node n1 at http:\/\/127\.0\.0\.1:\d+, release-group: cannot be reached: /,
      ),
    });
  });

  it('a node that was started again on its old address is reached over a new connection', async () => {
    const first = await serve({ peer: released });
    const peer = new HttpPeer(
      node,
      client(() => first.url),
    );
    await release(peer);
    await first.stop();
    await serve({ peer: released }, { port: Number(new URL(first.url).port) });
    expect(await release(peer)).toEqual({ kind: 'released' });
  });

  it('a node that has moved is found once its old address fails', async () => {
    const [first, second] = [await serve({ peer: released }), await serve({ peer: released })];
    await first.stop();
    const addresses = [first.url, second.url];
    const peer = new HttpPeer(
      node,
      client(() => addresses.shift() ?? second.url),
    );
    expect(await release(peer)).toEqual({ kind: 'released' });
  });

  it('something else that answers at the address is no answer, least of all "not found"', async () => {
    const url = await serveRaw((_, response) => response.writeHead(404).end('<html>no such page</html>'));
    await expect(
      new HttpHotReader(
        node,
        client(() => url),
      ).describe(scanRequest),
    ).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('got status 404'),
    });
  });

  it('a node that takes the call and says nothing is given up', async () => {
    const url = await serveRaw(() => {});
    const peer = new HttpPeer(
      node,
      client(() => url, { silenceMsMax: 50 }),
    );
    await expect(release(peer)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('no answer within 50 ms'),
    });
  });

  it('an answer that stops coming is given up', async () => {
    const url = await serveRaw((_, response) => void response.writeHead(200).write(Buffer.alloc(3)));
    const reader = new HttpHotReader(
      node,
      client(() => url, { silenceMsMax: 50 }),
    );
    await expect(read(reader.scan(scanRequest))).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('nothing came for 50 ms'),
    });
  });

  it('an answer whose connection breaks is unavailable, not short', async () => {
    const url = await serveRaw((_, response) => {
      response.writeHead(200).write(Buffer.from([0, 1, 0, 0, 0, 7]), () => response.destroy());
    });
    await expect(
      read(
        new HttpHotReader(
          node,
          client(() => url),
        ).scan(scanRequest),
      ),
    ).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });

  it('a caller that gives up while connecting or waiting gets its own reason', async () => {
    const silent = createTcpServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => silent.close());
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const abort = new AbortController();
    silent.once('connection', () => abort.abort(new Error('enough')));
    const call = new HttpPeer(
      node,
      client(() => url),
    ).reportGroup('db', group, abort.signal);
    await expect(call).rejects.toThrow('enough');
  });
});

describe('peer API: streams', () => {
  const failing = (after: number): Partial<HotReader> => ({
    scan: async function* () {
      for (let piece = 0; piece < after; piece++) yield new Uint8Array(100_000);
      throw new VarveError('exhausted', 'the spring has run dry', { retryAfterSeconds: 7 });
    },
  });

  it.each([0, 1, 20])('keep the kind of an error that comes after %i pieces', async (after) => {
    const { url } = await serve({ hotReader: failing(after) });
    const pieces: number[] = [];
    const call = (async () => {
      for await (const piece of new HttpHotReader(
        node,
        client(() => url),
      ).scan(scanRequest))
        pieces.push(piece.length);
    })();
    await expect(call).rejects.toMatchObject({
      kind: 'exhausted',
      message: 'the spring has run dry',
      retryAfterSeconds: 7,
    });
    expect(pieces).toEqual(Array.from({ length: after }, () => 100_000));
  });

  it('are made no faster than they are read, and end when the reader leaves', async () => {
    let made = 0;
    let ended = (): void => {};
    const end = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const { url } = await serve({
      hotReader: {
        scan: async function* () {
          try {
            for (;;) {
              made += 1;
              yield new Uint8Array(1 << 20);
              await new Promise((resolve) => setImmediate(resolve));
            }
          } finally {
            ended();
          }
        },
      },
    });
    for await (const _ of new HttpHotReader(
      node,
      client(() => url),
    ).scan(scanRequest)) {
      // Nothing is read now. Were nothing held back, pieces would be made for ever, and fast.
      let before = -1;
      for (let quiet = 0; quiet < 20; quiet = made === before ? quiet + 1 : 0) {
        before = made;
        await new Promise((resolve) => setTimeout(resolve, 5));
        expect(made).toBeLessThan(100);
      }
      break;
    }
    await end;
  });

  it('leave their connection for the next call when they are read to the end', async () => {
    const ports = new Set<number | undefined>();
    const { url } = await serve({
      hotReader: {
        scan: async function* () {
          yield Uint8Array.of(1, 2, 3);
        },
      },
    });
    const proxy = await serveRaw(async (request, response) => {
      ports.add(request.socket.remotePort);
      const answer = await fetch(url + request.url, {
        method: 'POST',
        headers: Object.fromEntries(
          Object.entries(request.headers).filter(
            ([name]) => name !== 'content-length' && name !== 'connection',
          ),
        ) as Record<string, string>,
        body: JSON.stringify({ ...scanRequest }),
      });
      response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()));
    });
    const reader = new HttpHotReader(
      node,
      client(() => proxy),
    );
    for (let round = 0; round < 5; round++) expect(await read(reader.scan(scanRequest))).toBe(3);
    expect(ports.size).toBe(1);
  });

  it('tells how far the clocks of the two sides are apart, whatever time the node takes to answer', async () => {
    const here = new SimulatedClock({ startMs: 1_700_000_000_000 });
    const there = new SimulatedClock({ startMs: 1_700_000_007_000 });
    const served = await serve(
      {
        peer: {
          append: async () => {
            await Promise.all([here.advance(4000), there.advance(4000)]);
            return { kind: 'applied' };
          },
        },
      },
      { clock: there },
    );
    const samples: { offsetMs: number; uncertaintyMs: number }[] = [];
    const clocks = { clock: here, note: (_: NodeId, sample: (typeof samples)[0]) => samples.push(sample) };
    const caller = client(() => served.url, { clocks });
    await new HttpPeer(node, caller).append(new Uint8Array(3));
    await caller.call(node, 'ping', {});
    expect(samples).toEqual([
      { offsetMs: 7000, uncertaintyMs: 1 },
      { offsetMs: 7000, uncertaintyMs: 1 },
    ]);
  });

  it('gives no sign of life before the node has recovered', async () => {
    const recovering = await startPeerServer(node, () => {
      throw new VarveError('unavailable', 'node n1 is recovering');
    });
    cleanUps.push(() => recovering.stop());
    await expect(client(() => recovering.url).call(node, 'ping', {})).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('recovering'),
    });
  });
});
