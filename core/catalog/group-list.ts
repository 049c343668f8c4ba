import type { GroupId, NodeId } from '../model/batch.js';
import { floorTo, nsPerMs } from '../model/window.js';
import { assert } from '../std/assert.js';
import type { Database, GroupKind, GroupList, SequenceRange, ShardGroup } from './types.js';

/** The parts of a database that decide about its groups. */
export type GroupSettings = Pick<
  Database,
  'name' | 'id' | 'createdMs' | 'windowMs' | 'graceMs' | 'lateDelayMs'
>;

/**
 * The list of a database that has had no group yet. All windows whose deadline had passed at its creation were empty
 * then, so the watermark may say so, and what comes for them is late. Numbers of groups begin at the time of
 * creation in tenths of a second: a database made again under an old name never reuses a group id, so a batch of the
 * old one, left in some node's WAL, cannot be taken for one of the new.
 */
export function initialGroupList(database: GroupSettings): GroupList {
  const settledThroughNs = lastDueNs(database, database.createdMs);
  return {
    database: database.name,
    settledThroughNs,
    openFromNs: settledThroughNs,
    groups: [],
    nextGroup: Math.floor(database.createdMs / 100) + 1,
    nextCloseSequence: 1,
    fencingEpoch: 0,
  };
}

/** The greatest window end whose deadline (end + grace) is not after `nowMs`. */
export function lastDueNs(database: Pick<Database, 'windowMs' | 'graceMs'>, nowMs: number): bigint {
  return floorTo(msToNs(nowMs - database.graceMs), msToNs(database.windowMs));
}

/** Milliseconds, rounded down to a whole one, as nanoseconds. */
export function msToNs(ms: number): bigint {
  return BigInt(Math.floor(ms)) * nsPerMs;
}

/** Number of a group within its database: the digits of its id. */
export function groupNumber(id: GroupId): number {
  return Number(id.slice(1));
}

/** `w` for a window group, `l` for a late or ahead one, and the number in 12 digits. */
export function groupIdOf(kind: GroupKind, number: number): GroupId {
  return `${kind === 'window' ? 'w' : 'l'}${String(number).padStart(12, '0')}` as GroupId;
}

/** The group of that id; undefined when the list does not name it. */
export function findGroup(list: GroupList, id: GroupId): ShardGroup | undefined {
  return list.groups.find((group) => group.id === id);
}

/** Every node that owns a shard of the group, once. */
export function ownersOf(group: ShardGroup): readonly NodeId[] {
  return [...new Set(group.shards.flatMap((shard) => shard.owners))];
}

/** Whether some shard of the group has fewer owners than the database wants, because fewer nodes were live. */
export function isUnderReplicated(group: ShardGroup, database: Pick<Database, 'replication'>): boolean {
  return group.shards.some(({ owners }) => owners.length < database.replication);
}

/** The list with the groups that `update` gives another form of; the others as they are. */
export function mapGroups(list: GroupList, update: (group: ShardGroup) => ShardGroup): GroupList {
  return { ...list, groups: list.groups.map(update) };
}

/** Asserts what holds of every list; a failure is a defect of a transition and ends the process. */
export function checkGroupList(list: GroupList): void {
  const { groups } = list;
  const state = (kind: ShardGroup['state']): readonly ShardGroup[] =>
    groups.filter((group) => group.state === kind);
  const unique = (values: readonly unknown[]): boolean => new Set(values).size === values.length;
  const claim = (holds: boolean, message: string): void =>
    assert(holds, `groups of ${list.database}: ${message}`);

  claim(list.openFromNs >= list.settledThroughNs, 'windows may be opened behind the watermark');
  groups.forEach((group, index) => {
    const before = groups[index - 1];
    const number = groupNumber(group.id);
    claim(before === undefined || groupNumber(before.id) < number, `${group.id} is out of order`);
    claim(number < list.nextGroup, `${group.id} is not below the next number ${list.nextGroup}`);
    claim(group.id === groupIdOf(group.kind, number), `${group.id} is a ${group.kind} group`);
    checkGroup(group, claim);
    claim((group.closeSequence ?? 0) < list.nextCloseSequence, `${group.id} closed in the future`);
    if (group.kind === 'window' && group.state !== 'sealed') {
      claim((group.startNs ?? 0n) >= list.settledThroughNs, `${group.id} is unsealed behind the watermark`);
    }
  });

  const windows = groups.filter((group) => group.kind === 'window');
  const byStart = windows.toSorted((left, right) => ((left.startNs ?? 0n) < (right.startNs ?? 0n) ? -1 : 1));
  byStart.forEach((group, index) => {
    const before = byStart[index - 1];
    const isApart = before === undefined || (before.endNs ?? 0n) <= (group.startNs ?? 0n);
    claim(isApart, `an instant has two groups, ${before?.id} and ${group.id}`);
  });
  for (const kind of ['late', 'ahead'] as const) {
    const open = state('open').filter((group) => group.kind === kind);
    claim(open.length <= 1, `${open.length} ${kind} groups are open`);
  }
  const sequences = [...state('sealed'), ...state('closing')].map((group) => group.closeSequence ?? 0);
  claim(unique(sequences), 'two groups have one close sequence');
  const lastSealed = Math.max(0, ...state('sealed').map((group) => group.closeSequence ?? 0));
  for (const group of state('closing')) {
    claim((group.closeSequence ?? 0) > lastSealed, `${group.id} waits although a later one is sealed`);
  }
}

