import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { canTellSocketOwner, socketOwner } from '../support/socket-owner.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { Ledger, type SentWrite } from './ledger.js';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A server that sends back what comes, behind a proxy whose connections all come from `source`. */
async function proxied(source: () => string | undefined): Promise<TcpProxy> {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => void server.close());
  const proxy = await TcpProxy.start((server.address() as AddressInfo).port, source);
  closers.push(() => proxy.stop());
  return proxy;
}

async function client(proxy: TcpProxy): Promise<Socket> {
  const socket = connect(proxy.port, '127.0.0.1').on('error', () => {});
  closers.push(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

async function echo(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [piece] = (await once(socket, 'data')) as [Buffer];
  return piece.toString();
}

describe('the proxy of the tests with faults', () => {
  it('hands on both ways, holds back what comes over a stalled link, and lets it go when healed', async () => {
    const proxy = await proxied(() => 'a');
    const socket = await client(proxy);
    expect(await echo(socket, 'one')).toBe('one');
    proxy.set('a', { isStalled: true });
    let came = false;
    const answer = echo(socket, 'two').finally(() => {
      came = true;
    });
    const other = await proxied(() => 'b');
    const sound = await client(other);
    // Another connection makes its round trips meanwhile, and this one makes none.
    for (let round = 0; round < 20; round++) await echo(sound, `${round}`);
    expect(came).toBe(false);
    proxy.heal();
    expect(await answer).toBe('two');
  });

  it('breaks the connections of a source that is cut and refuses new ones, and no others', async () => {
    let source = 'a';
    const proxy = await proxied(() => source);
    const first = await client(proxy);
    await echo(first, 'x');
    source = 'b';
    const second = await client(proxy);
    await echo(second, 'x');
    proxy.set('b', { isCut: true });
    await once(second, 'close');
    expect(await echo(first, 'still there')).toBe('still there');
    await once(connect(proxy.port, '127.0.0.1'), 'close');
    proxy.heal();
    expect(await echo(await client(proxy), 'again')).toBe('again');
  });

  it('names a source later that it could not name when it connected', async () => {
    let source: string | undefined;
    const proxy = await proxied(() => source);
    const socket = await client(proxy);
    await echo(socket, 'x');
    source = 'a';
    proxy.set('a', { isCut: true });
    await once(socket, 'close');
  });

  it.skipIf(!canTellSocketOwner)('is told whose connection it is', async () => {
    const server = createServer((socket) => socket.on('error', () => {}));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    closers.push(() => void socket.destroy());
    await once(socket, 'connect');
    expect(socketOwner(socket.localPort ?? 0, port, [1, process.pid])).toBe(process.pid);
    expect(socketOwner(1, port, [process.pid])).toBeUndefined();
  });
});

describe('the ledger', () => {
  const sent = (ledger: Ledger, sequence: number, end: SentWrite['end']): SentWrite => {
    const write = ledger.add({ writer: 0, sequence, rows: 5, level: 'one', age: 'now', sentMs: 0 });
    write.end = end;
    return write;
  };
  const found = (sequence: number, rows: number, distinct = rows) => ({
    writer: 0,
    sequence,
    rows,
    distinct,
  });

  it('finds what was acknowledged and is missing, in part or whole', () => {
    const ledger = new Ledger();
    sent(ledger, 1, 'acknowledged');
    sent(ledger, 2, 'acknowledged');
    sent(ledger, 3, 'acknowledged');
    expect(ledger.compare([found(1, 5), found(2, 4)])).toMatchObject([
      expect.stringContaining('write 0/2 of 5 points'),
      expect.stringContaining('got 0 points'),
    ]);
  });

  it('finds points that come twice, too many, or were never sent', () => {
    const ledger = new Ledger();
    sent(ledger, 1, 'acknowledged');
    sent(ledger, 2, 'unknown');
    expect(ledger.compare([found(1, 6, 5), found(2, 7), found(9, 1)])).toMatchObject([
      expect.stringContaining('1 points twice'),
      expect.stringContaining('got 7 points'),
      'write 0/9 was never sent',
    ]);
  });

  it('cuts what was written into slices of time that each hold their writes whole', () => {
    const ledger = new Ledger();
    const add = (sequence: number, sentMs: number, age: SentWrite['age']) =>
      ledger.add({ writer: 0, sequence, rows: 5, level: 'one', age, sentMs });
    add(1, 90_001_999, 'now');
    add(2, 90_002_000, 'now');
    add(3, 90_003_000, 'old');
    add(4, 90_001_000, 'late');
    expect(ledger.slices(1000)).toEqual([
      { writer: 0, fromMs: 1000, toMs: 2000 },
      { writer: 0, fromMs: 90_001_000, toMs: 90_002_000 },
      { writer: 0, fromMs: 90_002_000, toMs: 90_003_000 },
    ]);
  });

  it('lets be there, or not, what was refused or not answered', () => {
    const ledger = new Ledger();
    sent(ledger, 1, 'refused');
    sent(ledger, 2, 'unknown');
    sent(ledger, 3, undefined);
    expect(ledger.compare([found(1, 5), found(3, 2)])).toEqual([]);
  });
});
