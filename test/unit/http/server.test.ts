import { describe, expect, it } from 'vitest';
import { readTokenFile } from '../../../core/http/authentication.js';
import { checkListenPolicy } from '../../../core/http/listen-policy.js';
import { type ErrorKind, errorTraits, VarveError } from '../../../core/std/errors.js';
import { startTestServer } from './test-server.js';

const token = 'a-token-of-some-length';
const authentication = readTokenFile(`# operators\n${token}\n\n  another-token-here \n`);
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

describe('authentication', () => {
  it.each<[string, Record<string, string>, string]>([
    ['Bearer', { authorization: `Bearer ${token}` }, ''],
    ['Token', { authorization: `Token ${token}` }, ''],
    ['the second token, scheme in lower case', { authorization: 'bearer another-token-here' }, ''],
    ['the password of Basic', { authorization: basic(`anyone:${token}`) }, ''],
    ['parameters u and p', {}, `&u=anyone&p=${token}`],
  ])('lets in by %s', async (_, headers, query) => {
    const { server } = await startTestServer({ authentication });
    const reply = await server.inject({ method: 'POST', url: `/write?db=d${query}`, headers, body: 'm f=1' });
    expect(reply.statusCode).toBe(204);
  });

  it.each<[string, Record<string, string>, string]>([
    ['no token', {}, ''],
    ['a wrong token', { authorization: 'Bearer wrong-token-of-length' }, ''],
    ['a beginning of a token', { authorization: `Bearer ${token.slice(0, -1)}` }, ''],
    ['an empty token', { authorization: 'Bearer ' }, ''],
    ['an unknown scheme', { authorization: `Digest ${token}` }, ''],
    ['the token as user name', { authorization: basic(`${token}:`) }, ''],
    ['Basic without a colon', { authorization: basic(token) }, ''],
    ['the comment of the token file', { authorization: 'Bearer # operators' }, ''],
    ['a wrong password beside which p would be right', { authorization: 'Bearer no' }, `&p=${token}`],
  ])('keeps out %s', async (_, headers, query) => {
    const { server, sink } = await startTestServer({ authentication });
    const reply = await server.inject({ method: 'POST', url: `/write?db=d${query}`, headers, body: 'm f=1' });
    expect(reply.statusCode).toBe(401);
    expect(reply.json()).toEqual({ error: expect.stringMatching(/token/) });
    expect(reply.headers['www-authenticate']).toContain('Bearer');
    expect(sink.requests).toEqual([]);
  });

  it('asks for no token at /ping and /health, and for one everywhere else', async () => {
    const { server } = await startTestServer({ authentication });
    const status = async (url: string): Promise<number> => (await server.inject(url)).statusCode;
    expect(await status('/ping')).toBe(204);
    expect(await status('/health?x=1')).toBe(200);
    for (const url of ['/ready', '/metrics', '/nothing', '/ping/']) expect(await status(url)).toBe(401);
  });

  it('logs neither tokens nor query strings', async () => {
    const { server, logged } = await startTestServer({ authentication });
    await server.inject({ method: 'POST', url: `/write?db=secretdb&p=${token}`, body: 'm f=1' });
    await server.inject({ method: 'POST', url: `/write?db=secretdb&p=wrong`, body: 'm f=1' });
    await server.inject({ url: `/nothing?p=${token}`, headers: { authorization: `Bearer ${token}` } });
    expect(logged).toHaveLength(3);
    expect(logged.join()).not.toMatch(/secretdb|a-token|wrong|p=/);
    expect(JSON.parse(logged[0] ?? '')).toMatchObject({ method: 'POST', path: '/write', status: 204 });
  });

  it.each<[string, RegExp]>([
    ['', /without a token/],
    ['# only a comment\n', /without a token/],
    ['long-enough-token\nshort\n', /got a token of 5 bytes as number 2/],
  ])('refuses the token file %j', (content, message) => {
    expect(() => readTokenFile(content)).toThrow(message);
  });
});

