import { beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import type { NodeId } from '../../../core/model/batch.js';
import type {
  HotChunkInfo,
  HotDescribeRequest,
  HotReadOptions,
  IncompleteShard,
} from '../../../core/ports/hot-reader.js';
import { VarveError } from '../../../core/std/errors.js';
import type { OwnerReadMetrics } from '../../../query/hot/owner-read-metrics.js';
import { OwnerHotReader } from '../../../query/owner-hot-reader.js';
import { database, group, type PlainBatch, type PlainRow, plainScan } from '../../support/naive-hot-tier.js';
import { ReadOwners } from './read-owners.js';

const [n1, n2, n3] = ['n1', 'n2', 'n3'] as [NodeId, NodeId, NodeId];
const threeOwners = [{ owners: [n1, n2, n3] }];

let clock: SimulatedClock;
let owners: ReadOwners;
let reader: OwnerHotReader;
let noted: string[];

beforeEach(() => {
  clock = new SimulatedClock({ sleeps: 'jump' });
  owners = new ReadOwners([n1, n2, n3], clock);
  noted = [];
  const metrics: OwnerReadMetrics = {
    raced: (call) => void noted.push(`raced ${call}`),
    failedOver: (call) => void noted.push(`failed over ${call}`),
    brokeOff: () => void noted.push('broke off'),
    caughtUp: (batches) => void noted.push(`caught up ${batches}`),
    incomplete: () => void noted.push('incomplete'),
  };
  reader = new OwnerHotReader({ nodeOf: owners.nodeOf, clock, metrics });
});

/** A batch with one row whose value and time are its sequence. */
function batch(sequence: number, shard = 0): PlainBatch {
  const row: PlainRow = {
    tags: { host: 'a' },
    timeNs: BigInt(sequence),
    fields: { count: BigInt(sequence) },
  };
  return { origin: 'n1', epoch: 1, sequence, stamp: BigInt(sequence), shard, tables: { cpu: [row] } };
}

function describeAll(
  more: Partial<HotDescribeRequest> = {},
  read: HotReadOptions = { consistency: 'quorum' },
): Promise<readonly HotChunkInfo[]> {
  return reader.describe({ database, group, table: 'cpu', shards: threeOwners, read, ...more });
}

/** Values that a read finds: describe, then scan what was described. */
async function values(
  more: Partial<HotDescribeRequest> = {},
  read: HotReadOptions = { consistency: 'quorum' },
): Promise<bigint[]> {
  const found: bigint[] = [];
  for (const { shard, owners: readable } of await describeAll(more, read)) {
    const rows = await plainScan(reader, {
      ...{ database, group, table: 'cpu', shard, columns: ['count'], tags: [] },
      ...{ minTimeNs: null, maxTimeNs: null, ...(readable === undefined ? {} : { owners: readable }) },
    });
    found.push(...rows.map(({ fields }) => fields['count'] as bigint));
  }
  return found;
}

describe('a read at quorum', () => {
  it('scans one owner alone when all hold the same', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    expect(await values()).toEqual([1n]);
    expect(owners.calls.filter((call) => call.endsWith('scan'))).toEqual(['n1 scan']);
    expect(noted).toEqual([]);
  });

  it('passes over an owner that lacks what another one has', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    owners.apply(batch(2), [n2]);
    expect(await values()).toEqual([1n, 2n]);
    expect(owners.calls.filter((call) => call.endsWith('scan'))).toEqual(['n2 scan']);
  });

  it('finds what a quorum acknowledged, whichever owner is down', async () => {
    for (const down of [n1, n2, n3]) {
      for (const lacking of [n1, n2, n3]) {
        owners = new ReadOwners([n1, n2, n3], clock);
        owners.conduct.set(down, 'refusing');
        for (const name of [n1, n2, n3]) if (name !== lacking) owners.delayMs.set(name, 20);
        reader = new OwnerHotReader({ nodeOf: owners.nodeOf, clock });
        owners.apply(
          batch(7),
          [n1, n2, n3].filter((name) => name !== lacking),
        );
        expect(await values(), `${down} is down and ${lacking} lacks the batch`).toEqual([7n]);
      }
    }
  });

  it('waits for a batch that is on its way to the owners instead of fetching it', async () => {
    owners.apply(batch(1), [n1, n2]);
    owners.apply(batch(2), [n2, n3]);
    owners.apply(batch(3), [n1, n3]);
    let asked = 0;
    owners.onCall = (call) => {
      if (call === 'n1 holdings' && ++asked === 3) owners.apply(batch(2), [n1]);
    };
    expect(await values()).toEqual([1n, 2n, 3n]);
    expect(owners.calls.filter((call) => call.includes('catchUp'))).toEqual([]);
  });

  it('has an owner fetch what it lacks when no owner of the quorum holds all', async () => {
    owners.conduct.set(n3, 'refusing');
    owners.apply(batch(1), [n1, n2]);
    owners.apply(batch(2), [n1, n3]);
    for (const each of [3, 4]) owners.apply(batch(each), [n2, n3]);
    expect(await values()).toEqual([1n, 2n, 3n, 4n]);
    // n2 lacks one batch, n1 two.
    expect(owners.calls.filter((call) => call.includes('catchUp'))).toEqual(['n2 catchUp from n1']);
    expect(noted).toEqual(['caught up 1']);
    expect(await values()).toEqual([1n, 2n, 3n, 4n]);
    expect(noted).toEqual(['caught up 1']);
  });

  it('asks another quorum when an owner goes away while another fetches from it', async () => {
    owners.apply(batch(1), [n1, n3]);
    owners.apply(batch(2), [n2, n3]);
    owners.conduct.set(n3, 'refusing');
    owners.onCall = (call) => {
      if (!call.includes('catchUp')) return;
      owners.conduct.set(n1, 'refusing');
      owners.conduct.delete(n3);
    };
    expect(await values()).toEqual([1n, 2n]);
  });

  it('does without an owner that is silent', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    owners.conduct.set(n1, 'silent');
    const before = clock.monotonicMs();
    expect(await values()).toEqual([1n]);
    expect(clock.monotonicMs() - before).toBeLessThan(1000);
    expect(owners.calls.filter((call) => call.endsWith('scan'))).not.toContain('n1 scan');
  });

  it('does not ask an owner again that has let it wait, while the others do', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    owners.conduct.set(n1, 'silent');
    await values();
    await clock.sleep(500);
    owners.calls.length = 0;
    expect(await values()).toEqual([1n]);
    expect(owners.calls.filter((call) => call.startsWith('n1'))).toEqual([]);
    // Needed after all, it is asked.
    owners.conduct.delete(n1);
    owners.conduct.set(n2, 'refusing');
    expect(await values()).toEqual([1n]);
  });

  it('fails naming group, shard, owners and reasons when too few owners answer', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    owners.conduct.set(n1, 'refusing');
    owners.conduct.set(n3, 'silent');
    await expect(values()).rejects.toMatchObject({
      kind: 'unavailable',
      retryAfterSeconds: 1,
      message: expect.stringMatching(
        /shard 0 of group w000000000001, which may hold rows of table "cpu".*2 of its owners n1, n2, n3; node n1: .*connection refused; node n3: .*no answer within/,
      ),
    });
  });

  it('fails with two owners of which one is down: what the other lacks nobody knows', async () => {
    const shards = [{ owners: [n1, n2] }];
    owners.apply(batch(1), [n1, n2]);
    owners.conduct.set(n2, 'refusing');
    await expect(values({ shards })).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await values({ shards }, { consistency: 'one' })).toEqual([1n]);
  });

  it('does not count an owner that is being filled in the place of a lost one', async () => {
    const shards = [{ owners: [n1, n2, n3], filling: [n3] }];
    // Acknowledged by n1 and the lost owner whose place n3 took.
    owners.apply(batch(1), [n1]);
    expect(await values({ shards })).toEqual([1n]);
    expect(await values({ shards }, { consistency: 'one' })).toEqual([1n]);
    owners.conduct.set(n1, 'refusing');
    await expect(values({ shards })).rejects.toMatchObject({ kind: 'unavailable' });
    owners.conduct.delete(n1);
    // What is written after all owners but one were replaced meets a quorum of the new ones.
    const after = [{ owners: [n1, n2, n3], filling: [n2, n3] }];
    owners.apply(batch(2), [n2, n3]);
    expect((await values({ shards: after })).sort()).toEqual([1n, 2n]);
    for (const name of [n2, n3]) owners.conduct.set(name, 'refusing');
    await expect(values({ shards: after })).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('leaves out only what cannot be read when the caller allows it, and tells', async () => {
    const shards = [{ owners: [n1, n2, n3] }, { owners: [n3, n2, n1] }, { owners: [n2] }];
    for (const shard of [0, 1, 2]) owners.apply(batch(shard + 1, shard), [n1, n2, n3]);
    owners.conduct.set(n1, 'refusing');
    owners.conduct.set(n3, 'refusing');
    const incomplete: IncompleteShard[] = [];
    const onIncomplete = (each: IncompleteShard): void => void incomplete.push(each);
    expect(await values({ shards }, { consistency: 'quorum', onIncomplete })).toEqual([3n]);
    expect(incomplete).toMatchObject([
      { group, shard: 0, reason: expect.stringMatching(/n1: .*refused.*n3: .*refused/) },
      { group, shard: 1 },
    ]);
    expect(noted).toEqual(['incomplete', 'incomplete']);
    await expect(values({ shards })).rejects.toMatchObject({
      message: expect.stringMatching(/shard 0 of group .* nor can 1 other shard of it/),
    });
  });

  it('passes "not found" of any owner on, for the planner looks again then', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    owners.tierOf(n2).drop(database, group);
    await expect(values()).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('ends when the caller goes away', async () => {
    for (const name of [n1, n2, n3]) owners.conduct.set(name, 'silent');
    const abort = new AbortController();
    const request = { database, group, table: 'cpu', shards: threeOwners };
    const reading = reader.describe(request, abort.signal);
    abort.abort(new Error('gone'));
    await expect(reading).rejects.toThrow('gone');
  });
});

describe('a read of one owner', () => {
  it('asks the only owner and nobody what it holds', async () => {
    owners.apply(batch(1), [n2]);
    expect(await values({ shards: [{ owners: [n2] }] })).toEqual([1n]);
    expect(owners.calls).toEqual(['n2 describe', 'n2 scan']);
  });

  it('fails naming shards and node when the only owner does not answer', async () => {
    owners.conduct.set(n1, 'refusing');
    const shards = [{ owners: [n1] }, { owners: [n2] }, { owners: [n1] }];
    await expect(values({ shards })).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(
        /shards 0, 2 of group w000000000001.*"cpu", cannot be read: its owner is node n1; node n1: /,
      ),
    });
  });

  it('never takes an unknown owner for an empty shard', async () => {
    await expect(reader.describe({ database, group, table: 'cpu' })).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('no owner is known'),
    });
    await expect(values({ shards: [{ owners: [] }] })).rejects.toMatchObject({ kind: 'unavailable' });
    const scan = { database, group, table: 'cpu', shard: 0, columns: [], tags: [] };
    await expect(plainScan(reader, { ...scan, minTimeNs: null, maxTimeNs: null })).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });

  it('takes the next owner when the first one fails, and the slow one last from then on', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    owners.conduct.set(n1, 'refusing');
    expect(await values({}, { consistency: 'one' })).toEqual([1n]);
    expect(noted).toEqual(['failed over describe']);
    expect(await values({}, { consistency: 'one' })).toEqual([1n]);
    expect(noted).toEqual(['failed over describe']);
  });

  it('takes the next owner when the first one cannot even be looked up', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    const nodeOf = (name: NodeId) => {
      if (name === n1) throw new VarveError('unavailable', 'no such node');
      return owners.nodeOf(name);
    };
    reader = new OwnerHotReader({ nodeOf, clock });
    for (const consistency of ['one', 'quorum'] as const) {
      expect(await values({}, { consistency })).toEqual([1n]);
    }
  });

  it('prefers the node of its own process', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    reader = new OwnerHotReader({ nodeOf: owners.nodeOf, clock, localNode: n3 });
    await values({}, { consistency: 'one' });
    expect(owners.calls).toEqual(['n3 describe', 'n3 scan']);
  });
});

