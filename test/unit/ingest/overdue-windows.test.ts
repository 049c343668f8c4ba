import { expect, it } from 'vitest';
import { ingestCatalog } from '../../../cli/serve/ingest-catalog.js';
import type { NodeId } from '../../../core/model/batch.js';
import { nsPerMs, windowOf } from '../../../core/model/window.js';
import { Router } from '../../../ingest/route/router.js';
import { makeWorld } from '../../support/memory-node.js';
import { rowsOf } from '../../support/rows.js';

it('keeps the rows of a window past its deadline in its group until that is closed', async () => {
  const windowMs = 10_000;
  const world = makeWorld({ settings: { windowMs, graceMs: 2000, lateDelayMs: 3000 } });
  const { catalogs, clock } = world;
  const database = await catalogs.databases.ensure('d', world.settings);
  const limits = { columnsMax: 100, tablesMax: 100 };
  const liveNodes = () => ['n1' as NodeId];
  const catalog = ingestCatalog({ catalogs, clock, defaults: null, limits, liveNodes });
  const router = new Router({ catalog, clock });
  const { startNs } = windowOf(BigInt(clock.nowMs()) * nsPerMs, windowMs);
  const groupOfRow = async () => {
    const [routed] = await router.route(database, [
      rowsOf('t', [{ tags: {}, timeNs: startNs, fields: { x: 1 } }]),
    ]);
    return routed?.address.group;
  };
  const window = await groupOfRow();
  // No compactor has closed it: were the row late, its group might close first, and what was written before would win.
  await clock.advance(3 * windowMs);
  expect(await groupOfRow()).toBe(window);
  await catalogs.groups.closeDue(database, { nowMs: clock.nowMs(), epoch: 1 });
  router.forget(database);
  expect(await groupOfRow()).toMatch(/^l/);
});
