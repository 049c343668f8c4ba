import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCatalogs } from '../../cli/serve/catalogs.js';
import type { TurnReport } from '../../compactor/lambda/compactor-turn.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { signedHeaders } from '../../core/adapters/lambda-invoker.js';
import { DynamoDbMetaStore } from '../../core/adapters/meta-store-dynamodb.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import { bundleFunction, type FunctionBundle } from '../../infra/bundle/bundle-lambda.js';
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
import { type LambdaFunction, startFunction } from './lambda-function.js';

/** The bundled compactor, which hands databases out to itself by way of a Lambda that notes what it is asked. */
const databases = ['alpha', 'beta', 'gamma'];
const longAgoMs = 1_700_000_000_000;
const points = 40;

let folder = '';
let s3: S3Emulator;
let dynamoDb: Emulator;
let bundle: FunctionBundle;
let ingest: TestProcess;
let functions: LambdaFunction[] = [];
const asked: {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}[] = [];
/** What Lambda answers. */
let status = 202;
const lambda = createServer(async (request, response) => {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  asked.push({
    path: request.url ?? '',
    headers: request.headers,
    body: Buffer.concat(pieces).toString(),
  });
  response.writeHead(status).end();
});

function environment(): Record<string, string> {
  return {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: emulatorCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: emulatorCredentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDb.endpoint,
    AWS_ENDPOINT_URL_LAMBDA: `http://127.0.0.1:${(lambda.address() as AddressInfo).port}`,
    AWS_REQUEST_CHECKSUM_CALCULATION: `when_${s3.checksums}`,
    AWS_RESPONSE_CHECKSUM_VALIDATION: `when_${s3.checksums}`,
    AWS_LAMBDA_FUNCTION_NAME: 'varve-compactor',
    VARVE_OBJECT_STORE: `s3://${s3.bucket}/history`,
    VARVE_META_STORE: `dynamodb://${runName}`,
    VARVE_CLUSTER_SECRET: clusterSecret,
    VARVE_FAN_OUT: 'true',
  };
}

async function turn(environmentIndex: number, event: unknown): Promise<TurnReport> {
  const invocation = await functions[environmentIndex]?.invoke(event);
  if (invocation?.kind !== 'value') throw new Error(`got ${JSON.stringify(invocation)}; want a value`);
  return invocation.value as TurnReport;
}

async function writeAll(firstPoint: number): Promise<void> {
  for (const database of databases) {
    const lines = Array.from(
      { length: points },
      (_, index) =>
        `motor,machine=m1 point=${firstPoint + index}i ${longAgoMs + (firstPoint + index) * 1000}`,
    );
    await writeLines(ingest.client, database, lines.join('\n'), 'millisecond');
  }
}

