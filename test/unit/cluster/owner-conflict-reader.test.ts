import { beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import type { NodeRecord } from '../../../core/catalog/types.js';
import type { NodeId } from '../../../core/model/batch.js';
import type { ConflictRequest, FieldConflict } from '../../../core/ports/conflict-reader.js';
import { OwnerConflictReader } from '../../../query/owner-conflict-reader.js';
import { OwnerHotReader } from '../../../query/owner-hot-reader.js';
import { database, group, type PlainBatch } from '../../support/naive-hot-tier.js';
import { ReadOwners } from './read-owners.js';

const [n1, n2, n3] = ['n1', 'n2', 'n3'] as [NodeId, NodeId, NodeId];
const everyone = [n1, n2, n3];

let clock: SimulatedClock;
let owners: ReadOwners;
let reader: OwnerConflictReader;
let nodes: Pick<NodeRecord, 'node' | 'address' | 'state'>[];

beforeEach(() => {
  clock = new SimulatedClock({ sleeps: 'jump' });
  owners = new ReadOwners(everyone, clock);
  nodes = everyone.map((node) => ({ node, address: 'http://there', state: 'live' }));
  reader = new OwnerConflictReader({
    reads: new OwnerHotReader({ nodeOf: owners.nodeOf, clock }).reads,
    conflictsOf: owners.conflictsOf,
    listNodes: async () => nodes as NodeRecord[],
  });
});

/** A value for a point of a shard; the point's time is the shard's number. */
function batch(sequence: number, shard: number, load: number): PlainBatch {
  const rows = [{ tags: {}, timeNs: BigInt(shard), fields: { load } }];
  return { origin: 'n1', epoch: 1, sequence, stamp: BigInt(sequence), shard, tables: { cpu: rows } };
}

const shards = [{ owners: [n1, n2, n3] }, { owners: [n2, n3, n1] }];
const request: ConflictRequest = { database, group, conflictsMax: 100, shards };

function texts(conflicts: readonly FieldConflict[]): string[] {
  return conflicts.map(({ shard, values }) => `${shard}: ${values.map(({ text }) => text).join(' ')}`).sort();
}

describe('the conflicts of a cluster', () => {
  it('come once of each shard, from an owner that holds what a quorum does', async () => {
    for (const shard of [0, 1]) owners.apply(batch(shard * 2 + 1, shard, 1), everyone);
    owners.apply(batch(2, 0, 2), [n2]);
    owners.apply(batch(4, 1, 2), everyone);
    const { conflicts, isCut } = await reader.conflicts(request);
    expect(texts(conflicts)).toEqual(['0: 2.0 1.0', '1: 2.0 1.0']);
    expect(isCut).toBe(false);
    expect(owners.calls.filter((call) => call.includes('conflicts')).sort()).toHaveLength(2);
    expect(owners.calls).toContain('n2 conflicts 0');
  });

  it('come from another owner when one fails or is slow', async () => {
    for (const sequence of [1, 2]) owners.apply(batch(sequence, 0, sequence), everyone);
    for (const conduct of ['refusing', 'silent'] as const) {
      owners.conduct.set(n1, conduct);
      expect(texts((await reader.conflicts(request)).conflicts)).toEqual(['0: 2.0 1.0']);
    }
  });

  it('are missing nowhere without a word', async () => {
    owners.conduct.set(n1, 'refusing');
    owners.conduct.set(n2, 'refusing');
    await expect(reader.conflicts(request)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(/shard 0 of group w000000000001 cannot be read: it needs 2 of/),
    });
  });

  it('of groups that went to history are those that any node remembers, each once', async () => {
    for (const sequence of [1, 2]) owners.apply(batch(sequence, 0, sequence), [n1, n2]);
    for (const sequence of [3, 4]) owners.apply(batch(sequence, 1, sequence), [n2]);
    for (const node of everyone) await owners.settle(node);
    const asked = { database, conflictsMax: 10 };
    const { conflicts, isCut } = await reader.keptConflicts(asked);
    expect(texts(conflicts)).toEqual(['0: 2.0 1.0', '1: 4.0 3.0']);
    expect(isCut).toBe(false);

    owners.conduct.set(n2, 'silent');
    owners.conduct.set(n3, 'refusing');
    const fewer = await reader.keptConflicts(asked);
    expect(texts(fewer.conflicts)).toEqual(['0: 2.0 1.0']);
    expect(fewer.isCut).toBe(true);

    nodes = nodes.map((each) => (each.node === n1 ? each : { ...each, state: 'lost' }));
    expect((await reader.keptConflicts(asked)).isCut).toBe(false);
  });
});
