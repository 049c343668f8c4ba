import { countSequences, sliceSequenceRanges } from '../../core/catalog/sequence-ranges.js';
import type { SequenceRange, ShardGroup } from '../../core/catalog/types.js';
import type { NodeId, ShardAddress } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer, ShardHoldings } from '../../core/ports/peer.js';
import type { Random } from '../../core/ports/random.js';
import { errorMessage, isVarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { ByteRate } from '../hints/byte-rate.js';
import type { LocalOwner } from '../replicate/local-owner.js';
import { compareShard, planFetches } from './compare-shard.js';
import { MissingSince } from './missing-since.js';
import { noRepairMetrics, type RepairMetrics, type RepairRound } from './repair-metrics.js';

/** A group in flux, with the database (by its id) that it is of. */
export interface GroupInFlux {
  readonly database: string;
  readonly group: ShardGroup;
}

export interface RepairerOptions {
  readonly owner: LocalOwner;
  /** Another node; throws or fails with `unavailable` when it cannot be reached. */
  readonly nodeOf: (node: NodeId) => Peer & HotReader;
  /** Every group of the catalog that is open or closing. */
  readonly groups: (signal: AbortSignal) => Promise<readonly GroupInFlux[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics?: RepairMetrics;
  readonly limits?: Partial<RepairLimits>;
}

export interface RepairLimits {
  /** Between two rounds, give or take a quarter. */
  readonly intervalMs: number;
  /** What is missing for less is on its way. */
  readonly graceMs: number;
  readonly bytesPerSecond: number;
}

/** Limits that hold where none are given. */
export const defaultRepairLimits: RepairLimits = {
  intervalMs: 10_000,
  graceMs: 15_000,
  bytesPerSecond: 16 * 2 ** 20,
};

/** Batches asked for in one call: between two calls the rate is kept. */
const batchesPerFetch = 128;
/** Groups compared at a time: most of a comparison is waiting for answers, and there may be hundreds of groups. */
const groupsAtATime = 4;

/**
 * Keeps the owners of what is in flux alike (invariant 4): compares this node's shards with those of the other owners,
 * again and again, and fetches what it lacks. Every owner mends itself; none changes another. Groups whose content has
 * been agreed on are left alone.
 */
export class Repairer {
  readonly #options: RepairerOptions;
  readonly #limits: RepairLimits;
  readonly #metrics: RepairMetrics;
  readonly #rate: ByteRate;
  readonly #missing: MissingSince;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: RepairerOptions) {
    this.#options = options;
    this.#limits = { ...defaultRepairLimits, ...options.limits };
    this.#metrics = options.metrics ?? noRepairMetrics;
    this.#rate = new ByteRate(options.clock, this.#limits.bytesPerSecond);
    this.#missing = new MissingSince(this.#limits.graceMs);
  }

  /** Begins the rounds, the first after a random part of the interval: nodes that start together must not go in step. */
  start(): void {
    this.#loop = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** One look at everything in flux that this node owns. */
  async round(signal: AbortSignal = this.#stopping.signal): Promise<RepairRound> {
    const { owner, clock, groups } = this.#options;
    const startedMs = clock.monotonicMs();
    const found = { groups: 0, young: 0, diverged: 0, conflicting: 0 };
    const shared = (await groups(signal)).filter(({ group: { shards, state, sealedBatches } }) => {
      const isShared = shards.some(({ owners }) => owners.length > 1 && owners.includes(owner.node));
      return isShared && state !== 'sealed' && sealedBatches === null;
    });
    const left = shared.values();
    const compareNext = async (): Promise<void> => {
      for (const inFlux of left) {
        signal.throwIfAborted();
        found.groups += 1;
        await this.#compareGroup(inFlux, found, signal);
      }
    };
    // None goes on after the round has ended.
    const ends = await Promise.allSettled(Array.from({ length: groupsAtATime }, compareNext));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    this.#missing.endRound();
    const round = { ...found, seconds: (clock.monotonicMs() - startedMs) / 1000 };
    this.#metrics.round(round);
    return round;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#options;
    const { intervalMs } = this.#limits;
    let waitMs = random.next() * intervalMs;
    while (!signal.aborted) {
      try {
        await clock.sleep(waitMs, signal);
        await this.round(signal);
      } catch (error) {
        if (!signal.aborted) logger.warn({ error: errorMessage(error) }, 'a round of repair failed');
      }
      waitMs = intervalMs * (0.75 + random.next() / 2);
    }
  }

  async #compareGroup(
    { database, group }: GroupInFlux,
    found: { young: number; diverged: number; conflicting: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { owner } = this.#options;
    const mine = [...group.shards.keys()].filter((shard) => group.shards[shard]?.owners.includes(owner.node));
    const coOwners = new Set(mine.flatMap((shard) => group.shards[shard]?.owners ?? []));
    coOwners.delete(owner.node);
    const theirs = new Map<NodeId, readonly ShardHoldings[]>();
    await Promise.all(
      [...coOwners].map(async (node) => {
        const held = await this.#ask(node, { database, group: group.id }, signal);
        if (held !== undefined) theirs.set(node, held);
      }),
    );
    signal.throwIfAborted();
    for (const shard of mine) {
      const others = new Map<NodeId, ShardHoldings>();
      for (const [node, held] of theirs) {
        const ofShard = held.find((each) => each.shard === shard);
        if (ofShard !== undefined && group.shards[shard]?.owners.includes(node)) others.set(node, ofShard);
      }
      await this.#mendShard({ database, group: group.id, shard }, others, found, signal);
    }
  }

  async #mendShard(
    address: ShardAddress,
    others: ReadonlyMap<NodeId, ShardHoldings>,
    found: { young: number; diverged: number; conflicting: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { owner, clock, logger } = this.#options;
    // Asked for after the others: what came meanwhile is not missing.
    const own = owner.holdings(address.database, address.group).find(({ shard }) => shard === address.shard);
    const difference = compareShard(own, others);
    const isSuspect = owner.takeSuspect(address);
    if (difference !== undefined && difference.lacking.length > 0) {
      const key = `${address.database} ${address.group} ${address.shard}`;
      const ripe = this.#missing.note(key, difference.lacking, clock.monotonicMs());
      if (ripe.length === 0) found.young += 1;
      else {
        found.diverged += 1;
        logger.info(
          { ...address, batches: countSequences(ripe) },
          'fetching batches that other owners hold and this node lacks',
        );
        await this.#fetch(address, ripe, others, signal);
      }
    }
    const conflicting = difference?.conflicting ?? [];
    if (conflicting.length > 0) found.conflicting += 1;
    if (isSuspect || conflicting.length > 0) await this.#verify(address, others, conflicting, signal);
  }

  async #fetch(
    address: ShardAddress,
    wanted: readonly SequenceRange[],
    others: ReadonlyMap<NodeId, ShardHoldings>,
    signal: AbortSignal,
  ): Promise<void> {
    for (const { source, ranges } of planFetches(wanted, others)) {
      for (const ids of sliceSequenceRanges(ranges, batchesPerFetch)) {
        const part = ids.map(({ origin, epoch, sequence }) => ({
          origin,
          epoch,
          first: sequence,
          last: sequence,
        }));
        try {
          const { fetched, bytes } = await this.#options.owner.pull(address, source, part, signal);
          this.#metrics.fetched(fetched, bytes);
          await this.#rate.take(bytes, signal);
        } catch (error) {
          this.#noteFailure(error, { ...address, source }, signal);
          break;
        }
      }
    }
  }

  /** Whose copy is damaged is not known: each owner reads its own back, and replaces what is not as it was written. */
  async #verify(
    address: ShardAddress,
    others: ReadonlyMap<NodeId, ShardHoldings>,
    conflicting: readonly NodeId[],
    signal: AbortSignal,
  ): Promise<void> {
    const { owner, logger } = this.#options;
    try {
      const sources = [...others.keys()];
      const { damaged, replaced } = await owner.mendDamage(address, sources, signal);
      this.#metrics.replaced(replaced);
      if (damaged > 0)
        logger.error({ ...address, damaged, replaced }, 'batches on this disk are damaged; replaced');
      else if (conflicting.length > 0)
        logger.error(
          { ...address, conflicting },
          'owners hold different bytes under one batch id, and those here are as they were written',
        );
    } catch (error) {
      this.#noteFailure(error, address, signal);
    }
  }

  async #ask(
    node: NodeId,
    request: { readonly database: string; readonly group: ShardGroup['id'] },
    signal: AbortSignal,
  ): Promise<readonly ShardHoldings[] | undefined> {
    try {
      return await this.#options.nodeOf(node).holdings(request, signal);
    } catch (error) {
      this.#noteFailure(error, { ...request, node }, signal);
      return undefined;
    }
  }

  #noteFailure(error: unknown, about: object, signal: AbortSignal): void {
    signal.throwIfAborted();
    // Sealed and dropped meanwhile: nothing is left to mend.
    if (isVarveError(error, 'not-found')) return;
    if (!isVarveError(error)) throw error;
    this.#metrics.failed();
    this.#options.logger.debug({ ...about, error: error.message }, 'repair could not go on');
  }
}
