import { AsyncLocalStorage } from 'node:async_hooks';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupListCodec } from '../../../core/catalog/group-codec.js';
import { initialGroupList } from '../../../core/catalog/group-list.js';
import { compareGroupPrecedence } from '../../../core/catalog/group-precedence.js';
import { clockSkewMsMax } from '../../../core/catalog/open-group.js';
import type { GroupList, ShardGroup } from '../../../core/catalog/types.js';
import type { MetaItem } from '../../../core/ports/meta-store.js';
import { isVarveError, VarveError } from '../../../core/std/errors.js';
import {
  assign,
  type CatalogFixture,
  database,
  minuteMs,
  node,
  openCatalog,
  startMs,
  windowAt,
} from './fixture.js';

/** What an actor may do; windows and groups are chosen by position, so that any number will do. */
type Action =
  | {
      readonly kind: 'write';
      readonly windowOffset: number;
      /** Which tenth of the window. */
      readonly tenth: number;
      readonly skewMs: number;
    }
  | {
      readonly kind:
        | 'close-due'
        | 'seal'
        | 'release'
        | 'advance'
        | 'close-through'
        | 'truncate'
        | 'take-over';
    };

const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      windowOffset: fc.integer({ min: -3, max: 4 }),
      tenth: fc.integer({ min: 0, max: 9 }),
      skewMs: fc.integer({ min: -clockSkewMsMax / 2, max: clockSkewMsMax / 2 - 1 }),
    }),
  },
  ...(
    ['close-due', 'seal', 'seal', 'release', 'advance', 'close-through', 'truncate', 'take-over'] as const
  ).map((kind) => ({
    weight: 1,
    arbitrary: fc.constant({ kind }),
  })),
) satisfies fc.Arbitrary<Action>;

/** Minutes that pass before an action: mostly few, sometimes past deadlines, to their very edges. */
const pause = fc.oneof(
  fc.integer({ min: 0, max: 60_000 }),
  fc.constantFrom(
    5 * minuteMs,
    10 * minuteMs,
    15 * minuteMs - clockSkewMsMax,
    15 * minuteMs - 1,
    15 * minuteMs,
  ),
);

/** A compactor goes by the epoch that it holds, lost or not. */
interface Compactor {
  epoch: number;
}

/** A row and the group that it went to. */
interface Written {
  readonly group: ShardGroup;
  readonly timeNs: bigint;
}

class Simulation {
  readonly catalog: CatalogFixture;
  /** Every version of the list in the order in which they were put, the first being the empty one. */
  readonly versions: GroupList[] = [initialGroupList(database)];
  readonly writers: (number | undefined)[] = [undefined];
  readonly actor = new AsyncLocalStorage<number | undefined>();
  #epochs = 0;

  constructor(
    options: { delay?: () => Promise<void>; fault?: () => 'refused' | 'answer-lost' | undefined } = {},
  ) {
    const error = new VarveError('unavailable', 'injected');
    this.catalog = openCatalog({
      onPut: (item) => this.#note(item),
      fail: () => {
        const kind = options.fault?.();
        return kind === undefined ? undefined : { kind, error };
      },
      ...(options.delay === undefined ? {} : { delay: options.delay }),
    });
  }

  get list(): GroupList {
    return this.versions.at(-1) ?? initialGroupList(database);
  }

  newEpoch(): number {
    this.#epochs += 1;
    return this.#epochs;
  }

  async compact(kind: Exclude<Action['kind'], 'write'>, compactor: Compactor): Promise<unknown> {
    const { groups, clock } = this.catalog;
    const stamp = { nowMs: clock.nowMs(), epoch: compactor.epoch };
    const { value: list } = await groups.get(database);
    const before = BigInt(clock.nowMs()) * 1_000_000n;
    switch (kind) {
      case 'take-over':
        compactor.epoch = this.newEpoch();
        return undefined;
      case 'close-due':
        return groups.closeDue(database, stamp);
      case 'close-through':
        return groups.closeThrough(database, before, stamp);
      case 'truncate':
        return groups.truncate(database, stamp);
      case 'advance':
        return groups.advanceWatermark(database, stamp);
      case 'seal': {
        // All in order of id, which is not the order of closing: those out of turn must be refused.
        const closing = list.groups.filter((group) => group.state === 'closing');
        for (const group of closing) await groups.seal(database, group.id, [], stamp);
        return undefined;
      }
      case 'release': {
        const sealed = list.groups.find((group) => group.state === 'sealed');
        return sealed && groups.release(database, sealed.id, [node('n1')]);
      }
    }
  }

