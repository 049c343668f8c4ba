import { describe, expect, it } from 'vitest';
import { closeDueGroups, closeGroups, closeThrough } from '../../../core/catalog/close-group.js';
import { checkGroupTransition, initialGroupList } from '../../../core/catalog/group-list.js';
import { openSpillGroup, openWindowGroup, placeOfWindow } from '../../../core/catalog/open-group.js';
import { advanceWatermark, releaseGroup, sealGroup } from '../../../core/catalog/seal-group.js';
import { truncateGroups } from '../../../core/catalog/truncate-groups.js';
import type { GroupKind, GroupList, SequenceRange, ShardGroup } from '../../../core/catalog/types.js';
import type { GroupId } from '../../../core/model/batch.js';
import { assign, database, minuteMs, node, startMs, windowAt } from './fixture.js';

const secondMs = 1000;
const batches: readonly SequenceRange[] = [{ origin: node('n1'), epoch: 1, first: 1, last: 9 }];

/** A list that transitions are applied to one after another, each checked as the catalog checks it. */
class History {
  list: GroupList = initialGroupList(database);

  apply(next: GroupList | undefined): void {
    if (next === undefined) return;
    checkGroupTransition(this.list, next);
    this.list = next;
  }

  openWindow(atMs: number, nowMs = atMs): ShardGroup | string {
    const request = { nowMs: startMs + nowMs, assign };
    const { list, outcome } = openWindowGroup(this.list, database, windowAt(atMs), request);
    this.apply(list);
    return outcome.kind === 'open' ? outcome.group : outcome.reason;
  }

  openSpill(kind: Exclude<GroupKind, 'window'>, nowMs: number): ShardGroup {
    const { list, group } = openSpillGroup(this.list, database, kind, { nowMs: startMs + nowMs, assign });
    this.apply(list);
    return group;
  }

  close(ids: readonly GroupId[], nowMs = 0): void {
    this.apply(closeGroups(this.list, ids, startMs + nowMs));
  }

  /** Writes the place of an instant: the group's position in the list, or why there is none. */
  place(atMs: number, nowMs = atMs): string {
    const timeNs = BigInt(startMs + atMs) * 1_000_000n;
    const place = placeOfWindow(this.list, database, timeNs, startMs + nowMs);
    if (place.kind === 'open') return `group ${this.list.groups.indexOf(place.group)}`;
    return place.kind === 'openable' ? 'openable' : place.reason;
  }

  truncate(nowMs: number): void {
    this.apply(truncateGroups(this.list, startMs + nowMs));
  }

  openAt(atMs: number): ShardGroup | string {
    const timeNs = BigInt(startMs + atMs) * 1_000_000n;
    const { list, outcome } = openWindowGroup(this.list, database, timeNs, { nowMs: startMs + atMs, assign });
    this.apply(list);
    return outcome.kind === 'open' ? outcome.group : outcome.reason;
  }

  seal(id: GroupId, nowMs = 0): string {
    const { list, outcome } = sealGroup(this.list, id, batches, startMs + nowMs);
    this.apply(list);
    return outcome.kind;
  }

  release(id: GroupId, name = 'n1'): string {
    const { list, outcome } = releaseGroup(this.list, id, [node(name)]);
    this.apply(list);
    return outcome.kind;
  }

  advance(nowMs: number): number {
    this.apply(advanceWatermark(this.list, database, startMs + nowMs));
    return Number(this.list.settledThroughNs / 1_000_000n) - startMs;
  }

  /** `id state#closeSequence` of each group. */
  get states(): string[] {
    return this.list.groups.map((group) => `${group.kind} ${group.state}#${group.closeSequence ?? ''}`);
  }
}

const opened = (group: ShardGroup | string): ShardGroup => {
  if (typeof group === 'string') throw new Error(`the window is ${group}`);
  return group;
};

describe('the first list of a database', () => {
  it('says settled of all windows that were past their deadline when the database was made', () => {
    // Created at 00:00: the window that ended at 23:50 had its deadline at 23:55, the one that ends now has not.
    expect(initialGroupList(database).settledThroughNs).toBe(windowAt(-10 * minuteMs));
    const later = { ...database, createdMs: startMs + 5 * minuteMs };
    expect(initialGroupList(later).settledThroughNs).toBe(windowAt(0));
  });

  it('begins its group numbers where no earlier database of the name can have ended', () => {
    const first = initialGroupList(database);
    const again = initialGroupList({ ...database, createdMs: startMs + 10_000 });
    expect(again.nextGroup - first.nextGroup).toBe(100);
    expect(opened(new History().openWindow(0)).id).toBe(`w${String(startMs / 100 + 1).padStart(12, '0')}`);
  });
});

