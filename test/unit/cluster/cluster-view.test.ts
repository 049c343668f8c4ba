import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryMetaStore } from '../../../core/adapters/meta-store-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { NodeCatalog } from '../../../core/catalog/node-catalog.js';
import type { NodeRecord } from '../../../core/catalog/types.js';
import type { NodeId } from '../../../core/model/batch.js';
import { VarveError } from '../../../core/std/errors.js';
import { silentLogger } from '../../../core/std/logger.js';
import { type ClusterChange, ClusterView } from '../../../ingest/cluster-view.js';

const [n1, n2, n3, n4] = ['n1', 'n2', 'n3', 'n4'] as NodeId[] as [NodeId, NodeId, NodeId, NodeId];

interface Stage {
  readonly clock: SimulatedClock;
  readonly catalog: NodeCatalog;
  readonly view: ClusterView;
  readonly changes: ClusterChange[];
  /** Nodes whose process does nothing any more: neither heartbeats nor answers. */
  readonly dead: Set<NodeId>;
  /** Nodes that cannot be called from here. */
  readonly cutOff: Set<NodeId>;
  readonly suspected: Set<NodeId>;
  /** Nodes that do not take the secret of n1. */
  readonly refusing: Set<NodeId>;
  setCatalogAway(isAway: boolean): void;
  /** From now on the test itself answers what the view asks the catalog. */
  hold(ask: (answer: (records: readonly NodeRecord[]) => void) => void): void;
  /** Time goes on; whoever lives notes its heartbeat every second. */
  pass(seconds: number): Promise<void>;
}

