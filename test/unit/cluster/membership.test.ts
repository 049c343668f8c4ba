import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryMetaStore } from '../../../core/adapters/meta-store-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { NodeCatalog } from '../../../core/catalog/node-catalog.js';
import { NodeDirectory } from '../../../core/catalog/node-directory.js';
import type { NodeId } from '../../../core/model/batch.js';
import { silentLogger } from '../../../core/std/logger.js';
import { Membership } from '../../../ingest/membership.js';

const node = 'n1' as NodeId;

function cluster(): { clock: SimulatedClock; nodes: NodeCatalog } {
  const clock = new SimulatedClock({ startMs: 1_700_000_000_000 });
  return {
    clock,
    nodes: new NodeCatalog({ store: new MemoryMetaStore(), clock, random: new SeededRandom(1) }),
  };
}

describe('membership', () => {
  it('notes a heartbeat every interval, until it is stopped', async () => {
    const { clock, nodes } = cluster();
    const { epoch } = await nodes.register(node, 'http://n1:1');
    const membership = new Membership({
      ...{ node, epoch, nodes, clock, logger: silentLogger },
      ...{ intervalMs: 1000, onSuperseded: () => expect.fail('nobody took its place') },
    });
    const startedMs = clock.nowMs();
    membership.start();
    await clock.advance(3500);
    expect((await nodes.list())[0]?.heartbeatMs).toBe(startedMs + 3000);
    await membership.stop();
    await clock.advance(5000);
    expect((await nodes.list())[0]?.heartbeatMs).toBe(startedMs + 3000);
  });

  it('says so once when the node was started again elsewhere', async () => {
    const { clock, nodes } = cluster();
    const { epoch } = await nodes.register(node, 'http://n1:1');
    const superseded: number[] = [];
    const membership = new Membership({
      ...{ node, epoch, nodes, clock, logger: silentLogger, intervalMs: 1000 },
      onSuperseded: (by) => superseded.push(by),
    });
    membership.start();
    await clock.advance(1500);
    await nodes.register(node, 'http://n1:2');
    await clock.advance(5000);
    expect(superseded).toEqual([epoch + 1]);
    await membership.stop();
  });

  it('shows that the catalog is out of reach, and that it is back', async () => {
    const { clock, nodes } = cluster();
    const { epoch } = await nodes.register(node, 'http://n1:1');
    let isAway = true;
    const membership = new Membership({
      ...{ node, epoch, clock, logger: silentLogger, intervalMs: 1000, onSuperseded: () => {} },
      nodes: {
        heartbeat: async (...beat) => {
          if (isAway) throw new Error('no way there');
          return nodes.heartbeat(...beat);
        },
      },
    });
    membership.start();
    await clock.advance(100);
    expect(membership.problems()).toEqual([expect.stringContaining('no way there')]);
    isAway = false;
    await clock.advance(1000);
    expect(membership.problems()).toEqual([]);
    await membership.stop();
  });
});

describe('the directory of nodes', () => {
  it('remembers addresses for a while, and looks again once one is forgotten', async () => {
    const { clock, nodes } = cluster();
    const directory = new NodeDirectory({ nodes, clock });
    await nodes.register(node, 'http://n1:1');
    expect(await directory.locate(node)).toBe('http://n1:1');
    await nodes.register(node, 'http://n1:2');
    expect(await directory.locate(node)).toBe('http://n1:1');
    directory.forget(node);
    expect(await directory.locate(node)).toBe('http://n1:2');
    await nodes.register(node, 'http://n1:3');
    await clock.advance(5000);
    expect(await directory.locate(node)).toBe('http://n1:3');
  });

  it('is unavailable for a node without an address and for one that nobody knows', async () => {
    const { clock, nodes } = cluster();
    const directory = new NodeDirectory({ nodes, clock });
    await nodes.register(node, null);
    for (const name of [node, 'n2' as NodeId]) {
      await expect(directory.locate(name)).rejects.toMatchObject({
        kind: 'unavailable',
        message: expect.stringContaining(name),
      });
    }
  });
});
