import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCatalogs } from '../../cli/serve/catalogs.js';
import type { TurnReport } from '../../compactor/lambda/compactor-turn.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { DynamoDbMetaStore } from '../../core/adapters/meta-store-dynamodb.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import {
  bundleFunction,
  type FunctionBundle,
  unzippedBytes,
  unzippedBytesMax,
} from '../../infra/bundle/bundle-lambda.js';
import {
  type Emulator,
  emulatorConnection,
  emulatorCredentials,
  runName,
  type S3Emulator,
  startDynamoDb,
  startS3,
} from '../aws/emulators.js';
import { root } from '../rules/source-files.js';
import { clusterSecret } from '../support/peer-server.js';
import { startTestProcess, type TestProcess, writeLines } from '../support/server-process.js';
import { type Invocation, type LambdaFunction, startFunction } from './lambda-function.js';

/** The bundled functions beside one `varve ingest`, on emulators of S3 and DynamoDB. */
const db = 'plant';
/** Some time long ago, so that its points are late: their group closes a millisecond after the first. */
const longAgoMs = 1_700_000_000_000;
const latePoints = 300;

let folder = '';
let s3: S3Emulator;
let dynamoDb: Emulator;
let ingest: TestProcess;
let bundles: { readonly compactor: FunctionBundle; readonly query: FunctionBundle };
let compactor: LambdaFunction;
let query: LambdaFunction;
let streamingQuery: LambdaFunction;

const recorded = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(new URL(`./events/${name}.json`, import.meta.url), 'utf8'));
const scheduled = recorded('scheduler');

/** The recorded request of a function URL, asking something else. */
function urlEvent(
  parameters: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
) {
  const event = recorded('function-url');
  return {
    ...event,
    rawQueryString: String(new URLSearchParams({ db, ...parameters })),
    headers: { ...(event['headers'] as object), ...headers },
  };
}

function environment(): Record<string, string> {
  return {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: emulatorCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: emulatorCredentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDb.endpoint,
    AWS_REQUEST_CHECKSUM_CALCULATION: `when_${s3.checksums}`,
    AWS_RESPONSE_CHECKSUM_VALIDATION: `when_${s3.checksums}`,
    VARVE_OBJECT_STORE: `s3://${s3.bucket}/history`,
    VARVE_META_STORE: `dynamodb://${runName}`,
    VARVE_CLUSTER_SECRET: clusterSecret,
  };
}

const queryEnvironment = (cache: string): Record<string, string> => ({
  ...environment(),
  VARVE_CACHE_DIR: join(folder, cache),
});

function answerValue(invocation: Invocation): unknown {
  if (invocation.kind !== 'value') throw new Error(`got ${JSON.stringify(invocation)}; want a value`);
  return invocation.value;
}

async function turn(event: unknown = scheduled, remainingMs?: number): Promise<TurnReport> {
  return answerValue(await compactor.invoke(event, remainingMs)) as TurnReport;
}

async function ask(event: unknown): Promise<APIGatewayProxyStructuredResultV2> {
  return answerValue(await query.invoke(event)) as APIGatewayProxyStructuredResultV2;
}

/** Takes a streamed answer apart: the head, eight zero bytes, the body. */
function streamedAnswer(invocation: Invocation): {
  readonly head: { readonly statusCode: number; readonly headers: Record<string, string> };
  readonly body: string;
  readonly pieces: number;
} {
  if (invocation.kind !== 'stream') throw new Error(`got ${JSON.stringify(invocation)}; want a stream`);
  expect(invocation.contentType).toBe('application/vnd.awslambda.http-integration-response');
  const bytes = Buffer.from(invocation.base64, 'base64');
  const end = bytes.indexOf(Buffer.alloc(8));
  return {
    head: JSON.parse(bytes.subarray(0, end).toString('utf8')),
    body: bytes.subarray(end + 8).toString('utf8'),
    pieces: invocation.pieces - 1,
  };
}

async function writeLate(firstPoint: number): Promise<void> {
  const lines = Array.from(
    { length: latePoints },
    (_, index) =>
      `motor,machine=m${index % 5} point=${firstPoint + index}i ${longAgoMs + (firstPoint + index) * 1000}`,
  );
  await writeLines(ingest.client, db, lines.join('\n'), 'millisecond');
}

async function countOf(tier: 'all' | 'settled'): Promise<unknown> {
  const answer = await ask(
    urlEvent({ q: 'SELECT count(*)::INT AS points, count(DISTINCT point)::INT AS kinds FROM motor', tier }),
  );
  expect(answer.statusCode, answer.body).toBe(200);
  return JSON.parse(answer.body ?? '');
}

