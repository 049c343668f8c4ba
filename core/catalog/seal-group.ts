import type { GroupId, NodeId } from '../model/batch.js';
import { findGroup, type GroupSettings, lastDueNs, mapGroups, ownersOf } from './group-list.js';
import { normalizeSequenceRanges } from './sequence-ranges.js';
import type { GroupList, GroupState, SealException, SequenceRange, ShardGroup } from './types.js';

export type SealOutcome =
  | { readonly kind: 'sealed' | 'agreed'; readonly group: ShardGroup }
  /** It was sealed or agreed on before, with the batches in `group`. */
  | { readonly kind: 'already'; readonly group: ShardGroup }
  /** It is still open, or `waitsFor`, which closed before it, is not sealed yet. */
  | { readonly kind: 'refused'; readonly state: GroupState; readonly waitsFor: GroupId | null }
  /** The list does not name it: all owners have released it, or it never was. */
  | { readonly kind: 'absent' };

export type ReleaseOutcome =
  /** `left`: the group is no longer in the list. */
  | { readonly kind: 'released'; readonly left: boolean }
  /** It is not sealed yet, or the node does not own it. */
  | { readonly kind: 'refused'; readonly state: GroupState };

/** A list and what came of the request; `list: undefined` when nothing changed. */
export interface GroupDecision<R> {
  readonly list: GroupList | undefined;
  readonly outcome: R;
}

/** What the owners of a group have agreed on. */
export interface AgreedContent {
  readonly batches: readonly SequenceRange[];
  /** Empty when every node was asked. */
  readonly exceptions: readonly SealException[];
}

/**
 * Writes down what a closing group holds, before anything of it is committed: a retry after a crash finds other owners
 * reachable, and must not say that history holds batches which the first try's commits did not see.
 */
export function agreeOnGroup(
  list: GroupList,
  id: GroupId,
  content: AgreedContent,
): GroupDecision<SealOutcome> {
  const { next, decision } = nextOrRefused(list, id);
  if (decision !== undefined) return decision;
  if (next.sealedBatches !== null) return { list: undefined, outcome: { kind: 'already', group: next } };
  const agreed: ShardGroup = {
    ...next,
    sealedBatches: normalizeSequenceRanges(content.batches),
    ...(content.exceptions.length === 0 ? {} : { sealExceptions: content.exceptions }),
  };
  return {
    list: mapGroups(list, (other) => (other.id === id ? agreed : other)),
    outcome: { kind: 'agreed', group: agreed },
  };
}

/**
 * Moves the group that closed first among those not sealed from closing to sealed. What was agreed on before holds,
 * whatever `batches` says.
 */
export function sealGroup(
  list: GroupList,
  id: GroupId,
  batches: readonly SequenceRange[],
  nowMs: number,
): GroupDecision<SealOutcome> {
  const { next, decision } = nextOrRefused(list, id);
  if (decision !== undefined) return decision;
  const sealed: ShardGroup = {
    ...next,
    state: 'sealed',
    sealedBatches: next.sealedBatches ?? normalizeSequenceRanges(batches),
    sealedMs: nowMs,
  };
  return {
    list: mapGroups(list, (other) => (other.id === id ? sealed : other)),
    outcome: { kind: 'sealed', group: sealed },
  };
}

/** The group if it is the next to seal; otherwise what to answer. */
function nextOrRefused(
  list: GroupList,
  id: GroupId,
):
  | { readonly next: ShardGroup; readonly decision?: undefined }
  | { readonly next?: undefined; readonly decision: GroupDecision<SealOutcome> } {
  const refused = (outcome: SealOutcome) => ({ decision: { list: undefined, outcome } });
  const group = findGroup(list, id);
  if (group === undefined) return refused({ kind: 'absent' });
  if (group.state === 'sealed') return refused({ kind: 'already', group });
  const next = nextToSeal(list);
  if (group.state === 'closing' && next?.id === id) return { next: group };
  const waitsFor = group.state === 'closing' ? (next?.id ?? null) : null;
  return refused({ kind: 'refused', state: group.state, waitsFor });
}

/** The closing group with the lowest close sequence; undefined when none is closing. */
export function nextToSeal(list: GroupList): ShardGroup | undefined {
  let next: ShardGroup | undefined;
  for (const group of list.groups) {
    if (group.state !== 'closing') continue;
    if (next === undefined || (group.closeSequence ?? 0) < (next.closeSequence ?? 0)) next = group;
  }
  return next;
}

/** Notes that owners have dropped their batches of a sealed group. When all have, the group may leave the list. */
export function releaseGroup(
  list: GroupList,
  id: GroupId,
  nodes: readonly NodeId[],
): GroupDecision<ReleaseOutcome> {
  const group = findGroup(list, id);
  if (group === undefined) return { list: undefined, outcome: { kind: 'released', left: true } };
  const owners = ownersOf(group);
  if (group.state !== 'sealed' || !nodes.every((node) => owners.includes(node))) {
    return { list: undefined, outcome: { kind: 'refused', state: group.state } };
  }
  const news = nodes.filter((node) => !group.released.includes(node));
  if (news.length === 0) return { list: undefined, outcome: { kind: 'released', left: false } };
  const released = { ...group, released: [...group.released, ...news] };
  const next = withoutReleased(mapGroups(list, (other) => (other.id === id ? released : other)));
  return { list: next, outcome: { kind: 'released', left: findGroup(next, id) === undefined } };
}

/**
 * Moves the watermark to the greatest window end, or cut of a window, such that every window up to it is past its deadline (or given up,
 * see GroupList.openFromNs) and no unsealed window group begins before it. Late groups do not hold it back: what
 * they hold makes new snapshots of windows already settled.
 */
export function advanceWatermark(list: GroupList, database: GroupSettings, nowMs: number): GroupList {
  const dueNs = lastDueNs(database, nowMs);
  let openFromNs = list.openFromNs;
  if (dueNs > openFromNs) openFromNs = dueNs;
  let settledThroughNs = openFromNs;
  for (const group of list.groups) {
    if (group.startNs === null || group.state === 'sealed') continue;
    if (group.startNs < settledThroughNs) settledThroughNs = group.startNs;
  }
  if (settledThroughNs <= list.settledThroughNs) return list;
  return withoutReleased({ ...list, settledThroughNs, openFromNs });
}

/**
 * Without the sealed groups that all owners have released. A window group stays until the watermark has passed it:
 * as long as it is in the list its window cannot be opened a second time.
 */
function withoutReleased(list: GroupList): GroupList {
  const needed = (group: ShardGroup): boolean =>
    group.state !== 'sealed' ||
    group.released.length < ownersOf(group).length ||
    (group.endNs !== null && group.endNs > list.settledThroughNs);
  return { ...list, groups: list.groups.filter(needed) };
}
