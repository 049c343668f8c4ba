import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { defaultDatabaseSettings } from '../../../core/catalog/database-settings.js';
import type { Database, GroupList, ShardGroup } from '../../../core/catalog/types.js';
import type { GroupId, NodeId } from '../../../core/model/batch.js';
import { VarveError } from '../../../core/std/errors.js';
import { Admission, catalogAwayTrustMs } from '../../../ingest/admit/admission.js';
import type { IngestCatalog } from '../../../ingest/ingest-catalog.js';
import { Router } from '../../../ingest/route/router.js';
import { rowsOf } from '../../support/rows.js';

const database: Database = { ...defaultDatabaseSettings, name: 'db', id: 'db-1', createdMs: 0 };
const away = new VarveError('unavailable', 'DynamoDB table varve: no answer');

/** A catalog that answers, fails or says nothing, as told. */
function world() {
  const clock = new SimulatedClock({ startMs: Date.UTC(2026, 0, 1) });
  const windowMs = database.windowMs;
  const startNs = BigInt(Math.floor(clock.nowMs() / windowMs) * windowMs) * 1_000_000n;
  const group: ShardGroup = {
    id: 'w000000000001' as GroupId,
    kind: 'window',
    startNs,
    endNs: startNs + BigInt(windowMs) * 1_000_000n,
    createdMs: 0,
    closeAfterMs: clock.nowMs() + 3_600_000,
    state: 'open',
    closeSequence: null,
    closedMs: null,
    shards: [{ owners: ['n1' as NodeId] }],
    sealedBatches: null,
    sealedMs: null,
    released: [],
  };
  const list: GroupList = {
    database: 'db',
    settledThroughNs: 0n,
    openFromNs: 0n,
    groups: [group],
    nextGroup: 2,
    nextCloseSequence: 1,
    fencingEpoch: 0,
  };
  const state = {
    answer: 'well' as 'well' | 'fails' | 'silent' | 'dropped',
    asked: 0,
    silent: [] as (() => void)[],
  };
  const answered = async <Answer>(value: Answer): Promise<Answer> => {
    state.asked += 1;
    if (state.answer === 'silent') await new Promise<void>((resolve) => state.silent.push(resolve));
    if (state.answer === 'fails') throw away;
    if (state.answer === 'dropped') throw new VarveError('not-found', 'there is no database "db"');
    return value;
  };
  const never = () => Promise.reject(new Error('not asked for here'));
  const catalog: IngestCatalog = {
    openDatabase: () => answered(database),
    databaseById: () => answered(database),
    listTables: () => answered([]),
    groupList: () => answered(list),
    extendTables: never,
    openWindowGroup: () => answered(undefined).then(never),
    openSpillGroup: () => answered(undefined).then(never),
  };
  return {
    clock,
    state,
    admission: new Admission({ catalog, clock }),
    router: new Router({ catalog, clock }),
  };
}

describe('a node whose catalog does not answer', () => {
  it('goes by what it knows of a database for a bounded time, and says so', async () => {
    const { clock, state, admission } = world();
    await admission.database('db');
    expect(admission.problems()).toEqual([]);
    state.answer = 'fails';
    for (let passedMs = 0; passedMs + 20_000 < catalogAwayTrustMs; passedMs += 20_000) {
      await clock.advance(20_000);
      expect((await admission.database('db')).database).toEqual(database);
    }
    expect(admission.problems()[0]).toMatch(/^the catalog has not answered for \d+ s; writes/);
    await clock.advance(20_000);
    await expect(admission.database('db')).rejects.toThrow(away.message);
  });

  it('never knew of other databases, and fails for them', async () => {
    const { state, admission } = world();
    state.answer = 'fails';
    await expect(admission.database('db')).rejects.toThrow(away.message);
    expect(admission.problems()).toHaveLength(1);
  });

  it('lets one write wait a second for a silent catalog, and those after it not at all', async () => {
    const { clock, state, admission } = world();
    await admission.database('db');
    await clock.advance(2000);
    state.answer = 'silent';
    const askedBefore = state.asked;
    let isAnswered = false;
    const first = admission.database('db').finally(() => {
      isAnswered = true;
    });
    await clock.advance(999);
    expect(isAnswered).toBe(false);
    await clock.advance(1);
    expect((await first).database).toEqual(database);
    expect((await admission.database('db')).database).toEqual(database);
    expect(state.asked).toBe(askedBefore + 1);
    expect(admission.problems()).toHaveLength(1);
    state.answer = 'well';
    for (const resolve of state.silent) resolve();
    await clock.advance(0);
    await admission.database('db');
    expect(admission.problems()).toEqual([]);
  });

  it('takes a refusal of the catalog at once, whatever it knew', async () => {
    const { clock, state, admission } = world();
    await admission.database('db');
    state.answer = 'fails';
    await clock.advance(2000);
    await admission.database('db');
    state.answer = 'dropped';
    await clock.advance(2000);
    // While the catalog was away nobody waits for it; the answer counts from the next write on.
    await admission.database('db');
    await clock.advance(0);
    await expect(admission.database('db')).rejects.toThrow('there is no database "db"');
    state.answer = 'fails';
    await expect(admission.database('db')).rejects.toThrow(away.message);
  });

  it('routes rows into open groups that it knows, for as long as owners take them', async () => {
    const { clock, state, router } = world();
    const rows = rowsOf('cpu', [
      { tags: { host: 'a' }, timeNs: BigInt(clock.nowMs()) * 1_000_000n, fields: { x: 1 } },
    ]);
    await router.route(database, [rows]);
    for (const answer of ['fails', 'silent'] as const) {
      state.answer = answer;
      await clock.advance(15_000);
      const routing = router.route(database, [rows]);
      await clock.advance(1000);
      expect((await routing).map(({ address }) => address.group)).toEqual(['w000000000001']);
      expect(await router.route(database, [rows])).toHaveLength(1);
    }
    state.answer = 'fails';
    router.forget(database);
    await clock.advance(15_000);
    await expect(router.route(database, [rows])).rejects.toThrow(away.message);
  });
});