/** Nodes that have registered, seen by n1. */
async function makeStage(
  nodes: readonly NodeId[],
  options: { pings?: 'answer' | 'hang' } = {},
): Promise<Stage> {
  const clock = new SimulatedClock({ startMs: 1_700_000_000_000 });
  const catalog = new NodeCatalog({ store: new MemoryMetaStore(), clock, random: new SeededRandom(1) });
  const [dead, cutOff, suspected] = [new Set<NodeId>(), new Set<NodeId>(), new Set<NodeId>()];
  const refusing = new Set<NodeId>();
  let isAway = false;
  let held: ((answer: (records: readonly NodeRecord[]) => void) => void) | undefined;
  for (const node of nodes) await catalog.register(node, `http://${node}:1`);
  const view = new ClusterView({
    node: n1,
    nodes: {
      list: async () => {
        if (isAway) throw new Error('no way there');
        return held === undefined ? catalog.list() : new Promise(held);
      },
    },
    ping: async (node, signal) => {
      if (refusing.has(node)) {
        // As the client of the peer API tells it.
        const cause = new VarveError('unauthenticated', 'got another secret');
        throw new VarveError('unavailable', 'the secret was refused', { cause });
      }
      if (!dead.has(node) && !cutOff.has(node)) return;
      if (options.pings !== 'hang') throw new Error(`${node} does not answer`);
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
    isSuspected: (node) => suspected.has(node),
    clock,
    logger: silentLogger,
    intervalMs: 1000,
    silenceMsMax: 5000,
  });
  const changes: ClusterChange[] = [];
  view.onChange((change) => changes.push(change));
  return {
    ...{ clock, catalog, view, changes, dead, cutOff, suspected, refusing },
    setCatalogAway: (away) => {
      isAway = away;
    },
    hold: (ask) => {
      held = ask;
    },
    pass: async (seconds) => {
      for (let second = 0; second < seconds; second++) {
        for (const { node, epoch } of await catalog.list())
          if (!dead.has(node)) await catalog.heartbeat(node, epoch);
        await clock.advance(1000);
      }
    },
  };
}

describe('the view of the cluster', () => {
  it('offers the nodes whose heartbeats come, the node itself always', async () => {
    const stage = await makeStage([n1, n2, n3]);
    await stage.view.start();
    await stage.pass(3);
    expect(await stage.view.ownerCandidates(3)).toEqual([n1, n2, n3]);
    stage.dead.add(n3);
    await stage.pass(4);
    expect(await stage.view.ownerCandidates(3)).toHaveLength(3);
    await stage.pass(4);
    expect(await stage.view.ownerCandidates(3)).toEqual([n1, n2]);
    stage.dead.add(n1).add(n2);
    await stage.pass(20);
    expect(await stage.view.ownerCandidates(3)).toEqual([n1]);
    await stage.view.stop();
  });

  it('offers a node that has just joined', async () => {
    const stage = await makeStage([n1]);
    await stage.view.start();
    await stage.catalog.register(n2, 'http://n2:1');
    expect(await stage.view.ownerCandidates(2)).toEqual([n1, n2]);
    await stage.view.stop();
  });

  it('prefers nodes that answer, and takes others only where these are too few', async () => {
    const stage = await makeStage([n1, n2, n3, n4]);
    await stage.view.start();
    stage.cutOff.add(n2);
    stage.suspected.add(n3);
    await stage.pass(2);
    expect(await stage.view.ownerCandidates(2)).toEqual([n1, n4]);
    expect(await stage.view.ownerCandidates(3)).toEqual([n1, n4, n2]);
    expect(await stage.view.ownerCandidates(7)).toEqual([n1, n4, n2, n3]);
    expect(stage.view.others().map(({ isHeard, isReached }) => [isHeard, isReached])).toEqual([
      ...[
        [true, false],
        [true, false],
        [true, true],
      ],
    ]);
    await stage.view.stop();
  });

  it('leaves out nodes that drain, the node itself too, and refuses when nobody is left', async () => {
    const stage = await makeStage([n1, n2, n3]);
    await stage.view.start();
    await stage.catalog.drain(n1);
    await stage.catalog.drain(n3);
    await stage.pass(2);
    expect(await stage.view.ownerCandidates(3)).toEqual([n2]);
    await stage.catalog.drain(n2);
    await stage.pass(2);
    await expect(stage.view.ownerCandidates(1)).rejects.toMatchObject({ kind: 'unavailable' });
    await stage.view.stop();
  });

  it('goes by heartbeats that come, not by what the clocks of others say', async () => {
    const stage = await makeStage([n1, n2]);
    await stage.view.start();
    await stage.pass(3);
    stage.clock.stepWall(3_600_000);
    await stage.clock.advance(1000);
    expect(await stage.view.ownerCandidates(2)).toEqual([n1, n2]);
    await stage.view.stop();
  });

  it('lets nobody fall silent while the catalog is out of reach, and looks again before a group is made', async () => {
    const stage = await makeStage([n1, n2]);
    await stage.view.start();
    await stage.pass(2);
    stage.setCatalogAway(true);
    await stage.pass(30);
    expect(stage.view.others()).toMatchObject([{ isHeard: true }]);
    await expect(stage.view.ownerCandidates(2)).rejects.toThrow('no way there');
    stage.setCatalogAway(false);
    expect(await stage.view.ownerCandidates(2)).toEqual([n1, n2]);
    await stage.view.stop();
  });

  it('tells that a node answers again, was started anew, or is lost', async () => {
    const stage = await makeStage([n1, n2, n3]);
    await stage.view.start();
    await stage.pass(2);
    expect(stage.changes).toEqual([]);
    stage.cutOff.add(n2);
    await stage.pass(2);
    stage.cutOff.delete(n2);
    await stage.pass(2);
    expect(stage.changes.splice(0)).toEqual([{ kind: 'returned', node: n2 }]);
    await stage.catalog.register(n3, 'http://n3:2');
    await stage.pass(2);
    expect(stage.changes.splice(0)).toEqual([{ kind: 'returned', node: n3 }]);
    stage.dead.add(n3);
    await stage.pass(10);
    await stage.catalog.forget(n3);
    await stage.pass(2);
    expect(stage.changes.splice(0)).toEqual([{ kind: 'lost', node: n3 }]);
    expect(stage.view.others().map(({ record }) => record.node)).toEqual([n2]);
    await stage.view.stop();
    expect(stage.clock.sleeperCount).toBe(0);
  });

  it('takes the later of two looks, whichever comes back first', async () => {
    const stage = await makeStage([n1, n2]);
    await stage.view.start();
    await stage.view.stop();
    const before = await stage.catalog.list();
    await stage.catalog.drain(n2);
    const answers: ((records: typeof before) => void)[] = [];
    stage.hold((answer) => answers.push(answer));
    const [first, second] = [stage.view.refresh(), stage.view.refresh()];
    answers[1]?.(await stage.catalog.list());
    await second;
    answers[0]?.(before);
    await first;
    expect(stage.view.others()).toMatchObject([{ record: { node: n2, state: 'draining' } }]);
  });

  it('does not wait for ever for a sign of life', async () => {
    const stage = await makeStage([n1, n2], { pings: 'hang' });
    stage.cutOff.add(n2);
    await stage.view.start();
    await stage.pass(3);
    expect(stage.view.others()).toMatchObject([{ isHeard: true, isReached: false }]);
    await stage.view.stop();
    expect(stage.clock.sleeperCount).toBe(0);
  });
});

describe('a node with another secret than all others', () => {
  it('says so, and the others do not', async () => {
    const stage = await makeStage([n1, n2, n3]);
    await stage.view.start();
    stage.refusing.add(n2);
    await stage.pass(2);
    // n2 is the odd one.
    expect(stage.view.problems()).toEqual([]);
    stage.refusing.add(n3);
    await stage.pass(2);
    expect(stage.view.problems()).toEqual([
      'the secret of node n1 was refused by n2, n3; want the same --cluster-secret-file for every process',
    ]);
    stage.refusing.clear();
    await stage.pass(2);
    expect(stage.view.problems()).toEqual([]);
    await stage.view.stop();
  });

  it('is chosen as an owner only where there are too few others', async () => {
    const stage = await makeStage([n1, n2, n3, n4]);
    await stage.view.start();
    stage.refusing.add(n4);
    await stage.pass(2);
    expect(await stage.view.ownerCandidates(3)).toEqual([n1, n2, n3]);
    expect(await stage.view.ownerCandidates(4)).toEqual([n1, n2, n3, n4]);
    await stage.view.stop();
  });
});
