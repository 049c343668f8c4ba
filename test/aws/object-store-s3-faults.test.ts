import { crc32 } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AwsConnection } from '../../core/adapters/aws-client.js';
import { SimulatedClock } from '../../core/adapters/clock-simulated.js';
import {
  parseS3Location,
  S3ObjectStore,
  type S3ObjectStoreOptions,
} from '../../core/adapters/object-store-s3.js';
import { SeededRandom } from '../../core/adapters/random-seeded.js';
import { emulatorConnection, promptRetries, type S3Emulator, startS3 } from './emulators.js';
import {
  awsAnswers,
  type FaultProxy,
  type HttpFault,
  inOrder,
  type ProxiedAnswer,
  type ProxiedRequest,
  startFaultProxy,
} from './fault-proxy.js';

const mebibyte = 2 ** 20;

let service: S3Emulator;
let proxy: FaultProxy;
/** Through the proxy. */
let store: S3ObjectStore;
/** Past the proxy. */
let direct: S3ObjectStore;
let prefixes = 0;
let prefix: string;

function openStore(
  endpoint: string,
  more: Partial<S3ObjectStoreOptions> = {},
  connection: Partial<AwsConnection> = {},
): S3ObjectStore {
  return new S3ObjectStore({
    location: { bucket: service.bucket, prefix },
    clock: new SimulatedClock({ sleeps: 'jump' }),
    random: new SeededRandom(1),
    connection: emulatorConnection(endpoint, {
      answerMsMax: 2_000,
      retryStrategy: promptRetries(4),
      ...connection,
    }),
    pathStyle: true,
    checksums: service.checksums,
    partBytes: 5 * mebibyte,
    ...more,
  });
}

beforeAll(async () => {
  service = await startS3();
});
afterAll(() => service.close());

beforeEach(async () => {
  prefix = `store-${prefixes++}`;
  proxy = await startFaultProxy(service);
  store = openStore(proxy.endpoint);
  direct = openStore(service.endpoint);
});
afterEach(async () => {
  store.close();
  direct.close();
  await proxy.close();
});

const bytesOf = (length: number, seed = 1): Uint8Array => new SeededRandom(seed).bytes(length);
const same = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0;
const isMethod =
  (method: string) =>
  (request: ProxiedRequest): boolean =>
    request.method === method;
/** As S3 answers when it knows the object's checksum. */
function withChecksum(answer: ProxiedAnswer): ProxiedAnswer {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(answer.body));
  return { ...answer, headers: { ...answer.headers, 'x-amz-checksum-crc32': checksum.toString('base64') } };
}
const slowDown: HttpFault = { kind: 'refused', by: awsAnswers.s3('SlowDown', 503) };

