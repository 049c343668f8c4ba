import { normalizeSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { GroupList, SequenceRange, ShardGroup } from '../../core/catalog/types.js';
import type { BatchId, GroupId, NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import { errorMessage } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import type { IngestCatalog } from '../ingest-catalog.js';
import { LogThrottle } from '../replicate/log-throttle.js';
import type { Reroute } from '../replicate/reroute.js';
import { type HintGroup, type HintRef, hintId, hintsOf, oldestSeconds } from './hint-index.js';
import type { HintQueue } from './hint-queue.js';

export interface HintSettlerOptions {
  readonly queues: () => Iterable<HintQueue>;
  readonly catalog: Pick<IngestCatalog, 'databaseById' | 'groupList'>;
  readonly reroute: Reroute;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hints older than this are dropped; repair has had its time to bring their owner what it lacks. */
  readonly ageMsMax: number;
}

/** Hints written into the late group at a time. */
const reroutesAtOnce = 4;
const expireEveryMs = 60_000;
const logEveryMs = 60_000;
const retryRefusedEveryMs = 600_000;

/**
 * Decides by the catalog what becomes of hints. Those of groups that are open or closing may be sent. Of a sealed group,
 * those that history holds are needed no more, and the others are late. Those of a group that has left the list are
 * late as well: whether history holds them is not known any more, and late wins over settled.
 */
export class HintSettler {
  readonly #options: HintSettlerOptions;
  readonly #failures: LogThrottle;
  #nextExpiryMs = 0;
  #nextRetryMs: number;

  constructor(options: HintSettlerOptions) {
    this.#options = options;
    this.#failures = new LogThrottle({ clock: options.clock, intervalMs: logEveryMs });
    this.#nextRetryMs = options.clock.monotonicMs() + retryRefusedEveryMs;
  }

  /**
   * One look at the catalog for every database that there are hints for. Hints that history holds end here, for nothing
   * slow may come before: once the group has left the list nobody could tell which they are.
   *
   * @returns groups that take no more, whose other hints are to be settled
   */
  async look(): Promise<readonly ClosedGroup[]> {
    const closed: ClosedGroup[] = [];
    for (const [databaseId, ids] of this.#groupsByDatabase()) {
      const database = await this.#options.catalog.databaseById(databaseId);
      if (database === undefined) this.#drop(databaseId);
      else {
        const list = await this.#options.catalog.groupList(database);
        for (const id of ids) closed.push(...this.#place(databaseId, id, list));
      }
    }
    this.#expire();
    this.#retryRefused();
    return closed;
  }

  /**
   * Ends the hints of a group that takes no more: those in `sealed` at once, the others once they are written into the
   * late group. Stops at the first that cannot be written; what is left stays.
   */
  async settle(closed: ClosedGroup, signal: AbortSignal): Promise<void> {
    if (!this.#endSealed(closed)) return;
    for (const { queue, group } of this.#find(closed)) {
      const late = endSealed(queue, group, closed.sealed);
      for (let chunk = take(late, reroutesAtOnce); chunk.length > 0; chunk = take(late, reroutesAtOnce)) {
        if (signal.aborted) return;
        const written = await Promise.all(chunk.map((ref) => this.#late(queue, ref, signal)));
        if (written.includes(false)) return;
      }
    }
  }

  /** Ids of the batches that are kept of a group. */
  kept(wanted: { readonly database: string; readonly group: GroupId }): BatchId[] {
    return [...this.#find(wanted)].flatMap(({ group }) => [...hintsOf(group)].map(hintId));
  }

  #groupsByDatabase(): Map<string, Set<GroupId>> {
    const databases = new Map<string, Set<GroupId>>();
    for (const queue of this.#options.queues()) {
      for (const { database, group } of queue.index.groups()) {
        const groups = databases.get(database) ?? new Set();
        databases.set(database, groups.add(group));
      }
    }
    return databases;
  }

  /** Lets the hints of a group be sent, or names it as closed. */
  #place(database: string, id: GroupId, list: GroupList): ClosedGroup[] {
    const group = list.groups.find((candidate) => candidate.id === id);
    if (group === undefined || group.state === 'sealed') {
      const closed = { database, group: id, sealed: group?.sealedBatches ?? [] };
      return this.#endSealed(closed) ? [closed] : [];
    }
    for (const { queue, group: held } of this.#find({ database, group: id })) {
      if (held.delivery === 'unknown') held.delivery = 'open';
      // An owner that was declared lost is an owner no more. Its hints wait here until the group is sealed.
      if (!ownsAll(group, held, queue.destination)) held.delivery = 'shut';
    }
    return [];
  }

  /** True when other hints of the group are left. */
  #endSealed(closed: ClosedGroup): boolean {
    let isLeft = false;
    for (const { queue, group } of this.#find(closed)) {
      group.delivery = 'shut';
      for (const _ of endSealed(queue, group, closed.sealed)) isLeft = true;
    }
    return isLeft;
  }

  /** The hint's batch goes into the late group; false when it could not. */
  async #late(queue: HintQueue, ref: HintRef, signal: AbortSignal): Promise<boolean> {
    // It is being sent, or written by another call: whoever does that ends it.
    if (ref.run.state(ref.sequence) === 'taken') return true;
    ref.run.set(ref.sequence, 'taken');
    try {
      const batch = await queue.readOrEnd(ref);
      if (batch === undefined) return true;
      await this.#options.reroute.toLateGroup(batch, signal);
      for (const other of this.#options.queues()) {
        const same = other.index.find(batch, batch.id);
        if (same !== undefined) other.end(same, 'rerouted');
      }
      return true;
    } catch (error) {
      const { destination } = queue;
      ref.run.set(ref.sequence, 'waiting');
      if (signal.aborted) return false;
      this.#failures.run((heldBack) =>
        this.#options.logger.warn(
          { destination, group: ref.group.group, heldBack, error: errorMessage(error) },
          'a hint whose group takes no more could not be written into the late group; it is tried again',
        ),
      );
      return false;
    }
  }

  #drop(database: string): void {
    for (const queue of this.#options.queues()) {
      let count = 0;
      for (const group of [...queue.index.groups()]) {
        if (group.database === database) count += endAll(queue, hintsOf(group), 'dropped');
      }
      if (count === 0) continue;
      this.#options.logger.info(
        { destination: queue.destination, databaseId: database, hints: count },
        'dropped hints of a database that has been dropped',
      );
    }
  }

  #expire(): void {
    const { clock, logger, ageMsMax, queues } = this.#options;
    if (clock.monotonicMs() < this.#nextExpiryMs) return;
    this.#nextExpiryMs = clock.monotonicMs() + expireEveryMs;
    const before = (clock.nowMs() - ageMsMax) / 1000;
    for (const queue of queues()) {
      if (oldestSeconds(queue.index.groups()) >= before) continue;
      let count = 0;
      for (const group of [...queue.index.groups()])
        count += endAll(queue, olderThan(group, before), 'expired');
      if (count === 0) continue;
      logger.warn(
        { destination: queue.destination, hints: count, ageMsMax },
        'dropped hints that grew too old: what their owner lacks, repair has to bring it',
      );
    }
  }

  #retryRefused(): void {
    const { clock, queues } = this.#options;
    if (clock.monotonicMs() < this.#nextRetryMs) return;
    this.#nextRetryMs = clock.monotonicMs() + retryRefusedEveryMs;
    for (const queue of queues()) {
      for (const group of queue.index.groups()) {
        for (const run of group.runs()) run.setAll('refused', 'waiting');
      }
    }
  }

  *#find(wanted: { readonly database: string; readonly group: GroupId }): Generator<Held> {
    for (const queue of this.#options.queues()) {
      const group = queue.index.group(wanted.database, wanted.group);
      if (group !== undefined) yield { queue, group };
    }
  }
}

