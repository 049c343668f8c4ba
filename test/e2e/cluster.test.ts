import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiError } from '../../cli/client/api-client.js';
import { clusterSecret } from '../support/peer-server.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  startTestProcess,
  type TestProcess,
  writeLines,
} from '../support/server-process.js';

const db = 'plant';
/** Nothing closes by itself: the tests say when. */
const longSpans = ['--window', '1h', '--deadline', '1h', '--late-delay', '1h'];
const quiet = ['--log-level', 'error'];
/** Some time long ago, so that all points are late. */
const baseNs = 1_700_000_000_000_000_000n;

let folder = '';
let running: TestProcess[] = [];

beforeEach(() => {
  folder = makeDataDir();
  running = [];
  writeFileSync(join(folder, 'secret'), `${clusterSecret}\n`);
});
afterEach(async () => {
  for (const each of running) await each.kill('SIGKILL');
  removeDataDir(folder);
});

async function start(
  command: 'ingest' | 'compactor' | 'query',
  more: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<TestProcess> {
  const shared = [
    ...['--meta-store', `lmdb:${join(folder, 'meta')}`, '--cluster-secret-file', join(folder, 'secret')],
    ...(command === 'ingest' ? [] : ['--object-store', `file:${join(folder, 'objects')}`]),
    ...quiet,
  ];
  const started = await startTestProcess({ command, flags: [...shared, ...more], env });
  running.push(started);
  return started;
}

const startIngest = (node = 'node-1', data = node): Promise<TestProcess> =>
  start('ingest', [
    ...['--node-id', node, '--data-dir', join(folder, data), '--peer-port', '0'],
    ...longSpans,
  ]);
const startCompactor = (env: Readonly<Record<string, string>> = {}): Promise<TestProcess> =>
  start('compactor', ['--lease-ttl', '1s', '--release-grace', '100ms', '--compact-interval', '100ms'], env);
const startQuery = (cache = 'cache'): Promise<TestProcess> =>
  start('query', ['--cache-dir', join(folder, cache)]);

/** Lines of points first to last of a machine; `value` tells versions of a point apart. */
function lines(first: number, last: number, value: number): string {
  const all: string[] = [];
  for (let point = first; point <= last; point++) {
    const timeNs = baseNs + BigInt(point) * 1_000_000_000n;
    all.push(`motor,machine=m${point % 5} point=${point}i,value=${value} ${timeNs}`);
  }
  return all.join('\n');
}

/** Points with their values, as the querier answers; a point that came twice shows twice. */
async function points(querier: TestProcess, tier = 'all'): Promise<string[]> {
  const rows = await queryRows(querier.client, db, 'SELECT point, value FROM motor ORDER BY point', { tier });
  return rows.map(({ point, value }) => `${point}:${value}`);
}

function wanted(...ranges: readonly (readonly [first: number, last: number, value: number])[]): string[] {
  return ranges.flatMap(([first, last, value]) =>
    Array.from({ length: last - first + 1 }, (_, index) => `${first + index}:${value}`),
  );
}

interface SealAnswer {
  readonly sealed: readonly { readonly group: string }[];
  readonly waiting: readonly { readonly group: string; readonly reason: string }[];
}

function seal(compactor: TestProcess): Promise<SealAnswer> {
  const body = { db, before: new Date(Date.now() + 3_600_000).toISOString() };
  return compactor.client.json('/api/v1/seal', { method: 'POST', body }) as Promise<SealAnswer>;
}

/** Asks again while the answer is 503: a lease runs out, a group waits for its owner. */
async function patiently<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 503) || attempt === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

