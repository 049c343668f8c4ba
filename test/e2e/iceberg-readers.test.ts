import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tableFromIPC } from 'apache-arrow';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { icebergManifests, icebergRead } from 'icebird';
import { readParquet } from 'parquet-wasm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonRows } from '../support/answer-rows.js';
import { serveFileUrls } from '../support/file-fetch.js';
import { exchange } from '../support/http-exchange.js';
import {
  makeDataDir,
  removeDataDir,
  sealAll,
  startTestServer,
  type TestServer,
  writeLines,
} from '../support/server-process.js';

/** Readers that are none of ours read the history from the object folder; what they find is what the server answers. */
const db = 'open';
const table = 'meter';
const tags = ['host', 'dc'];
const fields = ['d', 'i', 'u', 'b', 's', 'extra'];
const dayNs = 86_400_000_000_000n;
const startNs = 1_600_000_000_000_000_000n;

type Metadata = Parameters<typeof icebergManifests>[0];
/** A point as text, whoever read it; names of columns without a value are left out. */
type Point = Readonly<Record<string, string>>;

let dataDir = '';
let server: TestServer;
let stopServingFiles = (): void => {};
beforeAll(async () => {
  dataDir = makeDataDir();
  stopServingFiles = serveFileUrls();
  server = await startTestServer({
    dataDir,
    flags: ['--deadline', '2h', '--late-delay', '2h', '--release-grace', '100ms', '--log-level', 'warn'],
  });
});
afterAll(async () => {
  stopServingFiles();
  await server.kill();
  removeDataDir(dataDir);
});

