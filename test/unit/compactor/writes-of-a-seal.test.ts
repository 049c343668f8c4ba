import { expect, it } from 'vitest';
import { openCatalogs } from '../../../cli/serve/catalogs.js';
import { MemoryMetaStore } from '../../../core/adapters/meta-store-memory.js';
import { MemoryCluster } from '../../support/memory-cluster.js';

/** A store that notes the keys that are written. */
class NotingMetaStore extends MemoryMetaStore {
  readonly written: string[] = [];

  override async put(...args: Parameters<MemoryMetaStore['put']>): ReturnType<MemoryMetaStore['put']> {
    this.written.push(args[0].split('/')[0] ?? '');
    return super.put(...args);
  }
}

it.each([
  { nodes: ['n1'], seal: ['groups', 'table', 'groups'] },
  // What several owners agree on is written down before anything is committed.
  { nodes: ['n1', 'n2', 'n3'], seal: ['groups', 'groups', 'table', 'groups'] },
])(
  'a table-window of $nodes.length owners is sealed by at most 4 writes to the catalog, and let go by 1',
  async ({ nodes, seal }) => {
    const store = new NotingMetaStore();
    const cluster = await MemoryCluster.make(nodes, { replication: nodes.length }, (ports) =>
      openCatalogs({ ...ports, store }),
    );
    const group = await cluster.openGroup(nodes);
    await cluster.put(cluster.batch(group, 1), ...nodes);
    const compactor = cluster.compactor({ releaseGraceMs: 1000, commitWithinMs: Number.POSITIVE_INFINITY });
    await cluster.advance(3_900_000);
    await compactor.keepLease();
    const written = async (work: () => Promise<unknown>): Promise<string[]> => {
      store.written.length = 0;
      await work();
      return [...store.written];
    };
    expect(await written(() => compactor.sealTick())).toEqual(seal);
    expect(await cluster.list()).toMatchObject({ settledThroughNs: group.endNs });
    await cluster.advance(1000);
    expect(await written(() => compactor.sealTick())).toEqual(['groups']);
    expect((await cluster.list()).groups).toEqual([]);
  },
);
