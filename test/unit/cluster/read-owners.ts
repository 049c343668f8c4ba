import { coversSequence } from '../../../core/catalog/sequence-ranges.js';
import type { NodeId } from '../../../core/model/batch.js';
import type { Clock } from '../../../core/ports/clock.js';
import type { ConflictReader } from '../../../core/ports/conflict-reader.js';
import { VarveError } from '../../../core/std/errors.js';
import { silentLogger } from '../../../core/std/logger.js';
import { HotConflicts } from '../../../ingest/hot/hot-conflicts.js';
import { HotTier } from '../../../ingest/hot/hot-tier.js';
import { HotTierReader } from '../../../ingest/hot/hot-tier-reader.js';
import type { ReadNode } from '../../../query/hot/readable-owners.js';
import { batchOf, database, group, hashOf, type PlainBatch } from '../../support/naive-hot-tier.js';

/** How an owner behaves: `silent` never answers, `refusing` at once says it cannot, `breaking` ends scans after a piece. */
export type Conduct = 'well' | 'silent' | 'refusing' | 'breaking';

interface Owner {
  readonly tier: HotTier;
  readonly conflicts: HotConflicts;
  readonly batches: PlainBatch[];
}

/** Owners with real hot tiers, as a querier reaches them over a network that obeys the test. */
export class ReadOwners {
  readonly #owners = new Map<NodeId, Owner>();
  readonly conduct = new Map<NodeId, Conduct>();
  /** Milliseconds until an owner answers, where that is not at once. */
  readonly delayMs = new Map<NodeId, number>();
  readonly #clock: Clock;
  /** Calls as `node method`, in order. */
  readonly calls: string[] = [];
  /** Called at each call before it is answered. */
  onCall: (call: string) => void = () => {};

  constructor(names: readonly NodeId[], clock: Clock) {
    this.#clock = clock;
    for (const name of names) {
      const tier = new HotTier({ bytesMax: 2 ** 30, logger: silentLogger });
      const giveWay = (): Promise<void> => Promise.resolve();
      const conflicts = new HotConflicts({ tier, giveWay, logger: silentLogger });
      this.#owners.set(name, { tier, conflicts, batches: [] });
    }
  }

  /** Gives a batch to some owners. */
  apply(batch: PlainBatch, names: readonly NodeId[]): void {
    for (const name of names) {
      const { tier, batches } = this.#ownerOf(name);
      if (tier.apply(batchOf(batch), hashOf(batch), 100) === 'applied') batches.push(batch);
    }
  }

  tierOf(name: NodeId): HotTier {
    return this.#ownerOf(name).tier;
  }

  nodeOf = (name: NodeId): ReadNode => {
    const reader = new HotTierReader({ tier: this.tierOf(name), giveWay: () => Promise.resolve() });
    return {
      describe: (request, signal) => this.#answer(name, 'describe', () => reader.describe(request), signal),
      holdings: (request, signal) => this.#answer(name, 'holdings', () => reader.holdings(request), signal),
      scan: (request, signal) => this.#scan(name, reader.scan(request, signal), signal),
      catchUp: (address, source, ranges, signal) =>
        this.#answer(
          name,
          `catchUp from ${source}`,
          async () => {
            if (this.conduct.get(source) !== undefined) throw refusal(source);
            const before = this.#ownerOf(name).batches.length;
            for (const batch of this.#ownerOf(source).batches) {
              const isWanted = coversSequence(ranges, { ...batch, origin: batch.origin as NodeId });
              if (isWanted && batch.shard === address.shard) this.apply(batch, [name]);
            }
            return { fetched: this.#ownerOf(name).batches.length - before };
          },
          signal,
        ),
    };
  };

  conflictsOf = (name: NodeId): ConflictReader => {
    const known = this.#ownerOf(name).conflicts;
    return {
      conflicts: (request, signal) =>
        this.#answer(name, `conflicts ${request.only}`, () => known.conflicts(request, signal), signal),
      keptConflicts: (request, signal) =>
        this.#answer(name, 'keptConflicts', () => known.keptConflicts(request), signal),
    };
  };

  /** Lets the group go to history at an owner. */
  async settle(name: NodeId): Promise<void> {
    const { tier, conflicts } = this.#ownerOf(name);
    await conflicts.keep(database, group);
    tier.drop(database, group);
  }

  async #answer<Answer>(
    name: NodeId,
    method: string,
    answer: () => Promise<Answer>,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    const call = `${name} ${method}`;
    this.calls.push(call);
    this.onCall(call);
    const conduct = this.conduct.get(name);
    if (conduct === 'refusing') throw refusal(name);
    if (conduct === 'silent') await untilAborted(signal);
    const delayMs = this.delayMs.get(name);
    if (delayMs !== undefined) await this.#clock.sleep(delayMs, signal);
    return answer();
  }

  async *#scan(
    name: NodeId,
    pieces: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    await this.#answer(name, 'scan', async () => {}, signal);
    for await (const piece of pieces) {
      yield piece;
      if (this.conduct.get(name) === 'breaking') throw refusal(name);
    }
  }

  #ownerOf(name: NodeId): Owner {
    const owner = this.#owners.get(name);
    if (owner === undefined) throw new Error(`no node ${name}`);
    return owner;
  }
}

function refusal(name: NodeId): VarveError {
  return new VarveError('unavailable', `node ${name} cannot be reached: connection refused`);
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
