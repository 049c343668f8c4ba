import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Exchange, exchange } from '../support/http-exchange.js';
import {
  makeDataDir,
  removeDataDir,
  startTestServer,
  type TestServer,
  writeLines,
} from '../support/server-process.js';

const db = 'limits';
/** Runs for hours where nothing stops it. */
const endless = `SELECT count(*) AS n FROM range(1000000) a, range(1000000) b, range(1000) c
  WHERE (a.range + b.range + c.range) % 7 = 3`;

const folders: string[] = [];
async function start(flags: readonly string[]): Promise<TestServer> {
  const dataDir = makeDataDir();
  folders.push(dataDir);
  const server = await startTestServer({ dataDir, flags: [...flags, '--log-level', 'info'] });
  await writeLines(server.client, db, 'cpu v=1i 1600000000000000000');
  return server;
}

/** One query at a time and little memory; the other server gives up soon. */
let narrow: TestServer;
let hasty: TestServer;
beforeAll(async () => {
  narrow = await start(['--query-concurrency', '1', '--query-memory', '64MiB', '--query-spill', '1MiB']);
  hasty = await start(['--query-timeout', '300ms']);
});
afterAll(async () => {
  await Promise.all([narrow.kill(), hasty.kill()]);
  for (const folder of folders) removeDataDir(folder);
});

function ask(server: TestServer, q: string, signal?: AbortSignal): Promise<Exchange> {
  const query = { db, q };
  return exchange(server, '/api/v3/query_sql', signal === undefined ? { query } : { query, signal });
}

describe('a query', () => {
  it('that takes too long answers 504 and leaves the engine to others', async () => {
    for (let round = 0; round < 3; round++) {
      const answer = await ask(hasty, endless);
      expect(answer.status).toBe(504);
      expect(answer.body).toEqual({
        error: 'query: not done after 300 ms, which is the limit; it was at its stage "execute"',
      });
    }
    // With the first query still running there would be no end to this.
    await expect.poll(async () => (await ask(hasty, 'SELECT v FROM cpu')).text).toBe('[{"v":1}]');
  });

  it('that takes too much memory answers 507 and leaves the engine to others', async () => {
    const answer = await ask(
      narrow,
      'SELECT count(*) FROM (SELECT md5(range::VARCHAR) AS m, count(*) FROM range(4000000) GROUP BY 1)',
    );
    expect(answer.status).toBe(507);
    expect((answer.body as { error: string }).error).toContain('memory limit');
    expect((await ask(narrow, 'SELECT v FROM cpu')).text).toBe('[{"v":1}]');
  });

  it('beyond those that may run and wait answers 429, and a client that goes away frees its place', async () => {
    const leaving = new AbortController();
    const held = ask(narrow, endless, leaving.signal).catch((error: unknown) => error);
    const waiting = await askUntilBusy(narrow);
    leaving.abort();
    expect(await held).toMatchObject({ name: 'AbortError' });
    const answers = await Promise.all(waiting);
    const answered = answers.filter((answer) => answer.status === 200);
    expect(answered.map((answer) => answer.text)).toEqual(answered.map(() => '[{"v":1}]'));
    expect(answered.length).toBeGreaterThan(0);
    const busy = answers.filter((answer) => answer.status === 429);
    expect(answered.length + busy.length).toBe(answers.length);
    for (const answer of busy) {
      expect(answer.headers.get('retry-after')).toBe('1');
      expect((answer.body as { error: string }).error).toMatch(
        /1 queries run and \d+ wait; want fewer at once/,
      );
    }
    expect(narrow.log()).toContain('client went away');
  });
});

/** Asks small questions, many at once, until one finds the only place held and the queue full. */
async function askUntilBusy(server: TestServer): Promise<readonly Promise<Exchange>[]> {
  for (;;) {
    const asked = Array.from({ length: 100 }, () => ask(server, 'SELECT v FROM cpu'));
    const first = await Promise.race(asked);
    if (first.status === 429) return asked;
    await Promise.all(asked);
  }
}