/** A group that takes no more, with what history holds of it; nothing is known when it has left the list. */
export interface ClosedGroup {
  readonly database: string;
  readonly group: GroupId;
  readonly sealed: readonly SequenceRange[];
}

interface Held {
  readonly queue: HintQueue;
  readonly group: HintGroup;
}

/** Ends the hints of a group that are sealed, and gives the others. Both go in order of sequence: each is walked once. */
function* endSealed(
  queue: HintQueue,
  group: HintGroup,
  sealed: readonly SequenceRange[],
): Generator<HintRef, undefined> {
  for (const run of [...group.runs()]) {
    const ranges = normalizeSequenceRanges(
      sealed.filter(({ origin, epoch }) => origin === run.origin && epoch === run.epoch),
    );
    let at = 0;
    for (const sequence of run.sequences()) {
      while (at < ranges.length && ranges[at]!.last < sequence) at += 1;
      const ref = { group, run, sequence };
      if (at < ranges.length && ranges[at]!.first <= sequence) queue.end(ref, 'sealed');
      else if (run.has(sequence)) yield ref;
    }
  }
}

function take(refs: Iterator<HintRef, undefined>, count: number): HintRef[] {
  const taken: HintRef[] = [];
  while (taken.length < count) {
    const next = refs.next();
    if (next.done === true) break;
    taken.push(next.value);
  }
  return taken;
}

function ownsAll(group: ShardGroup, held: HintGroup, destination: NodeId): boolean {
  for (const { shard } of held.runs()) {
    if (group.shards[shard]?.owners.includes(destination) !== true) return false;
  }
  return true;
}

function* olderThan(group: HintGroup, seconds: number): Generator<HintRef> {
  for (const ref of hintsOf(group)) {
    const place = ref.run.place(ref.sequence);
    if (place !== undefined && place.keptSeconds < seconds) yield ref;
  }
}

function endAll(queue: HintQueue, refs: Iterable<HintRef>, how: 'dropped' | 'expired'): number {
  let count = 0;
  for (const ref of refs) {
    queue.end(ref, how);
    count += 1;
  }
  return count;
}