describe('S3 object store under faults', () => {
  it.each([
    ['SlowDown', slowDown],
    ['a 500', { kind: 'refused', by: awsAnswers.s3('InternalError', 500) }],
    ['a reset', { kind: 'refused', by: 'reset' }],
    ['a 500 after the work was done', { kind: 'answer-lost', by: awsAnswers.s3('InternalError', 500) }],
    ['a reset after the work was done', { kind: 'answer-lost', by: 'reset' }],
    ['silence after the work was done', { kind: 'answer-lost', by: 'silence' }],
  ] as const)('puts again after %s', async (_, fault) => {
    proxy.fault = inOrder(isMethod('PUT'), [fault, fault]);
    const bytes = bytesOf(100_000);
    await store.put('a/b', bytes);
    expect(same(await direct.get('a/b'), bytes)).toBe(true);
    expect(proxy.requests.filter(isMethod('PUT'))).toHaveLength(3);
  });

  it('is unavailable, with a time to come back, while S3 asks to slow down', async () => {
    proxy.fault = () => slowDown;
    const unavailable = {
      kind: 'unavailable',
      retryAfterSeconds: 2,
      message: expect.stringContaining('slow'),
    };
    await expect(store.put('a', bytesOf(10))).rejects.toMatchObject(unavailable);
    await expect(store.get('a')).rejects.toMatchObject(unavailable);
    await expect(store.head('a')).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(store.deleteMany(['a'])).rejects.toMatchObject(unavailable);
    await expect(store.list('').next()).rejects.toMatchObject(unavailable);
    await expect(store.check()).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('reads a body again that broke off, wherever it did', async () => {
    const bytes = bytesOf(200_000);
    await direct.put('a', bytes);
    for (const afterBytes of [0, 1, 65_536, 199_999]) {
      proxy.fault = inOrder(isMethod('GET'), [{ kind: 'cut', afterBytes }]);
      expect(same(await store.get('a'), bytes)).toBe(true);
      proxy.fault = inOrder(isMethod('GET'), [{ kind: 'cut', afterBytes: afterBytes / 2 }]);
      expect(same(await store.getRange('a', 50, 150_000), bytes.subarray(50, 150_050))).toBe(true);
    }
  });

  it('returns no torn object when every body breaks off', async () => {
    await direct.put('a', bytesOf(200_000));
    proxy.fault = () => ({ kind: 'cut', afterBytes: 100_000 });
    await expect(store.get('a')).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(store.getRange('a', 0, 150_000)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('returns no object whose bytes do not have the checksum sent along', async () => {
    const bytes = bytesOf(200_000);
    await direct.put('a', bytes);
    const checking = openStore(proxy.endpoint, { checksums: 'supported' });
    const damage: HttpFault = {
      kind: 'changed',
      change: (answer) => {
        const body = Buffer.from(answer.body);
        body[1000] = (body[1000] ?? 0) ^ 1;
        return { ...withChecksum(answer), body };
      },
    };
    proxy.fault = inOrder(isMethod('GET'), [damage]);
    expect(same(await checking.get('a'), bytes)).toBe(true);
    proxy.fault = () => damage;
    await expect(checking.get('a')).rejects.toMatchObject({ kind: 'corrupt' });
    checking.close();
  });

  it('returns no other range than the one asked for', async () => {
    await direct.put('a', bytesOf(1000));
    proxy.fault = () => ({
      kind: 'changed',
      change: (answer) => ({
        ...answer,
        headers: { ...answer.headers, 'content-range': 'bytes 1-100/1000' },
      }),
    });
    await expect(store.getRange('a', 0, 100)).rejects.toThrow(/asked for bytes=0-99; got bytes 1-100\/1000/);
  });

  it('gives up with the signal of its caller, before and within a body', async () => {
    await direct.put('a', bytesOf(200_000));
    const abort = new AbortController();
    proxy.fault = () => {
      abort.abort(new Error('gave up'));
      return { kind: 'refused', by: 'silence' };
    };
    await expect(store.get('a', abort.signal)).rejects.toThrow('gave up');
    const later = new AbortController();
    const onStall = (): void => later.abort(new Error('gave up later'));
    proxy.fault = () => ({ kind: 'stalled', afterBytes: 100_000, onStall });
    await expect(store.get('a', later.signal)).rejects.toThrow('gave up later');
  });

  it('reads a body again that stops coming', async () => {
    const bytes = bytesOf(200_000);
    await direct.put('a', bytes);
    const impatient = openStore(proxy.endpoint, {}, { silenceMsMax: 200 });
    proxy.fault = inOrder(isMethod('GET'), [{ kind: 'stalled', afterBytes: 100_000, onStall: () => {} }]);
    expect(same(await impatient.get('a'), bytes)).toBe(true);
    impatient.close();
  });

  it('uses one connection for calls that follow one another', async () => {
    for (let index = 0; index < 5; index++) {
      await store.put(`k/${index}`, bytesOf(100_000));
      await store.get(`k/${index}`);
    }
    expect(proxy.connections()).toBe(1);
  });
});

describe('S3 object store with large objects', () => {
  const large = bytesOf(12 * mebibyte + 7);
  const isPart = ({ path }: ProxiedRequest): boolean => path.includes('partNumber=');

  it('puts them in parts, and gets them in parts at once', async () => {
    await store.put('large', large);
    expect(proxy.requests.filter(isPart)).toHaveLength(3);
    expect((await store.head('large')).bytes).toBe(large.length);
    // The first answer is given up when its length is known, with the check of its bytes under way.
    proxy.fault = ({ headers }) =>
      headers.range === undefined ? { kind: 'changed', change: withChecksum } : undefined;
    const parallel = openStore(proxy.endpoint, {
      parallelReadBytes: 5 * mebibyte,
      checksums: 'supported',
    });
    expect(same(await parallel.get('large'), large)).toBe(true);
    const ranges = proxy.requests.flatMap(({ headers }) =>
      headers.range === undefined ? [] : [headers.range],
    );
    expect(ranges.sort()).toEqual([
      `bytes=0-${5 * mebibyte - 1}`,
      `bytes=${10 * mebibyte}-${large.length - 1}`,
      `bytes=${5 * mebibyte}-${10 * mebibyte - 1}`,
    ]);
    parallel.close();
  });

  it('gets parts again that broke off', async () => {
    await direct.put('large', large);
    const cut: HttpFault = { kind: 'cut', afterBytes: 3 * mebibyte };
    proxy.fault = inOrder((request) => request.headers.range !== undefined, [cut, cut, cut]);
    const parallel = openStore(proxy.endpoint, { parallelReadBytes: 5 * mebibyte });
    expect(same(await parallel.get('large'), large)).toBe(true);
    proxy.fault = (request) => (request.headers.range?.startsWith('bytes=0-') === true ? cut : undefined);
    await expect(parallel.get('large')).rejects.toMatchObject({ kind: 'unavailable' });
    parallel.close();
  });

  it('sends parts again, and leaves no upload behind when one cannot be sent', async () => {
    proxy.fault = inOrder(isPart, [slowDown, { kind: 'answer-lost', by: 'reset' }]);
    await store.put('large', large);
    expect(same(await direct.get('large'), large)).toBe(true);
    proxy.fault = (request) => (request.path.includes('partNumber=2') ? slowDown : undefined);
    await expect(store.put('other', large)).rejects.toMatchObject({ kind: 'unavailable' });
    const aborts = proxy.requests.filter(
      ({ method, path }) => method === 'DELETE' && path.includes('uploadId='),
    );
    expect(aborts).toHaveLength(1);
    await expect(direct.head('other')).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('leaves no upload behind when its caller gives up', async () => {
    const abort = new AbortController();
    proxy.fault = (request) => {
      if (isPart(request)) abort.abort(new Error('gave up'));
      return undefined;
    };
    await expect(store.put('large', large, abort.signal)).rejects.toThrow('gave up');
    expect(proxy.requests.at(-1)).toMatchObject({ method: 'DELETE' });
  });

  it('knows its own completed upload when the answer to completing it was lost', async () => {
    const isCompletion = ({ method, path }: ProxiedRequest): boolean =>
      method === 'POST' && path.includes('uploadId=');
    // s3rver completes an upload twice; S3 knows it no more the second time.
    proxy.fault = inOrder(isCompletion, [
      { kind: 'answer-lost', by: 'reset' },
      { kind: 'refused', by: awsAnswers.s3('NoSuchUpload', 404) },
    ]);
    await store.put('large', large);
    expect(same(await direct.get('large'), large)).toBe(true);
    // Nothing was completed: the put has failed.
    proxy.fault = (request) =>
      isCompletion(request) ? { kind: 'refused', by: awsAnswers.s3('NoSuchUpload', 404) } : undefined;
    await expect(store.put('other', large)).rejects.toMatchObject({ kind: 'unavailable' });
  });
});

describe('S3 object store with many objects', () => {
  it('lists and deletes more than one request holds', async () => {
    const keys = Array.from({ length: 1203 }, (_, index) => `k/${String(index).padStart(4, '0')}`);
    // Not given up and asked again, however busy the machine.
    const patient = openStore(proxy.endpoint, {}, { answerMsMax: 60_000 });
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      for (let at = lane; at < keys.length; at += 8) await direct.put(keys[at] ?? '', bytesOf(3));
    });
    await Promise.all(lanes);
    const listed = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const { key } of patient.list('k/')) found.push(key);
      return found;
    };
    expect(await listed()).toEqual(keys);
    expect(proxy.requests.filter(isMethod('GET'))).toHaveLength(2);
    await patient.deleteMany([...keys, 'k/none']);
    expect(proxy.requests.filter(isMethod('POST'))).toHaveLength(2);
    expect(await listed()).toEqual([]);
    patient.close();
  });

  it('deletes again what S3 refused for now, and names what it refuses for good', async () => {
    for (const key of ['a', 'b', 'c']) await direct.put(key, bytesOf(3));
    const refusing = (code: string): HttpFault => ({
      kind: 'refused',
      by: {
        status: 200,
        headers: { 'content-type': 'application/xml' },
        body: `<DeleteResult><Error><Key>${prefix}/b</Key><Code>${code}</Code><Message>not now</Message></Error></DeleteResult>`,
      },
    });
    proxy.fault = inOrder(isMethod('POST'), [refusing('InternalError')]);
    await store.deleteMany(['a', 'b', 'c']);
    await expect(direct.head('b')).rejects.toMatchObject({ kind: 'not-found' });
    proxy.fault = () => refusing('AccessDenied');
    await expect(store.deleteMany(['a', 'b', 'c'])).rejects.toThrow(
      /1 of 3 objects were refused .*b: AccessDenied/,
    );
  });

  it('leaves what others put into the bucket out of its listings', async () => {
    await direct.put('a/b', bytesOf(3));
    const foreign = `<Contents><Key>PREFIX/a/</Key><Size>0</Size></Contents>`;
    proxy.fault = () => ({
      kind: 'changed',
      change: (answer) => {
        const body = answer.body
          .toString()
          .replace('<Contents>', `${foreign.replace('PREFIX', prefix)}<Contents>`);
        return { ...answer, body: Buffer.from(body) };
      },
    });
    const found: string[] = [];
    for await (const { key } of store.list('')) found.push(key);
    expect(found).toEqual(['a/b']);
  });
});

describe('S3 object store that is not set up', () => {
  const head = (status: number, headers: Readonly<Record<string, string>> = {}): HttpFault => ({
    kind: 'refused',
    by: { status, body: '', headers },
  });
  const refusals: readonly (readonly [string, HttpFault, HttpFault, RegExp])[] = [
    [
      'a missing bucket',
      head(404),
      { kind: 'refused', by: awsAnswers.s3('NoSuchBucket', 404) },
      /bucket varve-[0-9a-f]+: it does not exist; make the bucket or name another/,
    ],
    [
      'denied access',
      head(403),
      { kind: 'refused', by: awsAnswers.s3('AccessDenied', 403) },
      /bucket varve-[0-9a-f]+: access is denied; give this role the permissions that docs\/aws\.md lists/,
    ],
    [
      'expired credentials',
      head(400),
      { kind: 'refused', by: awsAnswers.s3('ExpiredToken', 400) },
      /bucket varve-[0-9a-f]+: the credentials are missing, wrong or expired; renew them/,
    ],
    [
      'a wrong region',
      head(400),
      {
        kind: 'refused',
        by: awsAnswers.s3('AuthorizationHeaderMalformed', 400, '<Region>eu-central-1</Region>'),
      },
      /bucket varve-[0-9a-f]+: it is in another region than the one asked; set AWS_REGION to eu-central-1/,
    ],
    [
      'a clock that is off',
      head(403),
      { kind: 'refused', by: awsAnswers.s3('RequestTimeTooSkewed', 403) },
      /clock is off; set it by NTP/,
    ],
  ];
  it.each(refusals)('says what to do about %s', async (_, first, rest, message) => {
    proxy.fault = (request) => (request.method === 'HEAD' ? first : rest);
    await expect(store.check()).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(store.check()).rejects.toThrow(message);
    await expect(store.put('a', bytesOf(3))).rejects.toThrow(message);
  });

  it('names a missing bucket', async () => {
    const missing = openStore(service.endpoint, { location: { bucket: 'not-there', prefix: '' } });
    await expect(missing.check()).rejects.toThrow(/bucket not-there: it does not exist/);
    missing.close();
  });

  it('names the endpoint when nobody answers', async () => {
    await proxy.close();
    await expect(store.check()).rejects.toThrow(
      /bucket varve-[0-9a-f]+: no answer; check the network and AWS_ENDPOINT_URL/,
    );
  });

  it('reads its place from a URL', () => {
    expect(parseS3Location('s3://my-bucket')).toEqual({ bucket: 'my-bucket', prefix: '' });
    expect(parseS3Location('s3://my-bucket/a/b.c/')).toEqual({ bucket: 'my-bucket', prefix: 'a/b.c' });
    for (const url of ['s3://', 's3:bucket', 's3://B', 's3://bucket/a b', 's3://bucket//a', 'file:x'])
      expect(() => parseS3Location(url)).toThrow('want s3://bucket/prefix');
  });

  it('refuses parts that S3 would refuse', () => {
    expect(() => openStore(service.endpoint, { partBytes: mebibyte })).toThrow(/want at least 5242880/);
  });
});
