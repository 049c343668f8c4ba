import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { S3ObjectStore } from '../../core/adapters/object-store-s3.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import { exchange } from '../support/http-exchange.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  sealAll,
  startTestServer,
  type TestServer,
  writeLines,
} from '../support/server-process.js';
import {
  type Emulator,
  emulatorConnection,
  emulatorCredentials,
  runName,
  type S3Emulator,
  startDynamoDb,
  startS3,
} from './emulators.js';
import { type FaultProxy, startFaultProxy } from './fault-proxy.js';

/** One server after another, each with a data directory of its own: what they share is in S3 and DynamoDB alone. */
const db = 'cloud';
const hosts = 20;
const pointsPerSeal = hosts * 30;

let s3: S3Emulator;
let proxy: FaultProxy;
let dynamoDb: Emulator;
let catalogProxy: FaultProxy;
let server: TestServer;
const dataDirs: string[] = [];

/** Nothing but what is asked for. */
const quiet = ['--housekeeping-interval', '1h', '--compact-interval', '1h'];
const busy = ['--housekeeping-interval', '300ms', '--unreferenced-grace', '1s', '--merge-fan-in', '2'];

async function startServer(flags: readonly string[]): Promise<TestServer> {
  const dataDir = makeDataDir();
  dataDirs.push(dataDir);
  return startTestServer({
    dataDir,
    flags: [
      ...['--object-store', `s3://${s3.bucket}/warehouse/main`, '--meta-store', `dynamodb://${runName}`],
      ...['--window', '10m', '--deadline', '2h', '--late-delay', '2h', '--history', '1s'],
      ...['--release-grace', '100ms', '--log-level', 'error', ...flags],
    ],
    env: {
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: emulatorCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: emulatorCredentials.secretAccessKey,
      AWS_ENDPOINT_URL_S3: proxy.endpoint,
      AWS_ENDPOINT_URL_DYNAMODB: catalogProxy.endpoint,
      AWS_REQUEST_CHECKSUM_CALCULATION: `when_${s3.checksums}`,
      AWS_RESPONSE_CHECKSUM_VALIDATION: `when_${s3.checksums}`,
    },
  });
}

/** Points of one day in 2020, a stretch of time for each seal; values add up to the same sum each time. */
async function writeAndSeal(seal: number): Promise<void> {
  await writeOnly(seal);
  await sealAll(server.client, db);
}

async function writeOnly(seal: number): Promise<void> {
  const startMs = Date.UTC(2020, 0, 1) + seal * 3_600_000;
  const lines = Array.from({ length: pointsPerSeal }, (_, index) => {
    const timeMs = startMs + Math.floor(index / hosts) * 10_000;
    return `cpu,host=h${index % hosts} usage=${index}.5,seal=${seal}i ${timeMs}`;
  });
  await writeLines(server.client, db, lines.join('\n'), 'millisecond');
}

const sumPerSeal = (pointsPerSeal * (pointsPerSeal - 1)) / 2 + pointsPerSeal / 2;

async function expectHistory(seals: number): Promise<void> {
  const q = 'SELECT count(*)::INT AS points, sum(usage) AS total FROM cpu';
  expect(await queryRows(server.client, db, q, { tier: 'settled' })).toEqual([
    { points: seals * pointsPerSeal, total: seals * sumPerSeal },
  ]);
  expect(await queryRows(server.client, db, q)).toEqual([
    { points: seals * pointsPerSeal, total: seals * sumPerSeal },
  ]);
}

async function expectVerified(): Promise<void> {
  const report = await exchange(server, '/api/v1/verify', { query: { db } });
  expect(report.status, report.text).toBe(200);
  expect(report.body).toMatchObject({ differences: [] });
}