  /** The group that a node with this clock writes a row of the window to. */
  async write({ windowOffset, tenth, skewMs }: Extract<Action, { kind: 'write' }>): Promise<Written> {
    const { groups, clock } = this.catalog;
    const nowMs = clock.nowMs() + skewMs;
    const startNs = windowAt(clock.nowMs() - startMs + windowOffset * database.windowMs);
    const timeNs = startNs + (BigInt(database.windowMs) * 1_000_000n * BigInt(tenth)) / 10n;
    const { outcome } = await groups.openWindowGroup(database, timeNs, { nowMs, assign });
    expect(outcome.span.startNs <= timeNs && timeNs < outcome.span.endNs).toBe(true);
    if (outcome.kind === 'open') return { group: outcome.group, timeNs };
    const kind = outcome.reason === 'ahead' ? 'ahead' : 'late';
    const spill = await groups.openSpillGroup(database, kind, { nowMs, assign });
    return { group: spill.outcome, timeNs };
  }

  #note(item: MetaItem): void {
    this.versions.push(groupListCodec.decode(item.key, item.value));
    this.writers.push(this.actor.getStore());
  }
}

/** What must hold from each version of the list to the next, told without the code under test. */
function checkVersions(versions: readonly GroupList[], epochs: readonly (number | undefined)[]): void {
  const closed = new Map<number, string>();
  const windows = new Map<string, { readonly startNs: bigint; readonly endNs: bigint }>();
  const sealedInOrder: number[] = [];
  for (let at = 1; at < versions.length; at++) {
    const [before, after] = [versions[at - 1], versions[at]];
    if (before === undefined || after === undefined) throw new Error('unreachable');
    expect(after.settledThroughNs >= before.settledThroughNs).toBe(true);
    const epoch = epochs[at];
    if (epoch !== undefined) expect(epoch).toBeGreaterThanOrEqual(before.fencingEpoch);
    for (const group of after.groups) {
      const previous = before.groups.find((other) => other.id === group.id);
      if (previous === undefined) {
        expect(group.state).toBe('open');
        expect(group.startNs === null || group.startNs >= before.settledThroughNs).toBe(true);
        for (const other of windows.values())
          expect(group.startNs === null || !overlaps(group, other), `two groups for an instant`).toBe(true);
      }
      const { startNs, endNs } = group;
      if (startNs !== null && endNs !== null) windows.set(group.id, { startNs, endNs });
      if (group.closeSequence !== null) {
        expect(closed.get(group.closeSequence) ?? group.id).toBe(group.id);
        closed.set(group.closeSequence, group.id);
      }
      if (group.state === 'sealed' && previous?.state === 'closing')
        sealedInOrder.push(group.closeSequence ?? 0);
      const behind = group.endNs !== null && group.endNs <= after.settledThroughNs;
      expect(behind && group.state !== 'sealed').toBe(false);
    }
    for (const kind of ['late', 'ahead'] as const) {
      const open = after.groups.filter((group) => group.kind === kind && group.state === 'open');
      expect(open.length).toBeLessThanOrEqual(1);
    }
  }
  expect(sealedInOrder).toEqual([...sealedInOrder].sort((left, right) => left - right));
}

function overlaps(
  left: Pick<ShardGroup, 'startNs' | 'endNs'>,
  right: { readonly startNs: bigint; readonly endNs: bigint },
): boolean {
  return (left.startNs ?? 0n) < right.endNs && right.startNs < (left.endNs ?? 0n);
}

