import { describe, expect, it } from 'vitest';
import { assignOwners } from '../../../core/catalog/assign-owners.js';
import { groupListCodec } from '../../../core/catalog/group-codec.js';
import { checkGroupTransition } from '../../../core/catalog/group-list.js';
import { replaceLostOwners, withFilledOwner } from '../../../core/catalog/replace-owners.js';
import { releaseGroup, sealGroup } from '../../../core/catalog/seal-group.js';
import type { GroupList, SequenceRange, ShardOwners } from '../../../core/catalog/types.js';
import type { NodeId } from '../../../core/model/batch.js';
import { database, node, openCatalog, startMs, windowAt } from './fixture.js';

const nodes = ['n1', 'n2', 'n3', 'n4', 'n5'].map(node);
const batches: readonly SequenceRange[] = [{ origin: node('n1'), epoch: 1, first: 1, last: 9 }];
const stamp = { nowMs: startMs, epoch: 1 };

async function openGroup(shards: readonly ShardOwners[]) {
  const { groups } = openCatalog();
  const { outcome, list } = await groups.openWindowGroup(database, windowAt(0), {
    nowMs: startMs,
    assign: () => shards,
  });
  if (outcome.kind !== 'open') throw new Error(outcome.reason);
  return { groups, id: outcome.group.id, list: list.value };
}

function replace(
  list: GroupList,
  lost: readonly string[],
  live: readonly NodeId[] = nodes,
  replication = 1,
): GroupList {
  const { list: next } = replaceLostOwners(list, {
    databaseId: database.id,
    lost: lost.map(node),
    live,
    replication,
  });
  if (next === undefined) return list;
  checkGroupTransition(list, next);
  expect(groupListCodec.decode('groups/x', groupListCodec.encode(next))).toEqual(next);
  return next;
}

const shardsOf = (list: GroupList): readonly ShardOwners[] | undefined => list.groups[0]?.shards;
const owners = (...names: string[]): ShardOwners => ({ owners: names.map(node) });

describe('replacing lost owners', () => {
  it('puts the node that rendezvous hashing would choose in their place, and marks it as filling', async () => {
    const { list, id } = await openGroup([owners('n1', 'n2', 'n3'), owners('n1', 'n2', 'n4')]);
    const next = replace(list, ['n3']);
    const [by] = assignOwners(database.id, id, 0, [node('n4'), node('n5')], 1);
    expect(shardsOf(next)).toEqual([
      { owners: [node('n1'), node('n2'), by], filling: [by], lost: [node('n3')] },
      owners('n1', 'n2', 'n4'),
    ]);
    expect(replace(next, ['n3'])).toBe(next);
  });

  it('gives an open group that was made while too few nodes lived the owners it lacks, as nodes come', async () => {
    const { list, id } = await openGroup([owners('n1')]);
    const [second] = assignOwners(database.id, id, 0, [node('n2')], 1);
    const two = replace(list, [], [node('n1'), node('n2')], 3);
    expect(shardsOf(two)).toEqual([{ owners: [node('n1'), second], filling: [second] }]);
    expect(replace(two, [], [node('n1'), node('n2')], 3)).toBe(two);
    const three = replace(two, [], nodes, 3);
    expect(shardsOf(three)?.[0]?.owners.slice(0, 2)).toEqual([node('n1'), node('n2')]);
    expect(shardsOf(three)?.[0]?.owners).toHaveLength(3);
    expect(shardsOf(three)?.[0]?.filling).toHaveLength(2);
    expect(replace(three, [], nodes, 3)).toBe(three);
  });

  it('leaves a lost owner in its place while no node is left to take it', async () => {
    const { list } = await openGroup([owners('n1', 'n2')]);
    expect(replace(list, ['n2'], [node('n1'), node('n2')])).toBe(list);
    expect(shardsOf(replace(list, ['n2'], [node('n1'), node('n3')]))).toEqual([
      { owners: [node('n1'), node('n3')], filling: [node('n3')], lost: [node('n2')] },
    ]);
  });

  it('replaces one that took the place of another and was lost before it was filled', async () => {
    const { list } = await openGroup([owners('n1', 'n2', 'n3')]);
    const once = replace(list, ['n3'], [node('n4')]);
    expect(shardsOf(replace(once, ['n3', 'n4'], [node('n5')]))).toEqual([
      {
        owners: [node('n1'), node('n2'), node('n5')],
        filling: [node('n5')],
        lost: [node('n3'), node('n4')],
      },
    ]);
  });

  it('counts an owner from when it has been filled', async () => {
    const { list, id } = await openGroup([owners('n1', 'n2', 'n3')]);
    const replaced = replace(list, ['n3'], [node('n4')]);
    const filled = withFilledOwner(replaced, id, { shard: 0, node: node('n4') });
    expect(filled && shardsOf(filled)).toEqual([
      { owners: [node('n1'), node('n2'), node('n4')], lost: [node('n3')] },
    ]);
    expect(withFilledOwner(list, id, { shard: 0, node: node('n4') })).toBeUndefined();
  });

  it('touches nothing whose content has been agreed on', async () => {
    const { groups, id } = await openGroup([owners('n1', 'n2', 'n3')]);
    await groups.close(database, [id], stamp);
    const exceptions = [{ shard: 0, missing: [node('n3')] }];
    const agreed = await groups.agree(database, id, { batches, exceptions }, stamp);
    expect(agreed.outcome).toMatchObject({ kind: 'agreed' });
    expect(replace(agreed.list.value, ['n3'])).toBe(agreed.list.value);
  });
});

