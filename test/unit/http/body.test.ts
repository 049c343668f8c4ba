import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from './test-server.js';

const url = '/write?db=d';
const lines = (count: number): string =>
  Array.from({ length: count }, (_, i) => `cpu,host=h${i % 50} a=${i},b=${i / 4} ${i}\n`).join('');

describe('request bodies', () => {
  const gzip = async (test: TestServer, body: Buffer, encoding = 'gzip') =>
    test.server.inject({ method: 'POST', url, body, headers: { 'content-encoding': encoding } });

  it.each(['gzip', 'x-gzip', 'GZIP'])('unpacks %s', async (encoding) => {
    const test = await startTestServer();
    expect((await gzip(test, gzipSync(lines(5000)), encoding)).statusCode).toBe(204);
    expect(test.sink.rowCount).toBe(5000);
  });

  it('unpacks gzip of several members', async () => {
    const test = await startTestServer();
    await gzip(test, Buffer.concat([gzipSync('m f=1 1\nm f='), gzipSync('2 2\n')]));
    expect(test.sink.rowCount).toBe(2);
  });

  it.each(['identity', ''])('takes a plain body of encoding %j', async (encoding) => {
    const test = await startTestServer();
    expect((await gzip(test, Buffer.from('m f=1'), encoding)).statusCode).toBe(204);
  });

  it.each(['deflate', 'br', 'zstd', 'gzip, gzip'])('refuses %s', async (encoding) => {
    const test = await startTestServer();
    const reply = await gzip(test, Buffer.from('m f=1'), encoding);
    expect([reply.statusCode, reply.json()]).toEqual([
      400,
      { error: `got Content-Encoding "${encoding}"; want gzip, or none` },
    ]);
    expect(test.sink.commits).toEqual([]);
  });

  it('writes nothing of gzip cut off at any byte', async () => {
    const test = await startTestServer();
    const body = gzipSync(lines(20));
    for (let end = 0; end < body.length; end++) {
      const reply = await gzip(test, body.subarray(0, end));
      expect(reply.statusCode, `cut at ${end}`).toBe(400);
      expect(reply.json().error).toMatch(/^got a body that is not whole gzip/);
    }
    expect(test.sink.commits).toEqual([]);
  });

  it('writes nothing of gzip that is damaged or followed by something else', async () => {
    const test = await startTestServer();
    const body = gzipSync(lines(200));
    const damaged = Buffer.from(body);
    damaged[body.length >> 1] = (damaged[body.length >> 1] ?? 0) ^ 0xff;
    for (const bad of [damaged, Buffer.concat([body, Buffer.from('m f=1 1\n')]), Buffer.from(lines(3))]) {
      expect((await gzip(test, bad)).statusCode).toBe(400);
    }
    expect(test.sink.commits).toEqual([]);
  });

  it('stops a gzip bomb at the limit', async () => {
    const test = await startTestServer({ limits: { bodyBytesMax: 1 << 20 } });
    const bomb = gzipSync(Buffer.alloc(64 << 20, '\n'));
    const reply = await gzip(test, bomb);
    expect([reply.statusCode, reply.json()]).toEqual([
      413,
      { error: 'got a body that unpacks to more; want at most 1 MiB, send it in smaller parts' },
    ]);
    expect(test.sink.commits).toEqual([]);
  });

  it('refuses compressed and plain bodies past their limits', async () => {
    const test = await startTestServer({ limits: { compressedBytesMax: 100, bodyBytesMax: 1000 } });
    const text = lines(100);
    expect((await gzip(test, gzipSync(text))).statusCode).toBe(413);
    expect((await gzip(test, Buffer.from(text), 'identity')).statusCode).toBe(413);
    expect((await gzip(test, Buffer.from(text.slice(0, 20)), 'identity')).statusCode).not.toBe(413);
  });
});

describe('request bodies over a socket', () => {
  const open: { socket?: Socket; test?: TestServer } = {};

  afterEach(async () => {
    open.socket?.destroy();
    await open.test?.server.close();
  });

  async function start(limits = {}): Promise<{ socket: Socket; test: TestServer; text: () => string }> {
    const test = await startTestServer({ limits });
    const address = new URL(await test.server.listen({ host: '127.0.0.1', port: 0 }));
    const socket = connect(Number(address.port), '127.0.0.1');
    Object.assign(open, { socket, test });
    await once(socket, 'connect');
    let text = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    return { socket, test, text: () => text };
  }

  const head = (headers: string): string => `POST ${url} HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n`;
  const chunk = (text: string | Buffer): Buffer =>
    Buffer.concat([Buffer.from(`${text.length.toString(16)}\r\n`), Buffer.from(text), Buffer.from('\r\n')]);

  it('takes a body in chunks of any size', async () => {
    const { socket, test, text } = await start();
    socket.write(head('transfer-encoding: chunked'));
    for (const piece of ['m f=', '1 1', '\nm f=2', ' 2\n']) socket.write(chunk(piece));
    socket.write('0\r\n\r\n');
    await test.untilLogged;
    while (text() === '') await once(socket, 'data');
    expect(text()).toMatch(/^HTTP\/1.1 204 /);
    expect(test.sink.rowCount).toBe(2);
  });

  it.each([
    ['plain body of known length', 'content-length: 100', Buffer.from('m f=1 1\nm f=2 2\n')],
    ['plain body in chunks', 'transfer-encoding: chunked', chunk('m f=1 1\nm f=2 2\n')],
    [
      'gzip of known length',
      'content-encoding: gzip\r\ncontent-length: 10000',
      gzipSync('m f=1 1\n'.repeat(9)),
    ],
    [
      'gzip in chunks',
      'content-encoding: gzip\r\ntransfer-encoding: chunked',
      chunk(gzipSync('m f=1 1\n'.repeat(9))),
    ],
  ])('writes nothing when the client goes away: %s', async (_, headers, body) => {
    const { socket, test } = await start();
    socket.write(head(headers));
    socket.write(body);
    await test.sink.untilBegun;
    socket.destroy();
    await test.untilLogged;
    expect(test.logged.join()).toContain('client went away');
    await open.test?.server.close();
    expect(test.sink.commits).toEqual([]);
  });

  it('refuses an announced length before any byte of the body, and the client hears it', async () => {
    const { socket, test, text } = await start({ bodyBytesMax: 1000 });
    socket.write(head('content-length: 5000'));
    await test.untilLogged;
    while (text() === '') await once(socket, 'data');
    expect(text()).toMatch(/^HTTP\/1.1 413 /);
  });

  it.each(['', 'content-encoding: gzip\r\n'])(
    'answers 413 while the client still sends, and the connection lives on %j',
    async (encoding) => {
      const { socket, test, text } = await start({ bodyBytesMax: 100_000, compressedBytesMax: 100_000 });
      const plain = Buffer.from(lines(20_000));
      const body = encoding === '' ? plain : gzipSync(plain, { level: 0 });
      socket.write(head(`${encoding}transfer-encoding: chunked`));
      for (let at = 0; at < body.length; at += 10_000) socket.write(chunk(body.subarray(at, at + 10_000)));
      socket.write('0\r\n\r\n');
      await test.untilLogged;
      while (!text().includes('HTTP/1.1 413')) await once(socket, 'data');
      expect(test.sink.commits).toEqual([]);
      socket.write('GET /ping HTTP/1.1\r\nhost: x\r\n\r\n');
      while (!text().includes('HTTP/1.1 204')) await once(socket, 'data');
    },
  );
});