describe('a scan', () => {
  const scan = { database, group, table: 'cpu', shard: 0, columns: ['count'], tags: [] };
  const everything = { ...scan, minTimeNs: null, maxTimeNs: null, owners: [n1, n2, n3] };
  const scanned = async (): Promise<bigint[]> =>
    (await plainScan(reader, everything)).map(({ fields }) => fields['count'] as bigint);

  it('is begun at another owner when the first one is slow', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    owners.conduct.set(n1, 'silent');
    expect(await scanned()).toEqual([1n]);
    expect(owners.calls).toEqual(['n1 scan', 'n2 scan']);
    expect(noted).toEqual(['raced scan']);
    expect(await scanned()).toEqual([1n]);
    expect(owners.calls).toEqual(['n1 scan', 'n2 scan', 'n2 scan']);
  });

  it('is begun at another owner at once when the first one fails', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    owners.conduct.set(n1, 'refusing');
    const before = clock.monotonicMs();
    expect(await scanned()).toEqual([1n]);
    expect(clock.monotonicMs()).toBe(before);
    expect(noted).toEqual(['failed over scan']);
  });

  it('that breaks off fails, for the rows of another owner would come twice', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    owners.conduct.set(n1, 'breaking');
    await expect(scanned()).rejects.toMatchObject({ kind: 'unavailable' });
    expect(owners.calls).toEqual(['n1 scan']);
    expect(noted).toEqual(['broke off']);
    expect(await scanned()).toEqual([1n]);
    expect(owners.calls).toEqual(['n1 scan', 'n2 scan']);
  });

  it('races nobody where there is one owner', async () => {
    owners.apply(batch(1), [n1]);
    owners.conduct.set(n1, 'silent');
    const abort = new AbortController();
    const reading = plainScanOf(abort.signal);
    await clock.sleep(10_000);
    expect(owners.calls).toEqual(['n1 scan']);
    abort.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });

  async function plainScanOf(signal: AbortSignal): Promise<void> {
    for await (const _ of reader.scan({ ...everything, owners: [n1] }, signal));
  }

  it('waits for an owner as long as it mostly takes before it races another', async () => {
    owners.apply(batch(1), [n1, n2, n3]);
    for (let scans = 0; scans < 20; scans++) await scanned();
    owners.calls.length = 0;
    owners.conduct.set(n1, 'silent');
    const before = clock.monotonicMs();
    await scanned();
    // All scans before were instant, so the bound below holds.
    expect(clock.monotonicMs() - before).toBe(25);
  });
});