/** The number of groups that wait in each database, and who has the lease until when. */
async function inFlux() {
  const [clock, random] = [new SystemClock(), new SystemRandom()];
  const connection = emulatorConnection(dynamoDb.endpoint);
  const store = new DynamoDbMetaStore({ table: runName, clock, random, connection });
  const catalogs = openCatalogs({ store, clock, random });
  try {
    const unsealed: Record<string, number> = {};
    for (const database of await catalogs.databases.list()) {
      const { groups } = (await catalogs.groups.get(database)).value;
      unsealed[database.name] = groups.filter(({ state }) => state !== 'sealed').length;
    }
    return { unsealed, lease: await catalogs.leases.get('compactor') };
  } finally {
    await store.close();
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varve-fan-out-'));
  lambda.listen(0, '127.0.0.1');
  await once(lambda, 'listening');
  bundle = await bundleFunction(root, folder, 'compactor');
  [s3, dynamoDb] = await Promise.all([startS3(), startDynamoDb(runName)]);
  writeFileSync(join(folder, 'secret'), clusterSecret);
  ingest = await startTestProcess({
    command: 'ingest',
    flags: [
      ...['--meta-store', `dynamodb://${runName}`, '--cluster-secret-file', join(folder, 'secret')],
      ...['--data-dir', join(folder, 'ingest'), '--peer-port', '0', '--log-level', 'error'],
      ...['--window', '1h', '--deadline', '1h', '--late-delay', '1ms'],
    ],
    env: environment(),
  });
  functions = [
    await startFunction(bundle, { environment: environment() }),
    await startFunction(bundle, { environment: environment() }),
  ];
});
afterAll(async () => {
  await Promise.all([...functions.map((each) => each.stop()), ingest.kill('SIGKILL')]);
  await Promise.all([s3.close(), dynamoDb.close()]);
  lambda.closeAllConnections();
  lambda.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('the compactor as a function that fans out', () => {
  it('seals one database, asks itself for the others, and keeps the lease for them', async () => {
    await writeAll(0);
    const report = await turn(0, { source: 'varve.schedule' });
    expect(report).toMatchObject({ outcome: 'done', fannedOut: 2, sealed: { groups: 1 } });
    expect(asked).toHaveLength(2);
    for (const { path, headers } of asked) {
      expect(path).toBe('/2015-03-31/functions/varve-compactor/invocations');
      expect(headers['x-amz-invocation-type']).toBe('Event');
      expect(headers.authorization).toContain('/us-east-1/lambda/aws4_request');
    }
    const { lease, unsealed } = await inFlux();
    expect(lease?.expiresMs).toBeGreaterThan(0);
    expect(Object.values(unsealed).sort()).toEqual([0, 1, 1]);
  });

  it('seals what it is asked to under that lease, in another environment, once however often it is asked', async () => {
    const [first, second] = asked.map(({ body }) => JSON.parse(body) as object);
    expect(await turn(1, first)).toMatchObject({ outcome: 'done', fannedOut: 0, sealed: { groups: 1 } });
    expect(await turn(1, first)).toMatchObject({ sealed: { groups: 0 } });
    // Both environments at once.
    const both = await Promise.all([turn(0, second), turn(1, second)]);
    for (const { outcome, failed } of both) {
      expect(outcome).toBe('done');
      expect(failed).toMatchObject({ lease: 0, upkeep: 0 });
    }
    const { unsealed } = await inFlux();
    expect(Object.values(unsealed)).toEqual([0, 0, 0]);
  });

  it('does nothing under a lease that another has by now', async () => {
    const [clock, random] = [new SystemClock(), new SystemRandom()];
    const connection = emulatorConnection(dynamoDb.endpoint);
    const store = new DynamoDbMetaStore({ table: runName, clock, random, connection });
    const { leases } = openCatalogs({ store, clock, random });
    const before = await leases.get('compactor');
    const taken = await leases.acquire('compactor', 'another', { ttlMs: 600_000, isGone: () => true });
    if (taken.kind !== 'held') throw new Error('want the lease');
    expect(taken.lease.epoch).toBe((before?.epoch ?? 0) + 1);
    await writeAll(points);
    const [event] = asked.map(({ body }) => JSON.parse(body) as object);
    expect(await turn(1, event)).toMatchObject({ outcome: 'lease-held', sealed: { groups: 0 } });
    await leases.release(taken.lease);
    await store.close();
  });

  it('takes the lease under another epoch in its next turn, and goes on where Lambda refuses', async () => {
    const before = await inFlux();
    status = 429;
    const report = await turn(0, { source: 'varve.schedule' });
    expect(report).toMatchObject({ outcome: 'done', fannedOut: 2, sealed: { groups: 1 } });
    expect((await inFlux()).lease?.epoch).toBe((before.lease?.epoch ?? 0) + 1);
    expect(functions[0]?.log()).toContain('got 429');
  });
});

describe('an invocation', () => {
  it('is signed as AWS wants it', () => {
    const credentials = { accessKeyId: 'AKID', secretAccessKey: 'secret', sessionToken: 'tok/en=' };
    const sign = (functionName: string): string | undefined => {
      const path = `/2015-03-31/functions/${encodeURIComponent(functionName)}/invocations`;
      const url = new URL(path, 'https://lambda.eu-central-1.amazonaws.com');
      const options = { functionName, region: 'eu-central-1', credentials };
      return signedHeaders(options, url, '{"a":1}', Date.UTC(2026, 0, 2, 3, 4, 5, 678))['authorization'];
    };
    // Made by @smithy/signature-v4, the SDK's own signer.
    expect(sign('varve-compactor')).toContain(
      'Signature=05471d60f28b1577eba6e9e1af37de9c684ee0483374a4b2aeb22e62db8f5e84',
    );
    expect(sign('arn:aws:lambda:eu-central-1:123456789012:function:varve')).toContain(
      'Signature=9339b235bf382ff3a497dc4843c30c57af8e9ed63a455be3920047511f27c2f3',
    );
  });
});
