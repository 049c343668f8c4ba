import { describe, expect, it } from 'vitest';
import { Compactor } from '../../../compactor/compactor.js';
import { defaultCompactorSettings } from '../../../compactor/compactor-settings.js';
import { compactorTurn, type TurnReport } from '../../../compactor/lambda/compactor-turn.js';
import { TurnTally } from '../../../compactor/lambda/turn-tally.js';
import type { NodeId } from '../../../core/model/batch.js';
import { silentLogger } from '../../../core/std/logger.js';
import { MemoryCluster } from '../../support/memory-cluster.js';

const three = ['n1', 'n2', 'n3'];

/** A turn of a new environment; the clock moves until it ends. */
async function turn(cluster: MemoryCluster, during: (atMs: number) => void): Promise<TurnReport> {
  const { catalogs, settled, objects, clock } = cluster;
  const tally = new TurnTally();
  const compactor = new Compactor({
    ...{ catalog: catalogs, settled, objects, clock, logger: silentLogger, metrics: tally },
    peers: (node) => cluster.reach(node),
    holder: 'lambda',
    onFatal: (error) => {
      throw error;
    },
    settings: defaultCompactorSettings,
  });
  const { leaseTtlMs, tickMs } = defaultCompactorSettings;
  let isOver = false;
  const running = compactorTurn({ compactor, tally, clock, leaseTtlMs, tickMs, budgetMs: 600_000 }).finally(
    () => {
      isOver = true;
    },
  );
  const startMs = clock.monotonicMs();
  while (!isOver) {
    during(clock.monotonicMs() - startMs);
    await cluster.advance(100);
  }
  return running;
}

describe('a turn of the compactor on Lambda', () => {
  it('goes on until the successor of a node that hands over is filled', async () => {
    const cluster = await MemoryCluster.make(['n1', 'n2', 'n3', 'n4']);
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n2', 'n3');
    await cluster.node('n3').ingest.owner.retire();
    await cluster.catalogs.nodes.handOver('n3' as NodeId, 1);
    // Its successor cannot be reached at first.
    const report = await turn(cluster, (atMs) => {
      if (atMs < 12_000) cluster.cut.add('n4' as NodeId);
      else cluster.cut.clear();
    });
    expect(report).toMatchObject({ outcome: 'done', ownersReplaced: 1 });
    expect((await cluster.group(group.id))?.shards).toEqual([{ owners: ['n1', 'n2', 'n4'] }]);
  });

  it('ends all the same when nobody can fill it', async () => {
    const cluster = await MemoryCluster.make(['n1', 'n2', 'n3', 'n4']);
    const group = await cluster.openGroup(three);
    await cluster.node('n3').ingest.owner.retire();
    await cluster.catalogs.nodes.handOver('n3' as NodeId, 1);
    const report = await turn(cluster, () => cluster.cut.add('n4' as NodeId));
    expect(report.seconds).toBeLessThan(120);
    expect((await cluster.group(group.id))?.shards).toEqual([
      { owners: ['n1', 'n2', 'n4'], filling: ['n4'], lost: ['n3'] },
    ]);
  });
});