describe('ingest, compactor and querier as processes of their own', () => {
  it('show every point once in both tiers, while processes come and go', async () => {
    let ingest = await startIngest();
    const [compactor, querier] = await Promise.all([startCompactor(), startQuery()]);

    await writeLines(ingest.client, db, lines(1, 300, 1));
    expect(await points(querier)).toEqual(wanted([1, 300, 1]));
    expect(await points(querier, 'settled')).toEqual([]);

    expect((await patiently(() => seal(compactor))).waiting).toEqual([]);
    expect(await points(querier, 'settled')).toEqual(wanted([1, 300, 1]));
    expect(await points(querier)).toEqual(wanted([1, 300, 1]));

    // Late: some anew, some for points that are settled.
    await writeLines(ingest.client, db, lines(291, 400, 2));
    expect(await points(querier)).toEqual(wanted([1, 290, 1], [291, 400, 2]));

    await ingest.kill('SIGKILL');
    const short = await points(querier).catch((error: unknown) => error);
    expect(short).toMatchObject({
      status: 503,
      message: expect.stringMatching(/shard 0 of group l\d+.*node node-1.*cannot be reached/),
    });
    expect(await points(querier, 'settled')).toEqual(wanted([1, 300, 1]));
    const { sealed, waiting } = await seal(compactor);
    expect(sealed).toEqual([]);
    expect(waiting).toMatchObject([{ reason: expect.stringMatching(/owner node-1: .*cannot be reached/) }]);

    ingest = await startIngest();
    expect(await points(querier)).toEqual(wanted([1, 290, 1], [291, 400, 2]));
    await writeLines(ingest.client, db, lines(401, 410, 3));
    const everything = wanted([1, 290, 1], [291, 400, 2], [401, 410, 3]);
    expect(await points(querier)).toEqual(everything);
    await patiently(() => seal(compactor));
    expect(await points(querier, 'settled')).toEqual(everything);
    expect(await points(querier)).toEqual(everything);
  });

  it.each(['seal.after-parquet-put', 'seal.after-table-commit', 'seal.before-group-sealed'])(
    'seal once, though the compactor dies at %s and another takes over',
    async (failpoint) => {
      const ingest = await startIngest();
      const querier = await startQuery();
      await writeLines(ingest.client, db, lines(1, 100, 1));
      const dying = await startCompactor({ VARVE_FAILPOINT: failpoint });
      await expect(seal(dying)).rejects.toThrow();
      expect((await dying.ended).signal).toBe('SIGKILL');
      expect(await points(querier)).toEqual(wanted([1, 100, 1]));

      await writeLines(ingest.client, db, lines(101, 120, 2));
      const next = await startCompactor();
      await patiently(() => seal(next));
      const everything = wanted([1, 100, 1], [101, 120, 2]);
      expect(await points(querier, 'settled')).toEqual(everything);
      expect(await points(querier)).toEqual(everything);
      const verified = await next.client.json('/api/v1/verify', { query: { db } });
      expect(verified).toMatchObject({ ok: true, differences: [] });
    },
  );

  it('let one of two compactors work and the other one wait for its end', async () => {
    const ingest = await startIngest();
    const [querier, other] = await Promise.all([startQuery(), startQuery('another-cache')]);
    await writeLines(ingest.client, db, lines(1, 50, 1));
    const first = await startCompactor();
    await patiently(() => seal(first));
    const second = await startCompactor();
    await expect(seal(second)).rejects.toMatchObject({
      status: 503,
      message: expect.stringContaining('the lease of the compactor is held by'),
    });
    await writeLines(ingest.client, db, lines(51, 60, 1));
    await first.kill('SIGKILL');
    await patiently(() => seal(second));
    for (const each of [querier, other]) {
      expect(await points(each, 'settled')).toEqual(wanted([1, 60, 1]));
    }
  });

  it('refuse a process with another secret, and say so', async () => {
    const ingest = await startIngest();
    await writeLines(ingest.client, db, lines(1, 2, 1));
    writeFileSync(join(folder, 'secret'), 'quite another secret of the same length');
    const stranger = await startQuery();
    await expect(points(stranger)).rejects.toMatchObject({
      status: 503,
      message: expect.stringContaining('--cluster-secret-file'),
    });
  });

  it('end when they cannot start: another data directory, another directory in use, a port that is taken', async () => {
    await startIngest('node-1');
    await startIngest('node-2');
    await expect(startIngest('node-1', 'empty')).rejects.toThrow(/node node-1 has been started before/);
    await expect(startIngest('node-1', 'node-2')).rejects.toThrow(/in use by process/);
    for (const each of running.splice(0)) await each.kill('SIGKILL');
    await expect(startIngest('node-1', 'node-2')).rejects.toThrow(/it is that of node node-2/);
    const { url } = await startIngest('node-1');
    const taken = ['--port', new URL(url).port];
    await expect(start('query', ['--cache-dir', join(folder, 'cache'), ...taken])).rejects.toThrow(
      /EADDRINUSE/,
    );
    await expect(start('compactor', taken)).rejects.toThrow(/EADDRINUSE/);
  });

  it('hand a write on to the ingest node that owns the shard', async () => {
    const owner = await startIngest('node-1');
    const querier = await startQuery();
    // While it is alone it can but own what it writes.
    await writeLines(owner.client, db, lines(1, 5, 1));
    const other = await startIngest('node-2');
    await writeLines(other.client, db, lines(4, 8, 2));
    expect(await points(querier)).toEqual(wanted([1, 3, 1], [4, 8, 2]));
    await owner.kill('SIGKILL');
    await expect(writeLines(other.client, db, lines(9, 9, 3))).rejects.toMatchObject({ status: 503 });
    await startIngest('node-1');
    await writeLines(other.client, db, lines(9, 9, 3));
    expect(await points(querier)).toEqual(wanted([1, 3, 1], [4, 8, 2], [9, 9, 3]));
  });

  it('do not start without a secret', async () => {
    writeFileSync(join(folder, 'secret'), 'short\n');
    await expect(startIngest()).rejects.toThrow(/want a secret of at least 16 bytes/);
  });
});