describe('the group list under interleavings', () => {
  it('keeps its invariants among two compactors and two writers with lost answers', async () => {
    let fencedCalls = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.tuple(fc.array(action, { minLength: 1, maxLength: 4 }), pause), { maxLength: 25 }),
        fc.infiniteStream(
          fc.oneof(
            { weight: 12, arbitrary: fc.constant(undefined) },
            { weight: 1, arbitrary: fc.constantFrom('refused' as const, 'answer-lost' as const) },
          ),
        ),
        async (scheduler, rounds, faults) => {
          let settling = false;
          const simulation = new Simulation({
            delay: () => (settling ? Promise.resolve() : scheduler.schedule(Promise.resolve())),
            fault: () => (settling ? undefined : faults.next().value),
          });
          const compactors: Compactor[] = [
            { epoch: simulation.newEpoch() },
            { epoch: simulation.newEpoch() },
          ];
          const act = async (chosen: Action, actor: number): Promise<void> => {
            try {
              if (chosen.kind === 'write') {
                await simulation.actor.run(undefined, () => simulation.write(chosen));
                return;
              }
              const compactor = compactors[actor % 2] ?? { epoch: 0 };
              const epoch = chosen.kind === 'release' ? undefined : compactor.epoch;
              const answer = await simulation.actor.run(epoch, () =>
                simulation.compact(chosen.kind, compactor),
              );
              if (isFenced(answer)) fencedCalls++;
            } catch (error) {
              if (!isVarveError(error, 'unavailable')) throw error;
            }
          };
          for (const [actions, pauseMs] of rounds) {
            await simulation.catalog.clock.advance(pauseMs);
            await scheduler.waitFor(Promise.all(actions.map(act)));
          }
          checkVersions(simulation.versions, simulation.writers);
          settling = true;
          await settle(simulation);
          checkVersions(simulation.versions, simulation.writers);
          expect(simulation.list.groups).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
    expect(fencedCalls).toBeGreaterThan(0);
  });

  it('gives later writes precedence over earlier ones of the same window, however clocks differ', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(action, pause), { maxLength: 60 }), async (steps) => {
        const simulation = new Simulation();
        const compactor: Compactor = { epoch: simulation.newEpoch() };
        const written: Written[] = [];
        for (const [chosen, pauseMs] of steps) {
          await simulation.catalog.clock.advance(pauseMs);
          if (chosen.kind === 'write') {
            const write = await simulation.write(chosen);
            expect(write.group.state).toBe('open');
            written.push(write);
          } else {
            await simulation.compact(chosen.kind, compactor);
          }
        }
        for (const list of simulation.versions) checkPrecedence(written, list);
        checkVersions(simulation.versions, simulation.writers);
      }),
      { numRuns: 300 },
    );
  });
});

/** Of two writes to one instant, the later one's group must not have the lower precedence while both are listed. */
function checkPrecedence(written: readonly Written[], list: GroupList): void {
  const now = new Map(list.groups.map((group) => [group.id, group]));
  written.forEach((later, index) => {
    const laterGroup = now.get(later.group.id);
    for (const earlier of written.slice(0, index)) {
      const earlierGroup = now.get(earlier.group.id);
      if (laterGroup === undefined || earlierGroup === undefined || earlier.timeNs !== later.timeNs) continue;
      expect(compareGroupPrecedence(earlierGroup, laterGroup)).toBeLessThanOrEqual(0);
    }
  });
}

/** Runs a compactor, whose lease is new, until nothing is in flux; fails when it does not come to an end. */
async function settle(simulation: Simulation): Promise<void> {
  const compactor: Compactor = { epoch: simulation.newEpoch() };
  for (let round = 0; round < 200; round++) {
    await simulation.catalog.clock.advance(30 * minuteMs);
    for (const kind of ['close-due', 'seal', 'release', 'advance'] as const) {
      await simulation.actor.run(undefined, () => simulation.compact(kind, compactor));
    }
    const { list } = simulation;
    if (list.groups.length === 0) return;
  }
  throw new Error(
    `groups that never settle: ${JSON.stringify(simulation.list.groups.map((group) => group.id))}`,
  );
}

function isFenced(answer: unknown): boolean {
  return (answer as { outcome?: { kind?: string } } | undefined)?.outcome?.kind === 'fenced';
}