describe('where the server may listen', () => {
  it.each(['127.0.0.1', '127.8.9.1', 'localhost', 'LOCALHOST', '::1', '[::1]', '::ffff:127.0.0.1'])(
    '%s as it is',
    (host) => {
      expect(() => checkListenPolicy({ host, tokenFile: undefined, insecure: false })).not.toThrow();
    },
  );

  it.each(['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.0.0.1.example.org', 'localhost.example.org', ''])(
    '%s with a token file or --insecure only',
    (host) => {
      expect(() => checkListenPolicy({ host, tokenFile: undefined, insecure: false })).toThrow(
        /--token-file/,
      );
      expect(() => checkListenPolicy({ host, tokenFile: 'tokens', insecure: false })).not.toThrow();
      expect(() => checkListenPolicy({ host, tokenFile: undefined, insecure: true })).not.toThrow();
    },
  );
});

describe('health', () => {
  it('answers ping with the version and no body', async () => {
    const { server } = await startTestServer();
    for (const method of ['GET', 'HEAD'] as const) {
      const reply = await server.inject({ method, url: '/ping' });
      expect(reply.statusCode).toBe(204);
      expect(reply.body).toBe('');
      expect(reply.headers).toMatchObject({
        'x-influxdb-version': 'varve-1.2.3',
        'x-varve-version': '1.2.3',
      });
    }
    expect((await server.inject('/ping?verbose=true')).json()).toEqual({ version: 'varve-1.2.3' });
  });

  it('is healthy while it runs and ready once nothing is missing', async () => {
    const test = await startTestServer();
    expect((await test.server.inject('/health')).json()).toMatchObject({ status: 'pass', version: '1.2.3' });
    expect((await test.server.inject('/ready')).statusCode).toBe(200);
    test.problems = ['recovery is running', 'object store: out of reach'];
    const reply = await test.server.inject('/ready');
    expect(reply.statusCode).toBe(503);
    expect(reply.json()).toMatchObject({
      error: 'not ready: recovery is running; object store: out of reach',
      problems: test.problems,
    });
  });

  it('answers metrics as text', async () => {
    const { server } = await startTestServer();
    const reply = await server.inject('/metrics');
    expect(reply.headers['content-type']).toMatch(/^text\/plain/);
    expect(reply.body).toBe('varve_up 1\n');
  });
});

describe('errors', () => {
  it('answers unknown routes in the shape of the API', async () => {
    const { server } = await startTestServer();
    const v1 = await server.inject('/nothing?p=x');
    expect([v1.statusCode, v1.json()]).toEqual([404, { error: 'there is no GET /nothing' }]);
    const v2 = await server.inject('/api/v2/nothing');
    expect([v2.statusCode, v2.json()]).toEqual([
      404,
      { code: 'not found', message: 'there is no GET /api/v2/nothing' },
    ]);
  });

  it.each(Object.entries(errorTraits))('of kind %s have their status', async (kind, traits) => {
    const test = await startTestServer();
    test.sink.refusal = new VarveError(kind as ErrorKind, 'why', { retryAfterSeconds: 1.2 });
    const v1 = await test.server.inject({ method: 'POST', url: '/write?db=d', body: 'm f=1' });
    expect([v1.statusCode, v1.json()]).toEqual([traits.httpStatus, { error: 'why' }]);
    if (kind !== 'unauthenticated') expect(v1.headers['retry-after']).toBe('2');
    const v2 = await test.server.inject({ method: 'POST', url: '/api/v2/write?bucket=d', body: 'm f=1' });
    expect([v2.statusCode, v2.json()]).toEqual([
      traits.httpStatus,
      { code: expect.any(String), message: 'why' },
    ]);
  });

  it('hide what is a defect, log it, and name the request', async () => {
    const test = await startTestServer();
    test.sink.refusal = new TypeError('secret detail');
    const reply = await test.server.inject({ method: 'POST', url: '/write?db=d', body: 'm f=1' });
    expect(reply.statusCode).toBe(500);
    expect(reply.body).not.toContain('secret');
    expect(reply.body).toContain(reply.headers['x-request-id']);
    expect(test.logged.join()).toContain(String(reply.headers['x-request-id']));
  });
});
