import crypto from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as giveWay } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import S3rver from 's3rver';
import type { AwsConnection } from '../../core/adapters/aws-client.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { createMetaTable } from '../../core/adapters/meta-store-dynamodb-table.js';

/** A service of AWS: in this process on a free loopback port, or the one that AWS_ENDPOINT_URL names. */
export interface Emulator {
  readonly endpoint: string;
  close(): Promise<void>;
}

/** An S3 with an empty bucket. */
export interface S3Emulator extends Emulator {
  readonly bucket: string;
  /** As S3ObjectStore wants it for this service. */
  readonly checksums: 'supported' | 'required';
}

const givenEndpoint = process.env['AWS_ENDPOINT_URL'];

/** Says in the names of tests what they run against. */
export const serviceNames =
  givenEndpoint === undefined
    ? { s3: 's3rver', dynamoDb: 'dynalite' }
    : { s3: givenEndpoint, dynamoDb: givenEndpoint };

/** Tells the buckets and tables of one file of tests from those of others on the same service. */
export const runName = `varve-${crypto.randomBytes(6).toString('hex')}`;

/** What s3rver lets anyone in with; dynalite takes any. */
export const emulatorCredentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };

/** How to reach an emulator. */
export function emulatorConnection(endpoint: string, more: Partial<AwsConnection> = {}): AwsConnection {
  return { region: 'us-east-1', endpoint, credentials: emulatorCredentials, ...more };
}

/** Tries that follow one another at once, so that tests of retries do not wait. */
export function promptRetries(attemptsMax: number): NonNullable<AwsConnection['retryStrategy']> {
  const token = (count: number) => ({ getRetryCount: () => count, getRetryDelay: () => 0 });
  return {
    acquireInitialRetryToken: async () => token(0),
    refreshRetryTokenForRetry: async (last, { errorType }) => {
      const count = last.getRetryCount() + 1;
      if (count === attemptsMax || errorType === 'CLIENT_ERROR') throw new Error('no more tries');
      return token(count);
    },
    recordSuccess: () => {},
  };
}

/** The part of s3rver's store that is put right. */
interface S3rverStore {
  getResourcePath(bucket: string, key: string, resource: string): string;
  putObject(object: { readonly bucket: string; readonly key: string }): Promise<{ readonly size: number }>;
  putPart(bucket: string, upload: string, part: number, content: unknown): Promise<{ readonly size: number }>;
  deleteObject(bucket: string, key: string): Promise<void>;
  listObjects(
    bucket: string,
    options: { readonly prefix?: string; readonly startAfter?: string; readonly maxKeys?: number },
  ): Promise<{ objects: { readonly key: string }[]; commonPrefixes: string[]; isTruncated: boolean }>;
}

/** Starts an S3, or makes a bucket on the given one. */
export async function startS3(): Promise<S3Emulator> {
  const bucket = runName;
  if (givenEndpoint !== undefined) {
    const client = new S3Client({ ...emulatorConnection(givenEndpoint), forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    client.destroy();
    return { endpoint: givenEndpoint, bucket, checksums: 'supported', close: async () => {} };
  }
  const directory = await mkdtemp(join(tmpdir(), 'varve-s3-'));
  const configureBuckets = [{ name: bucket, configs: [] }];
  const server = new S3rver({ address: '127.0.0.1', port: 0, silent: true, directory, configureBuckets });
  const { store } = server as unknown as { store: S3rverStore };
  listInByteOrder(store);
  answerWhenWritten(store);
  keepFolders(store);
  replaceDes();
  const { port } = await server.run();
  return {
    endpoint: `http://127.0.0.1:${port}`,
    bucket,
    // It stores what the SDK sends along with a checksum as if it were the object.
    checksums: 'required',
    close: async () => {
      (server as unknown as { httpServer: Server }).httpServer.closeAllConnections();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Starts a DynamoDB, or takes the given one, and makes the tables of meta stores. */
export async function startDynamoDb(...tables: readonly string[]): Promise<Emulator> {
  const service =
    givenEndpoint === undefined ? await startDynalite() : { endpoint: givenEndpoint, close: async () => {} };
  const client = new DynamoDBClient(emulatorConnection(service.endpoint));
  for (const table of tables) await createMetaTable({ client, table, clock: new SystemClock() });
  client.destroy();
  return service;
}

async function startDynalite(): Promise<Emulator> {
  // It has no types.
  const dynalite = createRequire(import.meta.url)('dynalite') as (options: object) => Server;
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** S3 lists by the bytes of keys; s3rver walks folders. */
function listInByteOrder(store: S3rverStore): void {
  const walk = store.listObjects.bind(store);
  store.listObjects = async (bucket, options) => {
    const { startAfter, maxKeys = 1000, ...rest } = options;
    const all = await walk(bucket, { ...rest, maxKeys: Number.POSITIVE_INFINITY });
    const bytes = (key: string): Buffer => Buffer.from(key);
    const after = all.objects
      .filter(({ key }) => startAfter === undefined || Buffer.compare(bytes(key), bytes(startAfter)) > 0)
      .sort((left, right) => Buffer.compare(bytes(left.key), bytes(right.key)));
    return { ...all, objects: after.slice(0, maxKeys), isTruncated: after.length > maxKeys };
  };
}

/** s3rver answers a put when it has read the body, before all of it can be read back. */
function answerWhenWritten(store: S3rverStore): void {
  const putObject = store.putObject.bind(store);
  const putPart = store.putPart.bind(store);
  store.putObject = async (object) => {
    const put = await putObject(object);
    await untilSize(store.getResourcePath(object.bucket, object.key, 'object'), put.size);
    return put;
  };
  store.putPart = async (bucket, upload, part, content) => {
    const put = await putPart(bucket, upload, part, content);
    await untilSize(join(store.getResourcePath(bucket, '', 'uploads'), upload, `${part}`), put.size);
    return put;
  };
}

async function untilSize(path: string, bytes: number): Promise<void> {
  const sizeOf = (): Promise<number> =>
    stat(path).then(
      ({ size }) => size,
      () => -1,
    );
  while ((await sizeOf()) !== bytes) await giveWay();
}

/** s3rver removes folders that deletes leave empty, under the feet of puts. S3 has no folders. */
function keepFolders(store: S3rverStore): void {
  store.deleteObject = async (bucket, key) => {
    for (const resource of ['object', 'object.md5', 'metadata.json'])
      await rm(store.getResourcePath(bucket, key, resource), { force: true });
  };
}

let desIsReplaced = false;

/** s3rver makes its continuation tokens with DES, which today's OpenSSL does not have. */
function replaceDes(): void {
  if (desIsReplaced) return;
  desIsReplaced = true;
  const { createCipheriv, createDecipheriv } = crypto;
  const key = Buffer.alloc(16, 'tokens');
  const wide = (iv: Buffer): Buffer => Buffer.concat([iv, iv]);
  const replaced = <Make extends (...args: never[]) => unknown>(make: Make): Make =>
    ((algorithm: string, secret: Buffer, iv: Buffer, ...rest: unknown[]) =>
      algorithm === 'des'
        ? (make as unknown as (...args: unknown[]) => unknown)('aes-128-cbc', key, wide(iv))
        : (make as unknown as (...args: unknown[]) => unknown)(
            algorithm,
            secret,
            iv,
            ...rest,
          )) as unknown as Make;
  crypto.createCipheriv = replaced(createCipheriv);
  crypto.createDecipheriv = replaced(createDecipheriv);
}
