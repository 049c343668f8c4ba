import type { GroupId } from '../model/batch.js';
import { floorTo, type Window, windowOf } from '../model/window.js';
import { closeGroups } from './close-group.js';
import { type GroupSettings, groupIdOf, msToNs } from './group-list.js';
import type { GroupKind, GroupList, ShardGroup, ShardOwners } from './types.js';
import { spanAt } from './window-spans.js';

/**
 * Where the rows of a span go: a window, or a part of one that was cut. `open`: into this group. `openable`: the span
 * is open and has no group yet. Not open, `behind` or `closed`: into the late group; `ahead`: into the group for rows
 * ahead.
 */
export type WindowPlace = { readonly span: Window } & (
  | { readonly kind: 'open'; readonly group: ShardGroup }
  | { readonly kind: 'openable' }
  | { readonly kind: 'not-open'; readonly reason: 'behind' | 'ahead' | 'closed' }
);

export interface OpenRequest {
  readonly nowMs: number;
  /** Owners of the group if it must be made. Pure: it may be called several times. */
  readonly assign: (group: GroupId) => readonly ShardOwners[];
}

export type OpenWindowOutcome = Exclude<WindowPlace, { readonly kind: 'openable' }>;

/** A list and what came of the request; `list: undefined` when nothing changed. */
export interface OpenWindowDecision {
  readonly list: GroupList | undefined;
  readonly outcome: OpenWindowOutcome;
}

/**
 * How long before its deadline a window without a group is given up. Nodes whose clocks differ by less agree that a
 * window is behind before any of them files rows of it as late, so no window group is opened after such rows: the
 * order of closing stays the order of writing.
 */
export const clockSkewMsMax = 2000;

/**
 * The place of an instant's rows by list and clock, and the span around it for which that holds. A group in the list
 * decides whatever the clock says: it takes rows as long as it is open. Without one, the window containing now and
 * the next one (for producers whose clocks are fast) may be opened, and earlier ones until shortly before their
 * deadline.
 */
export function placeOfWindow(
  list: GroupList,
  database: GroupSettings,
  timeNs: bigint,
  nowMs: number,
): WindowPlace {
  const span = spanAt(list, database.windowMs, timeNs);
  const group = list.groups.find((candidate) => candidate.startNs === span.startNs);
  if (group !== undefined) {
    return group.state === 'open'
      ? { kind: 'open', group, span }
      : { kind: 'not-open', reason: 'closed', span };
  }
  const lengthNs = msToNs(database.windowMs);
  const nowNs = msToNs(nowMs);
  const marginMs = Math.min(clockSkewMsMax, database.graceMs / 2);
  const giveUpNs = windowOf(timeNs, database.windowMs).endNs + msToNs(database.graceMs - marginMs);
  if (span.startNs < list.openFromNs || nowNs >= giveUpNs)
    return { kind: 'not-open', reason: 'behind', span };
  if (span.startNs > floorTo(nowNs, lengthNs) + lengthNs) return { kind: 'not-open', reason: 'ahead', span };
  return { kind: 'openable', span };
}

/**
 * The open group of the span around an instant, made if the span is open and has none. A new one closes the open ahead group in the
 * same step: it may hold older rows of this span, and what closes first gives way to what closes later. A window
 * found behind is given up for good, whatever another node's clock says.
 */
export function openWindowGroup(
  list: GroupList,
  database: GroupSettings,
  timeNs: bigint,
  request: OpenRequest,
): OpenWindowDecision {
  const place = placeOfWindow(list, database, timeNs, request.nowMs);
  const { span } = place;
  if (place.kind === 'open') return { list: undefined, outcome: place };
  if (place.kind === 'not-open') {
    const givenUp = place.reason !== 'behind' || span.endNs <= list.openFromNs;
    return { list: givenUp ? undefined : { ...list, openFromNs: span.endNs }, outcome: place };
  }
  const ahead = list.groups.filter((group) => group.kind === 'ahead' && group.state === 'open');
  const closed = closeGroups(
    list,
    ahead.map((group) => group.id),
    request.nowMs,
  );
  const windowEndNs = windowOf(timeNs, database.windowMs).endNs;
  const closeAfterMs = Number(windowEndNs / 1_000_000n) + database.graceMs;
  const group = newGroup(closed, { kind: 'window', ...span, closeAfterMs }, request);
  return { list: withGroup(closed, group), outcome: { kind: 'open', group, span } };
}

/** The open group for rows of windows that are not open, made if there is none. */
export function openSpillGroup(
  list: GroupList,
  database: GroupSettings,
  kind: Exclude<GroupKind, 'window'>,
  request: OpenRequest,
): { readonly list: GroupList | undefined; readonly group: ShardGroup } {
  const open = list.groups.find((group) => group.kind === kind && group.state === 'open');
  if (open !== undefined) return { list: undefined, group: open };
  const closeAfterMs = request.nowMs + database.lateDelayMs;
  const group = newGroup(list, { kind, startNs: null, endNs: null, closeAfterMs }, request);
  return { list: withGroup(list, group), group };
}

function newGroup(
  list: GroupList,
  facts: Pick<ShardGroup, 'kind' | 'startNs' | 'endNs' | 'closeAfterMs'>,
  request: OpenRequest,
): ShardGroup {
  const id = groupIdOf(facts.kind, list.nextGroup);
  return {
    id,
    ...facts,
    createdMs: request.nowMs,
    state: 'open',
    closeSequence: null,
    closedMs: null,
    shards: request.assign(id),
    sealedBatches: null,
    sealedMs: null,
    released: [],
  };
}

function withGroup(list: GroupList, group: ShardGroup): GroupList {
  return { ...list, groups: [...list.groups, group], nextGroup: list.nextGroup + 1 };
}