describe('placing rows', () => {
  it.each([
    ['the window of now', 0, 0, 'openable'],
    ['the next window', 10 * minuteMs, 0, 'openable'],
    ['the window after the next', 20 * minuteMs, 0, 'ahead'],
    ['a window far ahead', 1e9, 0, 'ahead'],
    ['the window before, within its grace', 0, 12 * minuteMs, 'openable'],
    ['a window a moment before it is given up', 0, 15 * minuteMs - 2 * secondMs - 1, 'openable'],
    ['a window whose deadline is near', 0, 15 * minuteMs - 2 * secondMs, 'behind'],
    ['a window past its deadline', 0, 15 * minuteMs, 'behind'],
    ['a window behind the watermark', -20 * minuteMs, 0, 'behind'],
    ['a window of 1970', -startMs, 0, 'behind'],
  ])('%s', (_, atMs, nowMs, place) => {
    const found = placeOfWindow(initialGroupList(database), database, windowAt(atMs), startMs + nowMs);
    expect(found.kind === 'not-open' ? found.reason : found.kind).toBe(place);
  });

  it('tells of any instant where it goes, and for which span around it that holds', () => {
    const place = placeOfWindow(initialGroupList(database), database, windowAt(0) + 1n, startMs);
    expect(place).toEqual({
      kind: 'openable',
      span: { startNs: windowAt(0), endNs: windowAt(10 * minuteMs) },
    });
  });

  it('leaves it to a group, once there is one, whether a window takes rows', () => {
    const history = new History();
    const group = opened(history.openWindow(0));
    expect(history.openWindow(0, 60 * minuteMs)).toEqual(group);
    history.close([group.id]);
    expect(history.openWindow(0, 0)).toBe('closed');
    history.seal(group.id);
    expect(history.openWindow(0, 0)).toBe('closed');
  });
});

describe('opening', () => {
  it('gives a window one group and its deadline', () => {
    const history = new History();
    const group = opened(history.openWindow(0));
    expect(group).toMatchObject({
      kind: 'window',
      state: 'open',
      startNs: windowAt(0),
      endNs: windowAt(10 * minuteMs),
      closeAfterMs: startMs + 15 * minuteMs,
      shards: [{ owners: ['n1'] }],
    });
    expect(opened(history.openWindow(9 * minuteMs)).id).toBe(group.id);
    expect(opened(history.openWindow(10 * minuteMs)).id).not.toBe(group.id);
    expect(history.states).toEqual(['window open#', 'window open#']);
  });

  it('gives up a window found behind, for nodes with slower clocks too', () => {
    const history = new History();
    expect(history.openWindow(0, 15 * minuteMs - secondMs)).toBe('behind');
    expect(history.openWindow(0, 15 * minuteMs - 3 * secondMs)).toBe('behind');
    expect(history.list.openFromNs).toBe(windowAt(10 * minuteMs));
    expect(opened(history.openWindow(10 * minuteMs)).state).toBe('open');
  });

  it('keeps one late and one ahead group at a time', () => {
    const history = new History();
    const late = history.openSpill('late', 0);
    expect(late).toMatchObject({ kind: 'late', startNs: null, closeAfterMs: startMs + minuteMs });
    expect(history.openSpill('late', 50_000).id).toBe(late.id);
    expect(history.openSpill('ahead', 0).id).not.toBe(late.id);
    history.close([late.id]);
    expect(history.openSpill('late', 0).id).not.toBe(late.id);
  });

  it('closes the ahead group with the opening of a window, and only then', () => {
    const history = new History();
    history.openSpill('ahead', 0);
    history.openSpill('late', 0);
    history.openWindow(0);
    expect(history.states).toEqual(['ahead closing#1', 'late open#', 'window open#']);
    history.openSpill('ahead', 0);
    history.openWindow(0);
    expect(history.states.at(-1)).toBe('ahead open#');
  });
});

describe('closing', () => {
  it('orders ahead before windows by time before late', () => {
    const history = new History();
    const late = history.openSpill('late', 0);
    const second = opened(history.openWindow(10 * minuteMs, 10 * minuteMs));
    const first = opened(history.openWindow(0, 10 * minuteMs));
    history.openSpill('ahead', 10 * minuteMs);
    history.close([late.id, first.id, second.id]);
    expect(history.states).toEqual([
      'late closing#4',
      'window closing#3',
      'window closing#2',
      'ahead closing#1',
    ]);
  });

  it('closes what is due and nothing else', () => {
    const history = new History();
    history.openWindow(0);
    history.openSpill('late', 0);
    history.apply(closeDueGroups(history.list, startMs + minuteMs - 1));
    expect(history.states).toEqual(['window open#', 'late open#']);
    history.apply(closeDueGroups(history.list, startMs + minuteMs));
    expect(history.states).toEqual(['window open#', 'late closing#1']);
    history.apply(closeDueGroups(history.list, startMs + 15 * minuteMs));
    expect(history.states).toEqual(['window closing#2', 'late closing#1']);
    expect(closeDueGroups(history.list, startMs + 60 * minuteMs)).toBe(history.list);
  });

  it('closes on demand what ends by a time, and gives up the empty windows that have ended', () => {
    const history = new History();
    history.openWindow(0);
    history.openWindow(10 * minuteMs);
    history.openSpill('late', 0);
    const before = windowAt(10 * minuteMs);
    history.apply(closeThrough(history.list, database, before, startMs + 12 * minuteMs));
    expect(history.states).toEqual(['window closing#1', 'window open#', 'late closing#2']);
    expect(history.list.openFromNs).toBe(before);
  });

  it('does not give up windows that have not ended, however far the demand reaches', () => {
    const history = new History();
    const far = windowAt(1e10);
    history.apply(closeThrough(history.list, database, far, startMs + 12 * minuteMs));
    expect(history.list.openFromNs).toBe(windowAt(10 * minuteMs));
    expect(opened(history.openWindow(10 * minuteMs, 12 * minuteMs)).state).toBe('open');
  });
});