function startIngest(): Promise<TestProcess> {
  return startTestProcess({
    command: 'ingest',
    flags: [
      ...['--meta-store', `dynamodb://${runName}`, '--cluster-secret-file', join(folder, 'secret')],
      ...['--data-dir', join(folder, 'ingest'), '--peer-port', '0', '--log-level', 'error'],
      ...['--window', '1h', '--deadline', '1h', '--late-delay', '1ms'],
    ],
    env: environment(),
  });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varve-lambda-'));
  bundles = {
    compactor: await bundleFunction(root, folder, 'compactor'),
    query: await bundleFunction(root, folder, 'query'),
  };
  [s3, dynamoDb] = await Promise.all([startS3(), startDynamoDb(runName)]);
  writeFileSync(join(folder, 'secret'), clusterSecret);
  ingest = await startIngest();
  compactor = await startFunction(bundles.compactor, { environment: environment() });
  query = await startFunction(bundles.query, { environment: queryEnvironment('cache') });
  streamingQuery = await startFunction(bundles.query, {
    environment: queryEnvironment('streaming-cache'),
    streaming: true,
  });
});
afterAll(async () => {
  await Promise.all([compactor.stop(), query.stop(), streamingQuery.stop(), ingest.kill('SIGKILL')]);
  await Promise.all([s3.close(), dynamoDb.close()]);
  rmSync(folder, { recursive: true, force: true });
});

describe('the bundles', () => {
  it('fit into what Lambda allows, unzipped', () => {
    for (const bundle of Object.values(bundles)) {
      expect(unzippedBytes(bundle)).toBeGreaterThan(2 ** 20);
      expect(unzippedBytes(bundle)).toBeLessThanOrEqual(unzippedBytesMax);
    }
  });

  it('say which setting is missing', async () => {
    const { VARVE_META_STORE: _, ...rest } = environment();
    await expect(startFunction(bundles.compactor, { environment: rest })).rejects.toThrow(
      "got no VARVE_META_STORE in the function's environment; want one such as dynamodb://table",
    );
  });
});

describe('the compactor and the querier as functions', () => {
  it('settle what is due in a turn, and show every point once in both tiers', async () => {
    await writeLate(0);
    await writeLines(ingest.client, db, `motor,machine=now point=-1i ${Date.now()}`, 'millisecond');
    expect(await countOf('settled')).toEqual([{ points: 0, kinds: 0 }]);
    expect(await countOf('all')).toEqual([{ points: latePoints + 1, kinds: latePoints + 1 }]);

    expect(await turn()).toMatchObject({
      outcome: 'done',
      sealed: { groups: 1, rows: latePoints },
      failed: { lease: 0, seal: 0, release: 0, upkeep: 0 },
      databases: [{ database: db, waitingGroups: 0 }],
      sealLagSeconds: 0,
    });
    expect(await countOf('settled')).toEqual([{ points: latePoints, kinds: latePoints }]);
    expect(await countOf('all')).toEqual([{ points: latePoints + 1, kinds: latePoints + 1 }]);
  });

  it('find nothing to do in a turn that comes too soon', async () => {
    expect(await turn()).toMatchObject({ outcome: 'done', sealed: { groups: 0 }, merged: { merges: 0 } });
  });

  it('stop when out of time, and go on in the next turn', async () => {
    await writeLate(latePoints);
    expect(await turn(scheduled, 0)).toMatchObject({ outcome: 'out-of-time' });
    expect((await turn()).outcome).toBe('done');
    expect(await countOf('settled')).toEqual([{ points: 2 * latePoints, kinds: 2 * latePoints }]);
    expect(await countOf('all')).toEqual([{ points: 2 * latePoints + 1, kinds: 2 * latePoints + 1 }]);
  });

  it('do nothing while another compactor holds the lease', async () => {
    const [clock, random] = [new SystemClock(), new SystemRandom()];
    const connection = emulatorConnection(dynamoDb.endpoint);
    const store = new DynamoDbMetaStore({ table: runName, clock, random, connection });
    const { leases } = openCatalogs({ store, clock, random });
    const taken = await leases.acquire('compactor', 'another', { ttlMs: 60_000 });
    if (taken.kind === 'taken') throw new Error(`the lease was not given back by ${taken.by}`);
    await writeLate(2 * latePoints);
    expect(await turn()).toMatchObject({
      outcome: 'lease-held',
      sealed: { groups: 0 },
      sealLagSeconds: null,
    });

    await leases.release(taken.lease);
    await store.close();
    expect(await turn()).toMatchObject({ outcome: 'done', sealed: { groups: 1, rows: latePoints } });
  });

  it('write figures for CloudWatch to the log', () => {
    const lines = compactor
      .log()
      .split('\n')
      .filter((line) => line.startsWith('{"_aws"'))
      .map((line) => JSON.parse(line));
    expect(lines).toContainEqual(
      expect.objectContaining({ SealedGroups: 1, FailedSteps: 0, TurnsOutOfTime: 0 }),
    );
    expect(lines).toContainEqual(expect.objectContaining({ database: db, WaitingGroups: 0 }));
  });
});

