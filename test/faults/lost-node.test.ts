import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { ApiError } from '../../cli/client/api-client.js';
import { canTellSocketOwner } from '../support/socket-owner.js';
import { differingOwners, groupsInFlux } from './convergence.js';
import { FaultCluster, stopClusters } from './fault-cluster.js';
import { database } from './load.js';

const nodes = ['node-1', 'node-2', 'node-3', 'node-4'];
const lost = 'node-2';

afterAll(stopClusters);

/** Points first to last, in the current window and long past it, written at quorum to a node. */
async function write(at: FaultCluster, node: string, first: number, last: number): Promise<void> {
  const lines: string[] = [];
  for (let point = first; point <= last; point++) {
    const timeNs = BigInt(point % 2 === 0 ? Date.now() : 1_700_000_000_000) * 1_000_000n + BigInt(point);
    lines.push(`motor,machine=m${point % 7} point=${point}i ${timeNs}`);
  }
  const response = await at.process(node).client.request('/api/v3/write_lp', {
    method: 'POST',
    query: { db: database, precision: 'nanosecond', consistency: 'quorum' },
    body: new TextEncoder().encode(lines.join('\n')),
  });
  await response.arrayBuffer();
}

async function points(at: FaultCluster, tier: string): Promise<number> {
  const q = 'SELECT count(*) AS n, count(DISTINCT point) AS d FROM motor';
  const [row] = (await at.process('query-1').client.json('/api/v3/query_sql', {
    query: { db: database, q, tier },
  })) as { readonly n: number; readonly d: number }[];
  expect(row?.n).toBe(row?.d);
  return row?.n ?? 0;
}

/** Asks until nothing is left to say; the test's own time limit ends it. */
async function until(ask: () => Promise<readonly unknown[]>): Promise<void> {
  while ((await ask()).length > 0) await sleep(200);
}

it.skipIf(!canTellSocketOwner)(
  'a node that is lost for ever loses nothing acknowledged at quorum, and others take its place',
  async () => {
    const at = await FaultCluster.start({
      nodes,
      queriers: ['query-1'],
      ingestFlags: [
        ...['--window', '1h', '--deadline', '1h', '--late-delay', '1h', '--heartbeat-interval', '500ms'],
        ...['--node-silence-max', '2s', '--write-timeout', '10s', '--replication', '3'],
      ],
      compactorFlags: ['--compact-interval', '200ms', '--release-grace', '200ms', '--lease-ttl', '1s'],
      volumeBytes: null,
    });
    await at.process('node-1').client.request('/api/v3/configure/database', {
      method: 'POST',
      body: { db: database, window: '1h', deadline: '1h', late_delay: '1h', replication: 3, shards: 4 },
    });
    for (const [index, node] of nodes.entries()) await write(at, node, 100 * index, 100 * index + 99);
    expect(await points(at, 'all')).toBe(400);
    const owned = (await groupsInFlux(at)).filter(({ group }) =>
      group.shards.some(({ owners }) => owners.includes(lost as never)),
    );
    expect(owned.length).toBeGreaterThan(0);

    await at.end(lost, 'SIGKILL');
    rmSync(join(at.directory, lost), { recursive: true });
    await write(at, 'node-1', 400, 499);
    expect(await points(at, 'all')).toBe(500);

    const { client } = at.process('compactor');
    const forget = (): Promise<unknown> =>
      client.json('/api/v1/nodes/forget', { method: 'POST', body: { node: lost } });
    await expect(forget()).rejects.toThrow('it was heard of');
    // Until it has been silent for long enough.
    await until(() =>
      forget().then(
        () => [],
        (error: unknown) => {
          if (error instanceof ApiError && error.status === 409) return [error];
          throw error;
        },
      ),
    );

    await until(async () =>
      (await groupsInFlux(at)).flatMap(({ group }) =>
        group.shards.filter(
          ({ owners, filling = [] }) =>
            owners.length < 3 || owners.includes(lost as never) || filling.length > 0,
        ),
      ),
    );
    await until(() => differingOwners(at));
    expect(await points(at, 'all')).toBe(500);
    await expect(at.startNode(lost)).rejects.toThrow('it was declared lost');

    await until(async () => {
      await client.json('/api/v1/truncate-shards', { method: 'POST', body: {} });
      const answer = (await client.json('/api/v1/seal', {
        method: 'POST',
        body: { db: database, before: new Date().toISOString() },
      })) as { readonly waiting: readonly unknown[] };
      return answer.waiting;
    });
    expect(await points(at, 'settled')).toBe(500);
  },
);