describe('truncating', () => {
  const cutMs = 4 * minuteMs;
  const cutNs = BigInt(startMs + cutMs) * 1_000_000n;

  it('ends the group of now at now, closes it, and leaves the rest of the window to a group of its own', () => {
    const history = new History();
    const old = opened(history.openWindow(0));
    history.truncate(cutMs);
    expect(history.list.groups).toMatchObject([
      { id: old.id, state: 'closing', startNs: windowAt(0), endNs: cutNs, closedMs: startMs + cutMs },
    ]);
    expect(history.place(cutMs - 1, cutMs)).toBe('closed');
    expect(history.place(cutMs)).toBe('openable');
    const rest = opened(history.openAt(cutMs));
    expect(rest).toMatchObject({
      state: 'open',
      startNs: cutNs,
      endNs: windowAt(10 * minuteMs),
      closeAfterMs: startMs + 15 * minuteMs,
    });
    expect(history.place(cutMs - 1, cutMs)).toBe('closed');
    expect(history.place(10 * minuteMs - 1, cutMs)).toBe('group 1');
  });

  it('cuts a window as often as it is asked to', () => {
    const history = new History();
    history.openWindow(0);
    for (const atMs of [2, 3, 7]) {
      history.truncate(atMs * minuteMs);
      history.openAt(atMs * minuteMs);
    }
    expect(history.list.groups.map((group) => Number((group.endNs ?? 0n) / 60_000_000_000n) % 10)).toEqual([
      2, 3, 7, 0,
    ]);
    expect(history.states).toEqual([
      'window closing#1',
      'window closing#2',
      'window closing#3',
      'window open#',
    ]);
  });

  it('leaves a list alone in which no group is open for now', () => {
    const history = new History();
    expect(truncateGroups(history.list, startMs + cutMs)).toBe(history.list);
    history.openWindow(10 * minuteMs, 0);
    history.openSpill('late', 0);
    history.openSpill('ahead', 0);
    expect(truncateGroups(history.list, startMs + cutMs)).toBe(history.list);
    // A window that begins this very moment has nothing before the cut.
    expect(truncateGroups(history.list, startMs + 10 * minuteMs)).toBe(history.list);
  });

  it('moves the watermark to the cut once what is before it is sealed, and no further', () => {
    const history = new History();
    const old = opened(history.openWindow(0));
    history.truncate(cutMs);
    expect(history.advance(cutMs)).toBe(0);
    history.openAt(cutMs);
    history.seal(old.id);
    expect(history.advance(cutMs)).toBe(cutMs);
    history.release(old.id);
    expect(history.states).toEqual(['window open#']);
    expect(history.advance(60 * minuteMs)).toBe(cutMs);
    expect(history.place(cutMs - 1, cutMs)).toBe('behind');
  });

  it('does not let what was cut off be opened again once its group has left the list', () => {
    const history = new History();
    const old = opened(history.openWindow(0));
    history.truncate(cutMs);
    history.seal(old.id);
    history.advance(cutMs);
    history.release(old.id);
    expect(history.list.groups).toEqual([]);
    expect(history.openAt(cutMs - 1)).toBe('behind');
    expect(opened(history.openAt(cutMs)).startNs).toBe(cutNs);
  });

  it('is refused to a transition that would move the bounds of a group otherwise', () => {
    const history = new History();
    history.openWindow(0);
    const moved = (state: 'open' | 'closing', endNs: bigint): GroupList => {
      const cut = truncateGroups(history.list, startMs + cutMs);
      return {
        ...(state === 'open' ? history.list : cut),
        groups: (state === 'open' ? history.list : cut).groups.map((group) => ({ ...group, endNs })),
      };
    };
    expect(() => checkGroupTransition(history.list, moved('closing', cutNs - 1n))).not.toThrow();
    expect(() => checkGroupTransition(history.list, moved('open', cutNs))).toThrow('change its bounds');
    expect(() => checkGroupTransition(history.list, moved('closing', windowAt(20 * minuteMs)))).toThrow(
      'change its bounds',
    );
  });
});