describe('agreeing on a group', () => {
  it('holds whatever a retry finds, through the seal', async () => {
    const { groups, id } = await openGroup([owners('n1', 'n2', 'n3')]);
    const content = { batches, exceptions: [{ shard: null, missing: [node('n3')] }] };
    const refused = await groups.agree(database, id, content, stamp);
    expect(refused.outcome).toMatchObject({ kind: 'refused', state: 'open' });
    await groups.close(database, [id], stamp);
    await groups.agree(database, id, content, stamp);
    const more = [{ origin: node('n3'), epoch: 1, first: 1, last: 1 }];
    const again = await groups.agree(database, id, { batches: more, exceptions: [] }, stamp);
    expect(again.outcome).toMatchObject({ kind: 'already', group: { sealedBatches: batches } });
    const { outcome } = await groups.seal(database, id, more, stamp);
    expect(outcome).toMatchObject({
      kind: 'sealed',
      group: { sealedBatches: batches, sealExceptions: content.exceptions },
    });
    expect((await groups.get(database)).value.groups[0]).toMatchObject({ sealedBatches: batches });
  });

  it('is refused to a compactor that has been overtaken', async () => {
    const { groups, id } = await openGroup([owners('n1', 'n2')]);
    await groups.close(database, [id], { ...stamp, epoch: 2 });
    const late = await groups.agree(database, id, { batches, exceptions: [] }, stamp);
    expect(late.outcome).toEqual({ kind: 'fenced', by: 2 });
    const lost = { databaseId: database.id, lost: [node('n2')], live: nodes, replication: 1 };
    expect((await groups.replaceLost(database, lost, stamp)).outcome).toEqual({ kind: 'fenced', by: 2 });
  });

  it('lets nothing change the agreed batches', async () => {
    const { groups, id } = await openGroup([owners('n1')]);
    await groups.close(database, [id], stamp);
    const { list } = await groups.agree(database, id, { batches, exceptions: [] }, stamp);
    const changed = {
      ...list.value,
      groups: list.value.groups.map((group) => ({ ...group, sealedBatches: [] })),
    };
    expect(() => checkGroupTransition(list.value, changed)).toThrow('after they were agreed on');
    const sealed = sealGroup(list.value, id, [], startMs);
    expect(sealed.list && releaseGroup(sealed.list, id, [node('n1')]).outcome.kind).toBe('released');
  });
});
