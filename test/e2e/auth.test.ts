import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange } from '../support/http-exchange.js';
import { makeDataDir, removeDataDir, startTestServer, type TestServer } from '../support/server-process.js';

const token = 'first-token-of-some-length';
const second = 'second-token-of-some-length';
const wrong = 'wrong-token-of-some-length';
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

let folder = '';
let tokenFile = '';
let server: TestServer;
beforeAll(async () => {
  folder = makeDataDir();
  tokenFile = join(folder, 'tokens');
  writeFileSync(tokenFile, `# operators\n${token}\n\n${second}\n`);
  server = await startTestServer({
    dataDir: join(folder, 'data'),
    flags: ['--host', '0.0.0.0', '--token-file', tokenFile, '--log-level', 'trace', '--log-format', 'json'],
  });
});
afterAll(async () => {
  await server.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** Loopback only: the server listens everywhere, the tests call it here. */
const local = (): { url: string } => ({ url: server.url.replace('0.0.0.0', '127.0.0.1') });

interface Route {
  readonly path: string;
  readonly method?: string;
  readonly body?: string | object;
}

/** Every route there is, and one that there is not. */
const routes: readonly Route[] = [
  { path: '/write?db=d', body: 'cpu v=1' },
  { path: '/api/v2/write?bucket=d', body: 'cpu v=1' },
  { path: '/api/v3/write_lp?db=d', body: 'cpu v=1' },
  { path: '/query?q=CREATE+DATABASE+d', method: 'POST' },
  { path: '/api/v3/query_sql?db=d&q=SELECT+1' },
  { path: '/api/v3/query_sql', body: { db: 'd', q: 'SELECT 1' } },
  { path: '/api/v3/configure/database' },
  { path: '/api/v3/configure/database', body: { db: 'e' } },
  { path: '/api/v3/configure/database?db=d', method: 'DELETE' },
  { path: '/api/v1/settled?db=d' },
  { path: '/api/v1/seal', body: { db: 'd', before: '2020-01-01T00:00:00Z' } },
  { path: '/api/v1/compact', body: { db: 'd' } },
  { path: '/api/v1/verify?db=d' },
  { path: '/ready' },
  { path: '/metrics' },
  { path: '/nothing' },
];

describe('a server with a token file', () => {
  it.each(routes)('answers 401 without a token and with a wrong one: $method $path', async (route) => {
    const attempts: readonly Record<string, string>[] = [
      {},
      { authorization: `Bearer ${wrong}` },
      { authorization: `Token ${wrong}` },
      { authorization: basic(`someone:${wrong}`) },
      { authorization: 'Bearer ' },
    ];
    for (const headers of attempts) {
      const answer = await exchange(local(), route.path, { ...route, headers });
      expect([headers, answer.status]).toEqual([headers, 401]);
      expect(answer.headers.get('www-authenticate')).toContain('Bearer');
      const message = route.path.startsWith('/api/v2/')
        ? { code: 'unauthorized', message: expect.stringContaining('token') }
        : { error: expect.stringContaining('token') };
      expect(answer.body).toEqual(message);
    }
  });

  it('has done nothing for those it kept out', async () => {
    const headers = { authorization: `Bearer ${token}` };
    const databases = await exchange(local(), '/api/v3/configure/database', { headers });
    expect(databases.body).toEqual([]);
  });

  it('lets everyone see /ping and /health', async () => {
    expect((await exchange(local(), '/ping')).status).toBe(204);
    expect((await exchange(local(), '/health')).status).toBe(200);
  });

  it.each([
    ['Bearer', { authorization: `Bearer ${token}` }, {}],
    ['Token', { authorization: `Token ${token}` }, {}],
    ['the password of Basic', { authorization: basic(`anyone:${token}`) }, {}],
    ['the parameters u and p', {}, { u: 'anyone', p: token }],
    ['the second token of the file', { authorization: `Bearer ${second}` }, {}],
  ])('lets in by %s to write and to ask', async (_, headers, query) => {
    const write = await exchange(local(), '/write', {
      query: { db: 'inside', ...(query as Record<string, string>) },
      headers: headers as Record<string, string>,
      body: 'cpu v=1i 1',
    });
    expect([write.status, write.text]).toEqual([204, '']);
    const asked = await exchange(local(), '/api/v3/query_sql', {
      query: { db: 'inside', q: 'SELECT v FROM cpu', ...(query as Record<string, string>) },
      headers: headers as Record<string, string>,
    });
    expect(asked.text).toBe('[{"v":1}]');
  });

  it('never logs a token, nor what stands in a query string', async () => {
    await exchange(local(), '/nothing', { query: { p: token, q: 'inside secret' } });
    await expect.poll(() => server.log(), { timeout: 10_000 }).toContain('"path":"/nothing"');
    for (const secret of [token, second, wrong, 'inside secret', Buffer.from(token).toString('base64')]) {
      expect(server.log()).not.toContain(secret);
    }
  });
});

describe('a start', () => {
  /** Starts a server that must not come up; answers what it said. */
  async function refusal(flags: readonly string[]): Promise<string> {
    const dataDir = makeDataDir();
    try {
      const started = await startTestServer({ dataDir, flags });
      await started.kill();
      return 'it started';
    } catch (error) {
      return String(error);
    } finally {
      removeDataDir(dataDir);
    }
  }

  it('beyond loopback without a token is refused, saying what would do', async () => {
    for (const host of ['0.0.0.0', '::']) {
      const said = await refusal(['--host', host]);
      expect(said).toContain('status 1');
      expect(said).toMatch(/no token file; want --token-file FILE, or --insecure/);
    }
  });

  it('with a token file that has no good token is refused', async () => {
    const empty = join(folder, 'empty');
    writeFileSync(empty, '# nobody\n');
    expect(await refusal(['--token-file', empty])).toMatch(/status 1[\s\S]*got a token file without a token/);
    writeFileSync(empty, 'short\n');
    expect(await refusal(['--token-file', empty])).toMatch(/status 1[\s\S]*got a token of 5 bytes/);
    expect(await refusal(['--token-file', join(folder, 'missing')])).toMatch(/status 1[\s\S]*missing/);
  });

  it('beyond loopback with --insecure works', async () => {
    const dataDir = makeDataDir();
    const open = await startTestServer({ dataDir, flags: ['--host', '0.0.0.0', '--insecure'] });
    const url = open.url.replace('0.0.0.0', '127.0.0.1');
    expect((await exchange({ url }, '/ready')).status).toBe(200);
    await open.kill();
    removeDataDir(dataDir);
  });
});
