import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { VarveError } from '../../../core/std/errors.js';
import type { HotTier } from '../../../ingest/hot/hot-tier.js';
import { GroupRelease } from '../../../ingest/repair/group-release.js';
import { OwnerGates } from '../../../ingest/replicate/owner-gates.js';
import type { Wal } from '../../../ingest/wal/wal.js';
import { MemoryCluster } from '../../support/memory-cluster.js';

const uncaught: unknown[] = [];
const note = (error: unknown): void => void uncaught.push(error);
afterEach(() => {
  process.off('unhandledRejection', note);
  uncaught.length = 0;
});

it('fails, and does not end the process, when a batch cannot be written anew while the log is still read', async () => {
  process.on('unhandledRejection', note);
  const cluster = await MemoryCluster.make(['n1']);
  const group = await cluster.openGroup(['n1']);
  const [first, second] = [cluster.batch(group, 1), cluster.batch(group, 2)];
  const database = cluster.database.id;
  const wal = {
    fetch: async function* () {
      yield first.bytes;
      // A disk takes its time: whatever has failed meanwhile has been seen by somebody, or by nobody.
      for (let turn = 0; turn < 5; turn++) await nextTurn();
      yield second.bytes;
    },
  } as unknown as Wal;
  const batches = [{ origin: first.id.origin, epoch: 1, first: 1, last: 2 }];
  const hot = { holdings: () => [{ shard: 0, digest: '', batches }] } as unknown as HotTier;
  const gates = new OwnerGates();
  const release = new GroupRelease({
    ...{ wal, hot, gates },
    reroute: { toLateGroup: () => Promise.reject(new VarveError('unavailable', 'level quorum not met')) },
  });
  await expect(release.run(database, group.id, [])).rejects.toThrow('level quorum not met');
  await nextTurn();
  expect(uncaught).toEqual([]);
});