/** Metrics by name and labels as they are written. */
async function metrics(): Promise<ReadonlyMap<string, number>> {
  const { text } = await exchange(server, '/metrics');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

/** What `work` adds to each of the counters whose name begins with one of `names`. */
async function added(names: readonly string[], work: () => Promise<void>): Promise<Record<string, number>> {
  const [start, idle] = [await metrics(), await metrics()];
  await work();
  const end = await metrics();
  const differences = [...end].flatMap(([name, value]): [string, number][] => {
    if (!names.some((prefix) => name.startsWith(prefix))) return [];
    // Asking for the metrics takes requests of its own.
    const asking = (idle.get(name) ?? 0) - (start.get(name) ?? 0);
    const difference = value - (idle.get(name) ?? 0) - asking;
    return difference === 0 ? [] : [[name, difference]];
  });
  return Object.fromEntries(differences);
}

const sumOf = (counts: Readonly<Record<string, number>>, part: RegExp): number =>
  Object.entries(counts).reduce((sum, [name, count]) => (part.test(name) ? sum + count : sum), 0);

beforeAll(async () => {
  s3 = await startS3();
  proxy = await startFaultProxy(s3);
  dynamoDb = await startDynamoDb(runName);
  catalogProxy = await startFaultProxy(dynamoDb);
  server = await startServer(quiet);
});
afterAll(async () => {
  await server.kill();
  await Promise.all([proxy.close(), catalogProxy.close()]);
  await Promise.all([s3.close(), dynamoDb.close()]);
  dataDirs.forEach(removeDataDir);
});

describe('varve serve on S3 and DynamoDB', () => {
  it('settles what is written, answers from it, and verifies it', async () => {
    await writeAndSeal(0);
    await expectHistory(1);
    await expectVerified();
    const uris = proxy.requests.filter(({ method }) => method === 'PUT').map(({ path }) => path);
    expect(uris.every((path) => path.startsWith(`/${s3.bucket}/warehouse/main/`))).toBe(true);
  });

  it('seals a table with at most 4 puts, no listing, and 3 writes to the catalog beside those for what was sealed before', async () => {
    await writeOnly(1);
    const from = catalogProxy.requests.length;
    const counts = await added(['varve_compactor_aws_requests_total'], () => sealAll(server.client, db));
    console.log('requests of the compactor for one seal of one table:', counts);
    expect(sumOf(counts, /PutObject|UploadPart/)).toBeLessThanOrEqual(4);
    expect(sumOf(counts, /ListObjects/)).toBe(0);
    const written = catalogProxy.requests.slice(from).filter(({ operation }) => operation === 'UpdateItem');
    const writes = (kind: string): number => written.filter(({ key }) => key.startsWith(`${kind}/`)).length;
    // The group closed, and marked as sealed together with the watermark; the one sealed before let go.
    expect(writes('groups')).toBeGreaterThanOrEqual(2);
    expect(writes('groups')).toBeLessThanOrEqual(3);
    // The commit, and what the record forgets. The lease is renewed as often as time passes.
    expect(writes('table')).toBeGreaterThanOrEqual(1);
    expect(writes('table')).toBeLessThanOrEqual(2);
    expect(writes('groups') + writes('table') + writes('lease')).toBe(written.length);
    await expectHistory(2);
  });

  it('answers a settled query from its cache the second time, with few reads of the catalog', async () => {
    const q = "SELECT max(usage) AS most FROM cpu WHERE time < '2020-01-01T00:30:00Z'";
    const ask = async (): Promise<void> => {
      expect(await queryRows(server.client, db, q)).toEqual([{ most: pointsPerSeal - 0.5 }]);
    };
    await ask();
    const counts = await added(['varve_aws_requests_total', 'varve_dynamodb_units_total'], ask);
    console.log('requests of a query whose files are in the cache:', counts);
    expect(sumOf(counts, /service="s3"/)).toBe(0);
    expect(sumOf(counts, /service="dynamodb"/)).toBeLessThan(10);
  });

  it('takes writes into groups that it knows with hardly a request to AWS', async () => {
    const write = async (): Promise<void> => {
      // A point that is there already, which changes no answer.
      const line = `cpu,host=h0 usage=0.5,seal=0i ${Date.UTC(2020, 0, 1)}`;
      for (let round = 0; round < 10; round++) await writeLines(server.client, db, line, 'millisecond');
    };
    await write();
    // What a node knows of a database it asks for again once a second, however many writes there are.
    expect(sumOf(await added(['varve_aws_requests_total'], write), /./)).toBeLessThan(10);
    await sealAll(server.client, db);
  });

  it('takes writes while S3 is away, says so, and settles them when it is back', async () => {
    proxy.fault = () => ({ kind: 'refused', by: 'reset' });
    const startMs = Date.UTC(2020, 0, 1) + 2 * 3_600_000;
    const lines = Array.from(
      { length: pointsPerSeal },
      (_, index) =>
        `cpu,host=h${index % hosts} usage=${index}.5,seal=2i ${startMs + Math.floor(index / hosts) * 10_000}`,
    );
    await writeLines(server.client, db, lines.join('\n'), 'millisecond');
    const ready = await exchange(server, '/ready');
    expect(ready.status).toBe(503);
    expect(ready.text).toContain(`S3 bucket ${s3.bucket}: no answer`);
    expect((await exchange(server, '/health')).status).toBe(200);
    proxy.fault = () => undefined;
    expect((await exchange(server, '/ready')).status).toBe(200);
    await sealAll(server.client, db);
    await expectHistory(3);
  });

  it('finds all of history again on a machine that never saw it', async () => {
    await server.kill();
    server = await startServer(quiet);
    const from = proxy.requests.length;
    const q = "SELECT usage FROM cpu WHERE host = 'h7' AND time = '2020-01-01T01:00:10Z'";
    expect(await queryRows(server.client, db, q, { tier: 'settled' })).toEqual([{ usage: 27.5 }]);
    const reads = proxy.requests.slice(from).filter(({ method }) => method === 'GET');
    console.log(
      'reads from S3 for the first query of a process:',
      reads.map(({ path }) => path.slice(-40)),
    );
    // The manifest that the table's record names for that time, and the file.
    expect(reads.length).toBeLessThanOrEqual(2);
    await expectHistory(3);
    await expectVerified();
  });

  it('merges small files without changing an answer', async () => {
    await writeAndSeal(3);
    const merged = await exchange(server, '/api/v1/compact', { body: { db } });
    expect(merged.status, merged.text).toBe(200);
    const status = (await server.client.json('/api/v1/settled', { query: { db } })) as {
      readonly tables: readonly { readonly files: number }[];
    };
    expect(status.tables.map(({ files }) => files)).toEqual([1]);
    await expectHistory(4);
    await expectVerified();
  });

  it('expires old versions and removes their objects', async () => {
    await server.kill();
    server = await startServer(busy);
    const bucket = new S3ObjectStore({
      location: { bucket: s3.bucket, prefix: 'warehouse/main' },
      clock: new SystemClock(),
      random: new SystemRandom(),
      connection: emulatorConnection(s3.endpoint),
      pathStyle: true,
    });
    const dataFiles = async (): Promise<string[]> => {
      const files: string[] = [];
      for await (const { key } of bucket.list('')) if (key.endsWith('.parquet')) files.push(key);
      return files;
    };
    const before = await dataFiles();
    expect(before.length).toBeGreaterThan(5);
    await vi.waitFor(
      async () => {
        // Tables are looked at when they have changed; the same points again change no answer.
        await writeAndSeal(3);
        const left = new Set(await dataFiles());
        expect(before.filter((key) => left.has(key))).toEqual([]);
      },
      { timeout: 60_000, interval: 250 },
    );
    bucket.close();
    await expectHistory(4);
    await expectVerified();
  });

  it('says at start which table is missing', async () => {
    const start = startServer(['--meta-store', 'dynamodb://not-there']);
    await expect(start).rejects.toThrow(/DynamoDB table not-there: it does not exist; make the table/);
  });

  it('says at start which bucket is missing, and in /ready', async () => {
    const lost = await startServer(['--object-store', 's3://not-there/x', '--node-id', 'node-2']);
    const problem = 'S3 bucket not-there: it does not exist; make the bucket or name another';
    expect(lost.log()).toContain(problem);
    expect((await exchange(lost, '/ready')).text).toContain(problem);
    await lost.kill();
  });
});
