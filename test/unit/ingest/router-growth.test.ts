import { expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { defaultDatabaseSettings } from '../../../core/catalog/database-settings.js';
import { initialGroupList } from '../../../core/catalog/group-list.js';
import { openWindowGroup } from '../../../core/catalog/open-group.js';
import type { Database, GroupList } from '../../../core/catalog/types.js';
import type { NodeId } from '../../../core/model/batch.js';
import type { IngestCatalog } from '../../../ingest/ingest-catalog.js';
import { Router } from '../../../ingest/route/router.js';
import { rowsOf } from '../../support/rows.js';

it('sends to the owners that a group got later, within a second where it had too few', async () => {
  const clock = new SimulatedClock({ startMs: Date.UTC(2026, 0, 1) });
  const database: Database = {
    ...defaultDatabaseSettings,
    name: 'db',
    id: 'db-1',
    createdMs: 0,
    replication: 2,
  };
  const nowNs = BigInt(clock.nowMs()) * 1_000_000n;
  const listOf = (names: readonly string[]): GroupList => {
    const assign = () => [{ owners: names.map((name) => name as NodeId) }];
    const opened = openWindowGroup(initialGroupList(database), database, nowNs, {
      nowMs: clock.nowMs(),
      assign,
    });
    if (opened.list === undefined) throw new Error('nothing was opened');
    return opened.list;
  };
  let list = listOf(['n1']);
  let reads = 0;
  const never = () => Promise.reject(new Error('not asked for here'));
  const catalog: IngestCatalog = {
    openDatabase: never,
    databaseById: never,
    listTables: never,
    groupList: async () => {
      reads += 1;
      return list;
    },
    extendTables: never,
    openWindowGroup: never,
    openSpillGroup: never,
  };
  const router = new Router({ catalog, clock });
  const rows = rowsOf('cpu', [{ tags: { host: 'a' }, timeNs: nowNs, fields: { x: 1 } }]);
  const owners = async (): Promise<readonly NodeId[] | undefined> =>
    (await router.route(database, [rows]))[0]?.owners;

  expect(await owners()).toEqual(['n1']);
  list = listOf(['n1', 'n2']);
  await clock.advance(999);
  expect(await owners()).toEqual(['n1']);
  await clock.advance(1);
  expect(await owners()).toEqual(['n1', 'n2']);
  // Whole, it is not asked for again so soon.
  await clock.advance(5000);
  expect(await owners()).toEqual(['n1', 'n2']);
  expect(reads).toBe(2);
});