describe('sealing', () => {
  it('goes in the order of closing', () => {
    const history = new History();
    const late = history.openSpill('late', 0);
    const window = opened(history.openWindow(0));
    expect(history.seal(window.id)).toBe('refused');
    history.close([late.id]);
    history.close([window.id]);
    expect(sealGroup(history.list, window.id, batches, startMs).outcome).toEqual({
      kind: 'refused',
      state: 'closing',
      waitsFor: late.id,
    });
    expect(history.seal(late.id)).toBe('sealed');
    expect(history.seal(late.id)).toBe('already');
    expect(history.seal(window.id)).toBe('sealed');
    expect(history.seal('w999999999999' as GroupId)).toBe('absent');
    expect(history.states).toEqual(['late sealed#1', 'window sealed#2']);
  });

  it('keeps the sealed set in order, with ranges that touch as one', () => {
    const history = new History();
    const late = history.openSpill('late', 0);
    history.close([late.id]);
    const range = (epoch: number, first: number, last: number): SequenceRange => ({
      origin: node('n1'),
      epoch,
      first,
      last,
    });
    const given = [range(2, 1, 1), range(1, 5, 9), range(1, 1, 2), range(1, 3, 3)];
    history.apply(sealGroup(history.list, late.id, given, startMs).list);
    expect(history.list.groups[0]?.sealedBatches).toEqual([range(1, 1, 3), range(1, 5, 9), range(2, 1, 1)]);
  });
});

describe('releasing', () => {
  it('takes a late group out of the list when every owner has let go', () => {
    const history = new History();
    const owners = [{ owners: [node('n1'), node('n2')] }, { owners: [node('n2'), node('n3')] }];
    const { list, group } = openSpillGroup(history.list, database, 'late', {
      nowMs: startMs,
      assign: () => owners,
    });
    history.apply(list);
    expect(history.release(group.id)).toBe('refused');
    history.close([group.id]);
    expect(history.release(group.id)).toBe('refused');
    history.seal(group.id);
    expect(history.release(group.id, 'stranger')).toBe('refused');
    history.release(group.id, 'n1');
    history.release(group.id, 'n1');
    history.release(group.id, 'n2');
    expect(history.list.groups[0]?.released).toEqual(['n1', 'n2']);
    history.release(group.id, 'n3');
    expect(history.list.groups).toEqual([]);
    expect(history.release(group.id, 'n3')).toBe('released');
  });

  it('keeps a window group until the watermark has passed it, so that its window opens once only', () => {
    const history = new History();
    const group = opened(history.openWindow(0));
    history.close([group.id]);
    history.seal(group.id);
    history.release(group.id);
    expect(history.states).toEqual(['window sealed#1']);
    expect(history.openWindow(0)).toBe('closed');
    history.advance(15 * minuteMs);
    expect(history.list.groups).toEqual([]);
    expect(history.openWindow(0)).toBe('behind');
  });
});

describe('the watermark', () => {
  it('passes empty windows at their deadline', () => {
    const history = new History();
    expect(history.advance(0)).toBe(-10 * minuteMs);
    expect(history.advance(5 * minuteMs - 1)).toBe(-10 * minuteMs);
    expect(history.advance(5 * minuteMs)).toBe(0);
    expect(history.advance(47 * minuteMs)).toBe(40 * minuteMs);
  });

  it('waits for a window that is not sealed, and not for late groups', () => {
    const history = new History();
    const first = opened(history.openWindow(0));
    const second = opened(history.openWindow(10 * minuteMs));
    history.openSpill('late', 0);
    expect(history.advance(60 * minuteMs)).toBe(0);
    history.close([first.id, second.id]);
    expect(history.advance(60 * minuteMs)).toBe(0);
    history.seal(first.id);
    expect(history.advance(60 * minuteMs)).toBe(10 * minuteMs);
    history.seal(second.id);
    expect(history.advance(60 * minuteMs)).toBe(50 * minuteMs);
  });

  it('never moves back, whatever the clock says', () => {
    const history = new History();
    expect(history.advance(60 * minuteMs)).toBe(50 * minuteMs);
    expect(history.advance(0)).toBe(50 * minuteMs);
  });

  it('passes at once what was sealed or given up on demand', () => {
    const history = new History();
    const group = opened(history.openWindow(0));
    history.apply(closeThrough(history.list, database, windowAt(20 * minuteMs), startMs + 21 * minuteMs));
    history.seal(group.id);
    expect(history.advance(21 * minuteMs)).toBe(20 * minuteMs);
  });
});
