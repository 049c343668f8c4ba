import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../cli/client/api-client.js';
import { openCatalogs } from '../../cli/serve/catalogs.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { LmdbMetaStore } from '../../core/adapters/meta-store-lmdb.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import type { ShardGroup } from '../../core/catalog/types.js';
import { errorMessage } from '../../core/std/errors.js';
import { countWrites } from './count-writes.js';
import type { FaultCluster } from './fault-cluster.js';
import type { Ledger } from './ledger.js';
import { database } from './load.js';

/** What the end of a run found. */
export interface FinalCheck {
  readonly problems: readonly string[];
  /** Until all processes were ready, all owners held the same, and everything was settled. */
  readonly readySeconds: number;
  readonly convergedSeconds: number;
  readonly settledSeconds: number;
  readonly settledRows: number;
}

/** After healing: all ready, owners alike, everything settled, and history as the ledger says. */
export async function checkConvergence(
  cluster: FaultCluster,
  ledger: Ledger,
  patienceMs: number,
  onStep?: (text: string) => void,
): Promise<FinalCheck> {
  const problems: string[] = [];
  const timed = async (what: string, look: () => Promise<readonly string[]>): Promise<number> => {
    const startedMs = Date.now();
    let found = await look();
    while (found.length > 0 && Date.now() - startedMs < patienceMs) {
      await sleep(250);
      found = await look();
    }
    problems.push(...found.map((problem) => `${what}: ${problem}`));
    onStep?.(`no longer ${what}, or given up`);
    return (Date.now() - startedMs) / 1000;
  };
  const readySeconds = await timed('not ready', () => notReady(cluster));
  const convergedSeconds = await timed('owners differ', () => differingOwners(cluster));
  const settledSeconds = await timed('not settled', () => settle(cluster));
  let settledRows = 0;
  for (const tier of ['all', 'settled'] as const) {
    try {
      const found = await countWrites(cluster, ledger, tier, onStep);
      settledRows = found.reduce((sum, { rows }) => sum + rows, 0);
      problems.push(...ledger.compare(found).map((problem) => `${tier}: ${problem}`));
    } catch (error) {
      problems.push(`${tier}: could not be read: ${errorMessage(error)}`);
    }
  }
  const verified = (await cluster.process('compactor').client.json('/api/v1/verify', {
    query: { db: database },
  })) as { readonly differences: readonly { readonly problem: string }[] };
  onStep?.('verified');
  problems.push(...verified.differences.map(({ problem }) => `verify: ${problem}`));
  return { problems, readySeconds, convergedSeconds, settledSeconds, settledRows };
}

async function notReady(cluster: FaultCluster): Promise<string[]> {
  const problems = await Promise.all(
    cluster.callers.map(async (name) => {
      try {
        await cluster.process(name).client.json('/ready', { signal: AbortSignal.timeout(5000) });
        return [];
      } catch (error) {
        return [`${name}: ${errorMessage(error)}`];
      }
    }),
  );
  return problems.flat();
}

/** Shards of open and closing groups whose owners do not hold the same batches. */
export async function differingOwners(cluster: FaultCluster): Promise<string[]> {
  const problems: string[] = [];
  for (const { databaseId, group } of await groupsInFlux(cluster)) {
    if (group.state === 'sealed') continue;
    for (const [shard, { owners }] of group.shards.entries()) {
      const digests = await Promise.all(
        owners.map(async (owner) => {
          const report = await cluster.peer(owner).reportGroup(databaseId, group.id);
          return report.shards.find((held) => held.shard === shard)?.digest ?? 'nothing';
        }),
      ).catch((error: unknown) => [errorMessage(error), '']);
      if (new Set(digests).size > 1) {
        problems.push(`shard ${shard} of ${group.id}: ${owners.join()} hold ${digests.join()}`);
      }
    }
  }
  return problems;
}

async function settle(cluster: FaultCluster): Promise<string[]> {
  const { client } = cluster.process('compactor');
  try {
    await client.json('/api/v1/truncate-shards', { method: 'POST', body: { db: database } });
    const answer = (await client.json('/api/v1/seal', {
      method: 'POST',
      body: { db: database, before: new Date().toISOString() },
    })) as { readonly waiting: readonly { readonly group: string; readonly reason: string }[] };
    const waiting = answer.waiting.map(({ group, reason }) => `${group}: ${reason}`);
    // What an owner finds to be missing from history when it lets a group go makes a late group.
    const left = (await groupsInFlux(cluster)).map(({ group }) => `${group.id} is ${group.state}`);
    return waiting.length > 0 ? waiting : left;
  } catch (error) {
    if (error instanceof ApiError && error.status >= 500) return [error.message];
    throw error;
  }
}

/** What the catalog names as in flux. */
export async function groupsInFlux(
  cluster: FaultCluster,
): Promise<{ readonly databaseId: string; readonly group: ShardGroup }[]> {
  const store = await LmdbMetaStore.open(join(cluster.directory, 'meta'));
  try {
    const catalogs = openCatalogs({ store, clock: new SystemClock(), random: new SystemRandom() });
    const found = await catalogs.databases.get(database);
    if (found === undefined) return [];
    const { groups } = (await catalogs.groups.get(found)).value;
    return groups.map((group) => ({ databaseId: found.id, group }));
  } finally {
    await store.close();
  }
}
