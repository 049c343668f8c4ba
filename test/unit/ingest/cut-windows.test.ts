import { describe, expect, it } from 'vitest';
import { ingestCatalog } from '../../../cli/serve/ingest-catalog.js';
import type { ShardGroup } from '../../../core/catalog/types.js';
import type { NodeId } from '../../../core/model/batch.js';
import { nsPerMs, windowOf } from '../../../core/model/window.js';
import { Router } from '../../../ingest/route/router.js';
import { type MemoryWorld, makeWorld } from '../../support/memory-node.js';
import { rowsOf } from '../../support/rows.js';

const windowMs = 600_000;

/** Two routers over one catalog: what one has heard of the other may not have. */
async function setUp() {
  const world = makeWorld({ settings: { windowMs } });
  const database = await world.catalogs.databases.ensure('d', world.settings);
  const { startNs } = windowOf(BigInt(world.clock.nowMs()) * nsPerMs, windowMs);
  await world.clock.advance(Number(startNs / nsPerMs) + 100_000 + windowMs - world.clock.nowMs());
  const windowStartMs = Number(startNs / nsPerMs) + windowMs;
  let live = ['n1' as NodeId];
  const catalog = ingestCatalog({
    catalogs: world.catalogs,
    clock: world.clock,
    defaults: null,
    limits: { columnsMax: 100, tablesMax: 100 },
    liveNodes: () => live,
  });
  const routers = [0, 1].map(() => new Router({ catalog, clock: world.clock }));
  return {
    world,
    database,
    join: (node: string) => {
      live = [...live, node as NodeId];
    },
    cut: () => world.catalogs.groups.truncate(database, { nowMs: world.clock.nowMs(), epoch: 1 }),
    /** The kind and bounds in seconds since the window's begin of the group each row goes to, and its times. */
    route: async (router: 0 | 1, ...atSeconds: number[]) => {
      const points = atSeconds.map((second) => ({
        tags: { host: 'a' },
        timeNs: BigInt(windowStartMs + second * 1000) * nsPerMs,
        fields: { x: 1 },
      }));
      const routed = await routers[router]?.route(database, [rowsOf('t', points)]);
      const groups = await groupsById(world, database);
      return (routed ?? []).map(({ address, owners, tables }) => {
        const group = groups.get(address.group);
        const seconds = (timeNs: bigint | null | undefined) =>
          timeNs === null || timeNs === undefined
            ? ''
            : Number(timeNs / nsPerMs - BigInt(windowStartMs)) / 1000;
        const rows = tables.reduce((sum, table) => sum + table.rowCount, 0);
        return `${rows} to ${group?.kind} ${seconds(group?.startNs)}..${seconds(group?.endNs)} of ${owners.join()}`;
      });
    },
    forget: (router: 0 | 1) => routers[router]?.forget(database),
  };
}

async function groupsById(
  world: MemoryWorld,
  database: Parameters<MemoryWorld['catalogs']['groups']['get']>[0],
): Promise<Map<string, ShardGroup>> {
  const { groups } = (await world.catalogs.groups.get(database)).value;
  return new Map(groups.map((group) => [group.id, group]));
}

describe('rows of a window that was cut', () => {
  it('go to the late group before the cut and to a group of their own from it on', async () => {
    const { route, cut } = await setUp();
    expect(await route(0, 10, 90, 200)).toEqual(['3 to window 0..600 of n1']);
    await cut();
    expect(await route(1, 10, 99.999, 100, 200, 599)).toEqual([
      '2 to late .. of n1',
      '3 to window 100..600 of n1',
    ]);
  });

  it('are given to the nodes that are live when the first of them comes', async () => {
    const { route, cut, join, database } = await setUp();
    expect(database.replication).toBe(1);
    await route(0, 10);
    join('n2');
    join('n3');
    await cut();
    const [routed] = await route(1, 200);
    expect(routed).toMatch(/^1 to window 100\.\.600 of n[123]$/);
  });

  it('are parted anew when the cut comes after the list was read', async () => {
    const { route, cut } = await setUp();
    // This router knows the window as one without a group.
    await route(1, 3_600_000);
    expect(await route(0, 10)).toEqual(['1 to window 0..600 of n1']);
    await cut();
    expect(await route(1, 10, 300)).toEqual(['1 to late .. of n1', '1 to window 100..600 of n1']);
  });

  it('go where the list says that is remembered, until an owner says that the group is closed', async () => {
    const { route, cut, forget } = await setUp();
    await route(0, 10);
    await route(0, 11);
    await cut();
    expect(await route(0, 300)).toEqual(['1 to window 0..100 of n1']);
    forget(0);
    expect(await route(0, 300)).toEqual(['1 to window 100..600 of n1']);
  });

  it('go to the late group without a question to the catalog once what was cut off has left the list', async () => {
    const { route, cut, world, database, forget } = await setUp();
    await route(0, 10);
    await cut();
    const [group] = (await world.catalogs.groups.get(database)).value.groups;
    if (group === undefined) throw new Error('no group');
    const stamp = { nowMs: world.clock.nowMs(), epoch: 1 };
    await world.catalogs.groups.seal(database, group.id, [], stamp);
    await world.catalogs.groups.advanceWatermark(database, stamp);
    await world.catalogs.groups.release(database, group.id, ['n1' as NodeId]);
    expect((await world.catalogs.groups.get(database)).value.groups).toEqual([]);
    forget(0);
    expect(await route(0, 10, 300)).toEqual(['1 to late .. of n1', '1 to window 100..600 of n1']);
    forget(0);
    expect(await route(0, 10, 100)).toEqual(['1 to late .. of n1', '1 to window 100..600 of n1']);
  });
});