/** Times are whole milliseconds and some nanoseconds: icebird gives times as Date, which holds no more. */
function line(host: string, number: number, values: string, nanos = 0): string {
  const timeNs = startNs + BigInt(number % 3) * dayNs + BigInt(number) * 1_000_000n + BigInt(nanos);
  return `${table},host=${host} ${values} ${timeNs}`;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** What happens to the table, step by step; the readers read it after each. */
const steps: readonly (readonly [what: string, work: () => Promise<void>])[] = [
  [
    'a first seal over three days, every type and nulls',
    async () => {
      const lines = range(60).map((number) =>
        line(
          `h${number % 4}`,
          number,
          number % 5 === 0
            ? `d=${number / 8}`
            : `d=-${number}.5,i=${9_007_199_254_740_993n + BigInt(number)}i,u=${number}u,b=${number % 2 === 0},s="é ${number}\n\\"q\\""`,
        ),
      );
      await writeLines(server.client, db, lines.join('\n'));
      await sealAll(server.client, db);
    },
  ],
  [
    'late points between those there are',
    async () => {
      const lines = range(20).map((number) => line('late', number, `d=${number},i=-${number}i`));
      await writeLines(server.client, db, lines.join('\n'));
      await sealAll(server.client, db);
    },
  ],
  [
    'a new tag, a new field and times below the microsecond',
    async () => {
      const lines = range(20).map((number) =>
        line('new', number, `extra=${number}i,d=0.25`, 1 + number).replace(
          'host=new',
          `dc=eu,host=n${number % 2}`,
        ),
      );
      await writeLines(server.client, db, lines.join('\n'));
      await sealAll(server.client, db);
    },
  ],
  [
    'points written again, merged',
    async () => {
      const lines = range(60).map((number) => line(`h${number % 4}`, number, `d=1000.5,extra=${number}i`));
      await writeLines(server.client, db, lines.join('\n'));
      await sealAll(server.client, db);
      await exchange(server, '/api/v1/compact', { body: { db } });
    },
  ],
];

/** Every point as the server answers it from settled history. */
async function serverPoints(): Promise<Point[]> {
  const columns = await exchange(server, '/api/v3/query_sql', {
    query: {
      db,
      q: `SELECT column_name AS c FROM information_schema.columns WHERE table_schema <> 'varve' AND column_name <> 'time'`,
    },
  });
  const names = (columns.body as { c: string }[]).map(({ c }) => `"${c}"`).join(', ');
  const q = `SELECT epoch_ns(time) AS time, ${names} FROM ${table}`;
  const answer = await exchange(server, '/api/v3/query_sql', { query: { db, q, tier: 'settled' } });
  return inOrder(jsonRows(answer.text));
}

/** The metadata that is current: that of the snapshot the server names, the newest if there are several. */
async function currentMetadata(): Promise<Metadata> {
  const status = (await server.client.json('/api/v1/settled', { query: { db } })) as {
    tables: readonly { table: string; snapshot: string }[];
  };
  const snapshot = status.tables.find((candidate) => candidate.table === table)?.snapshot ?? '';
  const paths = readdirSync(join(dataDir, 'objects'), { recursive: true, encoding: 'utf8' });
  const texts = paths
    .filter((path) => path.endsWith('.metadata.json'))
    .sort()
    .map((path) => readFileSync(join(dataDir, 'objects', path), 'utf8'))
    .filter((text) => text.includes(`"current-snapshot-id":${snapshot}`));
  return JSON.parse(texts.at(-1) ?? 'null') as Metadata;
}

/** The bytes of the data files that the current snapshot names. */
async function dataFiles(metadata: Metadata): Promise<Uint8Array[]> {
  const manifests = await icebergManifests(metadata);
  const live = manifests.flatMap(({ entries }) => entries.filter((entry) => entry.status !== 2));
  return live.map((entry) => readFileSync(fileURLToPath(entry.data_file.file_path)));
}

/** Points sorted, values as text. Doubles as JavaScript writes them. */
function inOrder(rows: readonly Readonly<Record<string, unknown>>[]): Point[] {
  const points = rows.map((row) => {
    const known = ['time', ...tags, ...fields].flatMap((name) => {
      const value = row[name];
      if (value === null || value === undefined) return [];
      return [[name, name === 'd' ? String(Number(value)) : String(value)] as const];
    });
    return Object.fromEntries(known);
  });
  const keyOf = (point: Point): string => ['time', ...tags].map((name) => point[name] ?? '').join('\u0000');
  return points.sort((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
}

async function icebirdPoints(metadata: Metadata): Promise<Point[]> {
  const rows = await icebergRead({ tableUrl: 'file:///unused', metadata });
  return inOrder(
    rows.map(({ time, time_ns: nanos, ...row }) => ({
      ...row,
      time: BigInt((time as Date).getTime()) * 1_000_000n + BigInt((nanos as number | undefined) ?? 0),
    })),
  );
}

async function hyparquetPoints(files: readonly Uint8Array[]): Promise<Point[]> {
  const raw = (count: bigint): bigint => count;
  const read = files.map((bytes) =>
    parquetReadObjects({
      file: new Uint8Array(bytes).buffer,
      compressors,
      parsers: { timestampFromMicroseconds: raw },
    }),
  );
  return inOrder(
    (await Promise.all(read))
      .flat()
      .map(({ time, time_ns: nanos, ...row }) => ({ ...row, time: exactNs(time, nanos) })),
  );
}

function parquetWasmPoints(files: readonly Uint8Array[]): Point[] {
  return inOrder(
    files.flatMap((bytes) => {
      const read = tableFromIPC(readParquet(bytes).intoIPCStream());
      const column = (name: string): unknown[] => {
        const vector = read.getChild(name);
        if (vector === null) return [];
        // Arrow's own accessor makes milliseconds of timestamps.
        if (name === 'time') return vector.data.flatMap((data) => Array.from(data.values as BigInt64Array));
        return Array.from(vector, plain);
      };
      const names = ['time', 'time_ns', ...tags, ...fields];
      const columns = names.map((name) => [name, column(name)] as const);
      return range(read.numRows).map((row) => {
        const {
          time,
          time_ns: nanos,
          ...rest
        } = Object.fromEntries(columns.map(([name, values]) => [name, values[row]]));
        return { ...rest, time: exactNs(time, nanos) };
      });
    }),
  );
}

function exactNs(micros: unknown, nanos: unknown): bigint {
  return (micros as bigint) * 1000n + BigInt((nanos as number | null | undefined) ?? 0);
}

/** A decimal of Arrow, which comes as 32-bit words, as an integer. */
function plain(value: unknown): unknown {
  if (!(value instanceof Uint32Array)) return value;
  return value.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
}

describe('other readers find what the server answers', () => {
  it.each(steps)('after %s', async (_, work) => {
    await work();
    const want = await serverPoints();
    const metadata = await currentMetadata();
    const files = await dataFiles(metadata);
    expect(want.length).toBeGreaterThan(0);
    expect(await icebirdPoints(metadata)).toEqual(want);
    expect(await hyparquetPoints(files)).toEqual(want);
    expect(parquetWasmPoints(files)).toEqual(want);
  });

  it('and after all of it the points are those that were written', async () => {
    const points = await serverPoints();
    expect(points).toHaveLength(100);
    expect(points.filter((point) => point['d'] === '1000.5')).toHaveLength(60);
    expect(
      points
        .filter((point) => point['dc'] === 'eu')
        .map((point) => Number(BigInt(point['time'] ?? 0) % 1000n))
        .sort((left, right) => left - right),
    ).toEqual(range(20).map((number) => number + 1));
    const texts = points.filter((point) => point['s'] !== undefined);
    expect(texts).toHaveLength(48);
    const verified = await exchange(server, '/api/v1/verify', { query: { db } });
    expect(verified.body).toMatchObject({ ok: true });
  });
});