describe('the querier as a function', () => {
  it('answers an HTTP API with a stage, whose body is in base64', async () => {
    const answer = await ask(recorded('http-api'));
    expect(answer).toMatchObject({ statusCode: 200, body: '[{"one":1}]', isBase64Encoded: false });
    expect(answer.headers).toMatchObject({ 'content-type': 'application/json; charset=utf-8' });
  });

  it('sends what is no text in base64', async () => {
    const answer = await ask(
      urlEvent({ q: 'SELECT point FROM motor ORDER BY point LIMIT 3', format: 'parquet' }),
    );
    expect(answer.isBase64Encoded).toBe(true);
    expect(
      Buffer.from(answer.body ?? '', 'base64')
        .subarray(0, 4)
        .toString(),
    ).toBe('PAR1');
  });

  it('answers 304 to a tag that still holds', async () => {
    const asked = { q: 'SELECT sum(point) AS s FROM motor', tier: 'settled' };
    const etag = String((await ask(urlEvent(asked))).headers?.['etag']);
    expect(await ask(urlEvent(asked, { 'if-none-match': etag }))).toMatchObject({
      statusCode: 304,
      body: '',
    });
  });

  it('answers errors as the server does', async () => {
    const wrong = await ask(urlEvent({ q: 'SELEC 1' }));
    expect(wrong.statusCode).toBe(400);
    expect(JSON.parse(wrong.body ?? '')).toEqual({ error: expect.stringContaining('query:') });
    expect((await ask(urlEvent({ q: 'SELECT * FROM nowhere' }))).statusCode).toBe(404);
    expect((await ask({ ...urlEvent({}), rawPath: '/nothing' })).statusCode).toBe(404);
  });

  it('refuses an answer that is too large to be one value, and answers the next', async () => {
    const large = await ask(
      urlEvent({ q: 'SELECT range AS n, repeat($x, 1000) AS text FROM range(20000)', params: '{"x":"x"}' }),
    );
    expect(large.statusCode, large.body?.slice(0, 200)).toBe(413);
    expect(JSON.parse(large.body ?? '').error).toContain('want a smaller one');
    for (let again = 0; again < 4; again++)
      expect((await ask(urlEvent({ q: 'SELECT 1 AS one' }))).statusCode).toBe(200);
  });

  it('offers the settled tables to other engines', async () => {
    const answer = await ask({ ...urlEvent({}), rawPath: '/iceberg/v1/namespaces', rawQueryString: '' });
    expect(answer.statusCode, answer.body).toBe(200);
    expect(JSON.parse(answer.body ?? '')).toMatchObject({ namespaces: [[db]] });
  });

  it('streams to a function URL, however large the answer', async () => {
    const small = streamedAnswer(await streamingQuery.invoke(recorded('function-url')));
    expect(small.head.statusCode).toBe(200);
    expect(small.head.headers).toMatchObject({ 'varve-tiers': 'settled' });
    expect(small.body).toBe('[{"one":1}]');

    const asked = {
      q: 'SELECT range AS n, repeat($x, 1000) AS text FROM range(20000)',
      params: '{"x":"x"}',
      format: 'jsonl',
    };
    const large = streamedAnswer(await streamingQuery.invoke(urlEvent(asked)));
    expect(large.head.statusCode).toBe(200);
    expect(large.body.trimEnd().split('\n')).toHaveLength(20_000);
    expect(large.pieces).toBeGreaterThan(5);

    const wrong = streamedAnswer(await streamingQuery.invoke(urlEvent({ q: 'SELEC 1' })));
    expect(wrong.head.statusCode).toBe(400);
  });

  it('answers API Gateway with one value where the runtime streams', async () => {
    const answer = await streamingQuery.invoke(recorded('http-api'));
    if (answer.kind !== 'stream') throw new Error(`got ${JSON.stringify(answer)}; want a stream`);
    const value = JSON.parse(Buffer.from(answer.base64, 'base64').toString('utf8'));
    expect(value).toMatchObject({ statusCode: 200, body: '[{"one":1}]' });
  });
});

describe('functions and an ingest node that is away', () => {
  it('say which node, answer from what is settled, and seal once it is back', async () => {
    await writeLate(3 * latePoints);
    await ingest.kill('SIGKILL');
    const answer = await ask(urlEvent({ q: 'SELECT count(*) FROM motor' }));
    expect(answer.statusCode).toBe(503);
    expect(answer.headers).toHaveProperty('retry-after');
    expect(JSON.parse(answer.body ?? '').error).toMatch(/shard 0 of group \S+, .* cannot be read: .*node/);
    expect(await countOf('settled')).toEqual([{ points: 3 * latePoints, kinds: 3 * latePoints }]);

    const report = await turn();
    expect(report).toMatchObject({
      outcome: 'done',
      sealed: { groups: 0 },
      databases: [{ waitingGroups: 1 }],
    });
    expect(report.sealLagSeconds).toBeGreaterThan(0);

    ingest = await startIngest();
    // A new environment: the old one may be backing off from the node that was away.
    await compactor.stop();
    compactor = await startFunction(bundles.compactor, { environment: environment() });
    expect(await turn()).toMatchObject({ outcome: 'done', sealed: { groups: 1, rows: latePoints } });
    expect(await countOf('all')).toEqual([{ points: 4 * latePoints + 1, kinds: 4 * latePoints + 1 }]);
  });
});
