import { ApiClient, ApiError } from '../client/api-client.js';
import { type DemoReport, differs } from '../demo/report.js';
import type { LocalCluster } from './local-cluster.js';

/** What the check works with. */
export interface SelfCheckTools {
  readonly cluster: LocalCluster;
  readonly report: DemoReport;
  readonly nowMs: () => number;
  readonly sleep: (delayMs: number) => Promise<void>;
}

const database = 'selfcheck';
const rowsAWrite = 250;
const patienceMs = 90_000;

/** Writes at quorum, ends a node, reads, brings it back, settles, reads again; notes in the report what held. */
export async function selfCheck(tools: SelfCheckTools): Promise<void> {
  const { cluster, report } = tools;
  const client = (name: string): ApiClient => new ApiClient({ url: cluster.process(name).url });
  const count = (tier: string): Promise<number> => countRows(client('query'), tier);
  const [first = '', second = '', ...others] = cluster.nodeNames;

  report.step(`Writing at quorum to a database of ${cluster.nodeNames.length} owners a shard`);
  await client(first).request('/api/v3/configure/database', {
    method: 'POST',
    body: { db: database, replication: cluster.nodeNames.length, consistency: 'quorum' },
  });
  let written = 0;
  for (const node of cluster.nodeNames) {
    await write(client(node), written, tools);
    written += rowsAWrite;
  }
  report.check(`every node took ${rowsAWrite} lines`, differs('rows', await count('all'), written));

  report.step(`Ending ${second} as a crash would (SIGKILL)`);
  await cluster.kill(second);
  for (const node of [first, ...others]) {
    await write(client(node), written, tools);
    written += rowsAWrite;
  }
  report.check('the others go on, and answers are whole', differs('rows', await count('all'), written));

  report.step(`Starting ${second} again, and settling`);
  await cluster.startNode(second);
  const waiting = await settle(client('compactor'), tools);
  report.check('everything is settled', waiting);
  report.check('settled history holds every line once', differs('rows', await count('settled'), written));
  const verified = (await client('compactor').json('/api/v1/verify', { query: { db: database } })) as {
    readonly differences: readonly { readonly problem: string }[];
  };
  report.check(
    'every file is what its hash says',
    verified.differences.map(({ problem }) => problem),
  );
}

async function write(client: ApiClient, from: number, { nowMs }: SelfCheckTools): Promise<void> {
  const lines = Array.from(
    { length: rowsAWrite },
    (_, index) => `motor,machine=m${index % 20} point=${from + index}i ${nowMs() * 1000 + from + index}`,
  );
  const response = await client.request('/api/v3/write_lp', {
    method: 'POST',
    query: { db: database, precision: 'microsecond', consistency: 'quorum' },
    body: new TextEncoder().encode(lines.join('\n')),
  });
  await response.arrayBuffer();
}

async function countRows(client: ApiClient, tier: string): Promise<number> {
  const [row] = (await client.json('/api/v3/query_sql', {
    query: { db: database, q: 'SELECT count(DISTINCT point) AS points, count(*) AS n FROM motor', tier },
  })) as readonly { readonly points: number; readonly n: number }[];
  return row?.n === row?.points ? (row?.n ?? 0) : Number.NaN;
}

/** Settles all there is; what still waits when patience is at its end, with the reasons. */
async function settle(client: ApiClient, { nowMs, sleep }: SelfCheckTools): Promise<string[]> {
  const startedMs = nowMs();
  for (;;) {
    const waiting = await sealOnce(client, nowMs());
    if (waiting.length === 0 || nowMs() - startedMs > patienceMs) return waiting;
    await sleep(500);
  }
}

async function sealOnce(client: ApiClient, nowMs: number): Promise<string[]> {
  try {
    await client.json('/api/v1/truncate-shards', { method: 'POST', body: { db: database } });
    const answer = (await client.json('/api/v1/seal', {
      method: 'POST',
      body: { db: database, before: new Date(nowMs).toISOString() },
    })) as { readonly waiting: readonly { readonly group: string; readonly reason: string }[] };
    return answer.waiting.map(({ group, reason }) => `${group}: ${reason}`);
  } catch (error) {
    if (error instanceof ApiError && error.status === 503) return [error.message];
    throw error;
  }
}
