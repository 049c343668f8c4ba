import { describe, expect, it } from 'vitest';
import { liveNodes, parseNodeId } from '../../../core/catalog/node-catalog.js';
import { node, openCatalog, startMs } from './fixture.js';

describe('the catalog of nodes', () => {
  it('gives every start of a node an epoch of its own', async () => {
    const { nodes } = openCatalog();
    expect(await nodes.register(node('n1'), null)).toEqual({
      node: 'n1',
      epoch: 1,
      address: null,
      heartbeatMs: startMs,
      state: 'live',
    });
    const starts = await Promise.all([1, 2, 3].map(() => nodes.register(node('n1'), 'http://10.0.0.1:8088')));
    expect(starts.map((record) => record.epoch).sort()).toEqual([2, 3, 4]);
    expect((await nodes.register(node('n2'), null)).epoch).toBe(1);
    expect((await nodes.list()).map((record) => record.node)).toEqual(['n1', 'n2']);
  });

  it('notes heartbeats of the latest start, and tells an older one to stop', async () => {
    const { nodes, clock } = openCatalog();
    await nodes.register(node('n1'), null);
    await clock.advance(1000);
    expect(await nodes.heartbeat(node('n1'), 1)).toMatchObject({
      kind: 'noted',
      record: { heartbeatMs: startMs + 1000 },
    });
    await nodes.register(node('n1'), null);
    expect(await nodes.heartbeat(node('n1'), 1)).toEqual({ kind: 'superseded', by: 2 });
    expect(await nodes.heartbeat(node('n9'), 1)).toEqual({ kind: 'superseded', by: 0 });
  });

  it('takes drained and silent nodes out of the live ones, and a new start back in', async () => {
    const { nodes, clock } = openCatalog();
    for (const name of ['n1', 'n2', 'n3']) await nodes.register(node(name), null);
    expect(await nodes.drain(node('n1'))).toMatchObject({ state: 'draining' });
    expect(await nodes.drain(node('n9'))).toBeUndefined();
    await nodes.heartbeat(node('n1'), 1);
    await clock.advance(10_000);
    await nodes.heartbeat(node('n2'), 1);
    const live = async (): Promise<string[]> =>
      liveNodes(await nodes.list(), clock.nowMs(), 9999).map((record) => record.node);
    expect(await live()).toEqual(['n2']);
    await nodes.register(node('n1'), null);
    expect(await live()).toEqual(['n1', 'n2']);
  });

  it('lets no start of a lost node in again, and tells a running one to stop', async () => {
    const { nodes, clock } = openCatalog();
    await nodes.register(node('n1'), null);
    expect(await nodes.forget(node('n9'))).toBeUndefined();
    expect(await nodes.forget(node('n1'))).toMatchObject({ node: 'n1', epoch: 1, state: 'lost' });
    expect(await nodes.forget(node('n1'))).toMatchObject({ state: 'lost' });
    expect(await nodes.heartbeat(node('n1'), 1)).toEqual({ kind: 'superseded', by: 1 });
    await expect(nodes.register(node('n1'), null)).rejects.toMatchObject({ kind: 'conflict' });
    expect(await nodes.drain(node('n1'))).toMatchObject({ state: 'lost' });
    expect(liveNodes(await nodes.list(), clock.nowMs(), 9999)).toEqual([]);
  });

  it('declares no node lost that was heard of a moment ago, unless it has left', async () => {
    const { nodes, clock } = openCatalog();
    await nodes.register(node('n1'), null);
    await clock.advance(9999);
    await expect(nodes.forget(node('n1'), undefined, 10_000)).rejects.toThrow(
      'declare node n1 lost: it was heard of 9999 ms ago; want silence of 10000 ms',
    );
    await clock.advance(1);
    expect(await nodes.forget(node('n1'), undefined, 10_000)).toMatchObject({ state: 'lost' });
    await nodes.register(node('n2'), null);
    await nodes.drain(node('n2'));
    await nodes.leave(node('n2'), 1);
    expect(await nodes.forget(node('n2'), undefined, 10_000)).toMatchObject({ state: 'lost' });
  });

  it('lets a drained start leave, and only that; another start is live again', async () => {
    const { nodes } = openCatalog();
    const state = async (): Promise<string | undefined> => (await nodes.list())[0]?.state;
    await nodes.register(node('n1'), null);
    await nodes.leave(node('n1'), 1);
    expect(await state()).toBe('live');
    await nodes.drain(node('n1'));
    await nodes.leave(node('n1'), 2);
    expect(await state()).toBe('draining');
    await nodes.leave(node('n1'), 1);
    expect(await state()).toBe('left');
    expect(await nodes.drain(node('n1'))).toMatchObject({ state: 'left' });
    await nodes.register(node('n1'), null);
    expect(await state()).toBe('live');
  });

  it('remembers that a node is ephemeral and that it hands over, until its next start', async () => {
    const { nodes } = openCatalog();
    await nodes.register(node('n1'), null, undefined, true);
    await nodes.handOver(node('n1'), 2);
    expect((await nodes.list())[0]).not.toHaveProperty('handsOver');
    await nodes.handOver(node('n1'), 1);
    await nodes.heartbeat(node('n1'), 1);
    expect((await nodes.list())[0]).toMatchObject({ state: 'draining', ephemeral: true, handsOver: true });
    await nodes.leave(node('n1'), 1);
    await nodes.handOver(node('n1'), 1);
    expect(await nodes.list()).toMatchObject([{ state: 'left' }]);
    await nodes.register(node('n1'), null);
    expect((await nodes.list())[0]).toEqual({
      ...{ node: 'n1', epoch: 2, address: null, state: 'live' },
      heartbeatMs: expect.any(Number),
    });
  });

  it('keeps what a heartbeat says of hints until one says that there are none', async () => {
    const { nodes } = openCatalog();
    await nodes.register(node('n1'), null);
    await nodes.heartbeat(node('n1'), 1, undefined, { count: 3, bytes: 4096 });
    expect((await nodes.list())[0]?.hints).toEqual({ count: 3, bytes: 4096 });
    await nodes.heartbeat(node('n1'), 1, undefined, { count: 0, bytes: 0 });
    expect((await nodes.list())[0]).not.toHaveProperty('hints');
  });

  it.each(['', 'a b', 'a/b', 'ü', 'x'.repeat(65)])('refuses the name %j', async (name) => {
    expect(() => parseNodeId(name)).toThrow('want a name of 1 to 64');
    await expect(openCatalog().nodes.register(node(name), null)).rejects.toMatchObject({ kind: 'invalid' });
  });
});
