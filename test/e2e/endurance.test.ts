import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Exchange, exchange } from '../support/http-exchange.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  sealAll,
  shortSpans,
  startTestServer,
  type TestServer,
} from '../support/server-process.js';

/** What happens at the edges of a server's life and room: stopping under load, a second server, full log and memory. */
const db = 'edges';
const quiet = ['--deadline', '2h', '--late-delay', '2h', '--release-grace', '100ms', '--log-level', 'warn'];
const running: TestServer[] = [];
const folders: string[] = [];

afterEach(async () => {
  for (const server of running.splice(0)) await server.kill('SIGKILL');
  for (const folder of folders.splice(0)) removeDataDir(folder);
});

async function start(flags: readonly string[], dataDir?: string): Promise<TestServer> {
  const folder = dataDir ?? makeDataDir();
  if (dataDir === undefined) folders.push(folder);
  const server = await startTestServer({ dataDir: folder, flags });
  running.push(server);
  return server;
}

/** Writes one point and then the next until the server is gone; answers the numbers that were acknowledged. */
async function writeUntilGone(server: TestServer, writer: number, onWritten: () => void): Promise<number[]> {
  const acknowledged: number[] = [];
  for (let number = 0; ; number++) {
    // Every third is late, so that windows and late groups close while the load runs.
    const time = number % 3 === 0 ? ` ${1_600_000_000_000_000_000n + BigInt(number)}` : '';
    const body = `load,writer=w${writer},n=${number} v=${number}i${time}`;
    let answer: Exchange;
    try {
      answer = await exchange(server, '/api/v3/write_lp', { query: { db, precision: 'nanosecond' }, body });
    } catch {
      return acknowledged;
    }
    if (answer.status !== 204) return acknowledged;
    acknowledged.push(number);
    onWritten();
  }
}

describe('stopping', () => {
  it('under load ends with 0 and loses nothing that was acknowledged', async () => {
    const server = await start(shortSpans);
    let written = 0;
    const count = (): void => {
      written += 1;
    };
    const writers = [0, 1, 2, 3].map((writer) => writeUntilGone(server, writer, count));
    await expect.poll(() => written, { timeout: 60_000 }).toBeGreaterThan(400);
    await server.kill('SIGTERM');
    expect(await server.ended).toEqual({ status: 0, signal: null });
    const acknowledged = await Promise.all(writers);

    const again = await start(shortSpans, server.dataDir);
    for (const [writer, numbers] of acknowledged.entries()) {
      const rows = await queryRows(
        again.client,
        db,
        `SELECT v FROM load WHERE writer = 'w${writer}' ORDER BY v`,
      );
      const stored = rows.map((row) => Number(row['v']));
      expect(stored.slice(0, numbers.length)).toEqual(numbers);
      // A write that was under way may have been made durable without an answer: one a writer, and once.
      expect(stored.length - numbers.length).toBeLessThanOrEqual(1);
    }
  });

  // The library alone would wait for such a connection for a minute: hence the limit.
  it('does not wait for a client that is connected and silent', { timeout: 40_000 }, async () => {
    const server = await start(quiet);
    const { hostname, port } = new URL(server.url);
    const socket = connect({ host: hostname, port: Number(port) });
    await once(socket, 'connect');
    socket.on('error', () => {}).resume();
    await server.kill('SIGTERM');
    expect(await server.ended).toEqual({ status: 0, signal: null });
    socket.destroy();
  });
});

describe('a second server', () => {
  it('on a data directory in use is refused and harms nothing; after a crash the directory is free', async () => {
    const server = await start(quiet);
    const write = (to: TestServer, line: string): Promise<Exchange> =>
      exchange(to, '/write', { query: { db }, body: line });
    expect((await write(server, 'cpu v=1i 1')).status).toBe(204);
    await expect(startTestServer({ dataDir: server.dataDir, flags: quiet })).rejects.toThrow(
      /status 1[\s\S]*in use by process \d+; want a directory of its own/,
    );
    expect((await write(server, 'cpu v=2i 2')).status).toBe(204);
    await server.kill('SIGKILL');
    const again = await start(quiet, server.dataDir);
    expect(await queryRows(again.client, db, 'SELECT v FROM cpu ORDER BY v')).toEqual([{ v: 1 }, { v: 2 }]);
  });
});

describe('a limit that is reached', () => {
  /** Lines of one request: 500 points of their own. */
  function lines(request: number): string {
    const text = 'x'.repeat(40);
    return Array.from(
      { length: 500 },
      (_, index) =>
        `full,host=h${index % 50} v=${index}i,s="${text}${request}-${index}" ${request * 1000 + index}`,
    ).join('\n');
  }

  const write = (server: TestServer, request: number): Promise<Exchange> =>
    exchange(server, '/write', { query: { db }, body: lines(request) });

  /** Writes until it is refused; answers the refusal and how many requests were taken. */
  async function fill(server: TestServer): Promise<{ readonly refusal: Exchange; readonly taken: number }> {
    for (let request = 0; request < 2000; request++) {
      const answer = await write(server, request);
      if (answer.status !== 204) return { refusal: answer, taken: request };
    }
    throw new Error('2000 requests were taken; want the limit to be reached before');
  }

  async function countOf(server: TestServer): Promise<unknown> {
    return (await queryRows(server.client, db, 'SELECT count(*) AS n FROM "full"'))[0]?.['n'];
  }

  it.each([
    [
      'of the log',
      ['--wal-segment-bytes', '64KiB', '--wal-bytes-max', '512KiB'],
      [507],
      /the WAL is full: .*; it empties as windows are settled/,
    ],
    ['of memory', ['--hot-bytes-max', '4MiB'], [503], /hot tier: .* are held .*want at most \d+/],
  ])(
    '%s refuses writes by name, keeps what was acknowledged, and passes once it is settled',
    async (_, flags, statuses, words) => {
      const server = await start([...quiet, ...flags]);
      const { refusal, taken } = await fill(server);
      expect(taken).toBeGreaterThan(0);
      expect(statuses).toContain(refusal.status);
      expect((refusal.body as { error: string }).error).toMatch(words);
      expect(Number(refusal.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await countOf(server)).toBe(taken * 500);
      expect((await exchange(server, '/health')).status).toBe(200);

      await server.kill('SIGKILL');
      const again = await start([...quiet, ...flags], server.dataDir);
      expect(await countOf(again)).toBe(taken * 500);
      await sealAll(again.client, db);
      await expect.poll(async () => (await write(again, taken)).status, { timeout: 30_000 }).toBe(204);
      expect(await countOf(again)).toBe((taken + 1) * 500);
    },
  );
});
