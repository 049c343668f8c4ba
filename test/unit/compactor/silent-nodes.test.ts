import { describe, expect, it } from 'vitest';
import { SilentNodes } from '../../../compactor/seal/silent-nodes.js';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import type { GroupId, NodeId } from '../../../core/model/batch.js';
import type { GroupReport } from '../../../core/ports/peer.js';
import { VarveError } from '../../../core/std/errors.js';
import { MemoryCluster } from '../../support/memory-cluster.js';

const silenceMs = 30_000;
const report = { group: 'w1', shards: [], hinted: [] } as unknown as GroupReport;

/** One node that answers after `answersAfterMs`; its caller gives up by itself after 30 s. */
async function makeNode() {
  const clock = new SimulatedClock();
  const cluster = await MemoryCluster.make(['n1']);
  const state = { answersAfterMs: 0, refuses: false, calls: 0 };
  const reportGroup = async (_database: string, _group: GroupId, signal?: AbortSignal) => {
    state.calls += 1;
    if (state.refuses) throw new VarveError('unavailable', 'connection refused');
    await clock.sleep(Math.min(state.answersAfterMs, silenceMs), signal);
    if (state.answersAfterMs < silenceMs) return report;
    throw new VarveError('unavailable', `no answer within ${silenceMs} ms`);
  };
  const nodes = new SilentNodes({ peers: (node) => ({ ...cluster.reach(node), reportGroup }), clock });
  /** Asks once: what came of it, and how long it took. */
  const ask = async (signal?: AbortSignal): Promise<readonly [string, number]> => {
    const startedMs = clock.monotonicMs();
    const asked = nodes.of('n1' as NodeId).reportGroup('d', 'w1' as GroupId, signal);
    let result: string | undefined;
    asked.then(
      () => {
        result = 'answered';
      },
      (error: Error) => {
        result = error.message;
      },
    );
    await clock.advance(0);
    while (result === undefined) await clock.advance(100);
    return [result, clock.monotonicMs() - startedMs];
  };
  return { clock, state, ask };
}

describe('a silent node', () => {
  it('costs the time of its silence once, then nothing, and is asked again after a rest', async () => {
    const { clock, state, ask } = await makeNode();
    state.answersAfterMs = Number.POSITIVE_INFINITY;
    const [reason, tookMs] = await ask();
    expect(tookMs).toBe(silenceMs);
    for (let group = 0; group < 10; group++) expect(await ask()).toEqual([reason, 0]);
    expect(state.calls).toBe(1);
    await clock.advance(4000);
    expect(await ask()).toEqual(['node n1: no answer within 2s', 2000]);
    // The reason of a group that waits stays the same.
    expect(await ask()).toEqual([reason, 0]);
    expect(state.calls).toBe(2);
  });

  it('takes no more than a third of the time, however many groups it owns', async () => {
    const { clock, state, ask } = await makeNode();
    state.answersAfterMs = Number.POSITIVE_INFINITY;
    await ask();
    const startedMs = clock.monotonicMs();
    let waitedMs = 0;
    while (clock.monotonicMs() - startedMs < 600_000) {
      waitedMs += (await ask())[1];
      await clock.advance(200);
    }
    expect(waitedMs).toBeLessThan(600_000 * 0.36);
  });

  it('is heard when it is only slow', async () => {
    const { clock, state, ask } = await makeNode();
    state.answersAfterMs = Number.POSITIVE_INFINITY;
    await ask();
    state.answersAfterMs = 10_000;
    const answers: string[] = [];
    for (let round = 0; round < 600 && !answers.includes('answered'); round++) {
      answers.push((await ask())[0]);
      await clock.advance(200);
    }
    expect(answers).toContain('answered');
  });

  it('is forgotten once it answers: the next call waits as long as ever', async () => {
    const { clock, state, ask } = await makeNode();
    state.answersAfterMs = Number.POSITIVE_INFINITY;
    await ask();
    await clock.advance(4000);
    state.answersAfterMs = 100;
    expect(await ask()).toEqual(['answered', 100]);
    state.answersAfterMs = 25_000;
    expect(await ask()).toEqual(['answered', 25_000]);
  });

  it('is not one that refuses at once: that costs nothing, and it may be back any moment', async () => {
    const { state, ask } = await makeNode();
    state.refuses = true;
    expect(await ask()).toEqual(['connection refused', 0]);
    state.refuses = false;
    expect(await ask()).toEqual(['answered', 0]);
  });
});

describe('sealing', () => {
  it('asks a silent owner once for all the groups of a round', async () => {
    const three = ['n1', 'n2', 'n3'];
    const cluster = await MemoryCluster.make(three);
    let silent = 0;
    const group = await cluster.openGroup(three);
    await cluster.put(cluster.batch(group, 1), 'n1', 'n2');
    await cluster.advance(3_600_000);
    const next = await cluster.openGroup(three);
    await cluster.put(cluster.batch(next, 2), 'n1', 'n2');
    const stopped = async (
      _database: string,
      _group: GroupId,
      signal?: AbortSignal,
    ): Promise<GroupReport> => {
      silent += 1;
      await cluster.clock.sleep(silenceMs, signal);
      throw new VarveError('unavailable', 'node n3 says nothing');
    };
    const compactor = cluster.compactor({ patienceMs: 0, leaseTtlMs: 600_000 }, (node) =>
      node === 'n3'
        ? { ...cluster.reach(node), closeGroup: stopped, reportGroup: stopped }
        : cluster.reach(node),
    );
    await cluster.advance(3_600_000 + 300_000);
    await compactor.keepLease();
    let isOver = false;
    const round = compactor.sealTick().finally(() => {
      isOver = true;
    });
    const startedMs = cluster.clock.monotonicMs();
    while (!isOver) await cluster.clock.advance(500);
    await round;
    expect((await cluster.list()).groups.map(({ state }) => state)).toEqual(['sealed', 'sealed']);
    expect(silent).toBe(1);
    expect(cluster.clock.monotonicMs() - startedMs).toBeLessThan(2 * silenceMs);
  });
});