function checkGroup(group: ShardGroup, claim: (holds: boolean, message: string) => void): void {
  const closed = group.state !== 'open';
  const sealed = group.state === 'sealed';
  const hasWindow = group.startNs !== null && group.endNs !== null && group.startNs < group.endNs;
  claim(hasWindow === (group.kind === 'window'), `${group.id} has no window of its own, or should have none`);
  claim(
    (group.closeSequence !== null) === closed,
    `${group.id} is ${group.state}; its close sequence says else`,
  );
  claim((group.closedMs !== null) === closed, `${group.id} is ${group.state}; its time of closing says else`);
  claim(
    group.state === 'closing' || (group.sealedBatches !== null) === sealed,
    `${group.id} is ${group.state}; its sealed set says else`,
  );
  claim(
    group.sealedBatches !== null || group.sealExceptions === undefined,
    `${group.id} has exceptions from an agreement that there is not`,
  );
  claim((group.sealedMs !== null) === sealed, `${group.id} is ${group.state}; its time of sealing says else`);
  claim(sealed || group.released.length === 0, `${group.id} is ${group.state} and released`);
  claim(group.shards.length > 0, `${group.id} has no shard`);
  for (const { owners, filling = [], lost = [] } of group.shards) {
    claim(
      filling.every((node) => owners.includes(node)),
      `${group.id} is filled on a node that does not own it`,
    );
    claim(
      lost.every((node) => !owners.includes(node)),
      `${group.id} is owned by a node that was lost`,
    );
    claim(owners.length > 0, `${group.id} has a shard without owners`);
    claim(new Set(owners).size === owners.length, `${group.id} has a shard with one owner twice`);
  }
  const owners = ownersOf(group);
  claim(new Set(group.released).size === group.released.length, `${group.id} is released twice by one owner`);
  claim(
    group.released.every((node) => owners.includes(node)),
    `${group.id} is released by a node that does not own it`,
  );
}

function sameRanges(left: readonly SequenceRange[], right: readonly SequenceRange[] | null): boolean {
  if (left === right) return true;
  return left.length === right?.length && left.every((range, index) => sameRange(range, right[index]));
}

function sameRange(left: SequenceRange, right: SequenceRange | undefined): boolean {
  return (
    left.origin === right?.origin &&
    left.epoch === right.epoch &&
    left.first === right.first &&
    left.last === right.last
  );
}

const stateOrder = { open: 0, closing: 1, sealed: 2 } as const;

/** Asserts that `next` may follow `previous`, and that `next` is sound in itself. */
export function checkGroupTransition(previous: GroupList, next: GroupList): void {
  const claim = (holds: boolean, message: string): void =>
    assert(holds, `groups of ${next.database}: ${message}`);
  claim(next.settledThroughNs >= previous.settledThroughNs, 'the watermark would move back');
  claim(next.openFromNs >= previous.openFromNs, 'windows given up would be opened again');
  claim(next.nextGroup >= previous.nextGroup, 'group ids would be used again');
  claim(next.nextCloseSequence >= previous.nextCloseSequence, 'close sequences would be used again');
  claim(next.fencingEpoch >= previous.fencingEpoch, 'the fencing epoch would move back');
  const nextById = new Map(next.groups.map((group) => [group.id, group]));
  for (const group of previous.groups) {
    const after = nextById.get(group.id);
    nextById.delete(group.id);
    if (after === undefined) {
      claim(group.state === 'sealed', `${group.id} would be lost while ${group.state}`);
      continue;
    }
    const step = stateOrder[after.state] - stateOrder[group.state];
    claim(step === 0 || step === 1, `${group.id} would go from ${group.state} to ${after.state}`);
    claim(
      group.sealedBatches === null || sameRanges(group.sealedBatches, after.sealedBatches),
      `the batches of ${group.id} would change after they were agreed on`,
    );
    claim(
      group.closeSequence === null || after.closeSequence === group.closeSequence,
      `${group.id} would be closed twice`,
    );
    const isCut = step === 1 && after.state === 'closing' && (after.endNs ?? 0n) < (group.endNs ?? 0n);
    claim(
      after.startNs === group.startNs && (after.endNs === group.endNs || isCut),
      `${group.id} would change its bounds`,
    );
  }
  for (const group of nextById.values()) {
    claim(groupNumber(group.id) >= previous.nextGroup, `${group.id} would appear under a used number`);
    claim(
      group.kind !== 'window' || (group.startNs ?? 0n) >= previous.openFromNs,
      `${group.id} would open a window that was given up`,
    );
  }
  checkGroupList(next);
}
