import type { SequenceRange } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { HotGroupRequest, HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import { isOfOwner, type OwnerFailure } from './hedged-call.js';
import { catchUpOrders, coveringOwners, isReadQuorum, type OwnerHolding, unionOf } from './held-batches.js';
import { HoldingsPoll } from './holdings-poll.js';
import type { OwnerStanding } from './owner-standing.js';

/** What the reader asks of an owner. */
export type ReadNode = HotReader & Pick<Peer, 'catchUp'>;

/** A shard of a group with its owners. */
export interface OwnedShard {
  readonly shard: number;
  readonly owners: readonly NodeId[];
  /** Owners that count for no quorum yet. */
  readonly filling?: readonly NodeId[];
}

/** From whom a shard can be read; any of the owners will do, best first. */
export type ReadableShard =
  | { readonly kind: 'readable'; readonly shard: number; readonly owners: readonly NodeId[] }
  | {
      readonly kind: 'unreadable';
      readonly shard: number;
      readonly failures: readonly OwnerFailure[];
      /** A quorum answered, and then one of them failed: another quorum may do. */
      readonly mayRetry: boolean;
    };

export interface ReadableOwnersOptions {
  readonly nodeOf: (node: NodeId) => ReadNode;
  readonly standing: OwnerStanding;
  readonly clock: Clock;
  /** An owner was made to fetch so many batches for a read. */
  readonly caughtUp: (batches: number) => void;
}

/** A quorum that cannot be had by then cannot be had. Longer than an owner may be silent. */
const quorumMsMax = 6000;
/** Pauses before owners are asked again: a batch on its way to all of them has mostly arrived by then. */
const againAfterMs = [0, 2, 10, 30];

/**
 * Finds the owners from which shards can be read so that the answer has all that a quorum of each shard's owners
 * holds together. Whatever was acknowledged at `quorum` before, some owner of any quorum holds (invariant 2). What
 * only some of them hold is mostly on its way to the others, which are asked again; if it does not arrive, one owner
 * is made to fetch it.
 */
export class ReadableOwners {
  readonly #options: ReadableOwnersOptions;

  constructor(options: ReadableOwnersOptions) {
    this.#options = options;
  }

  /** Throws only what ends the whole read, such as `not-found` when the group has been dropped. */
  async find(
    request: HotGroupRequest,
    shards: readonly OwnedShard[],
    signal?: AbortSignal,
  ): Promise<readonly ReadableShard[]> {
    const { nodeOf, standing, clock } = this.#options;
    const { database, group } = request;
    const poll = new HoldingsPoll({ database, group, nodeOf, standing, clock, signal });
    await this.#pollQuorum(poll, shards, signal);
    const reads = shards.map((shard) => new ShardRead(shard, poll, standing));
    for (const pauseMs of againAfterMs) {
      const short = reads.filter((read) => read.isShort());
      if (short.length === 0) break;
      if (pauseMs > 0) await clock.sleep(pauseMs, signal);
      poll.ask(new Set(short.flatMap((read) => read.holders())));
      await poll.until(() => short.every((read) => !read.isShort()), delayOf(short, standing));
    }
    return Promise.all(reads.map((read) => this.#settle(read, request, poll, signal)));
  }

  /** Asks all owners that are well, and the others too when those are not enough. */
  async #pollQuorum(poll: HoldingsPoll, shards: readonly OwnedShard[], signal?: AbortSignal): Promise<void> {
    const { standing } = this.#options;
    const nodes = new Set(shards.flatMap(({ owners }) => owners));
    const well = [...nodes].filter((node) => !standing.isSuspect(node));
    const hasQuorum = (): boolean =>
      shards.every((shard) => isReadQuorum(shard, holdersOf(poll.holdingsOf(shard.shard, shard.owners))));
    const mayDo = shards.every((shard) => isReadQuorum(shard, well));
    poll.ask(mayDo ? well : nodes);
    if (mayDo && well.length < nodes.size) {
      const delayMs = Math.max(0, ...well.map((node) => standing.delayMs(node, 'quick')));
      await poll.until(hasQuorum, delayMs);
      signal?.throwIfAborted();
      if (hasQuorum()) return;
      poll.ask([...nodes].filter((node) => !well.includes(node)));
    }
    await poll.until(hasQuorum, quorumMsMax);
  }

  async #settle(
    read: ShardRead,
    request: HotGroupRequest,
    poll: HoldingsPoll,
    signal?: AbortSignal,
  ): Promise<ReadableShard> {
    const { shard } = read;
    if (!read.hadQuorum) return { kind: 'unreadable', shard, failures: read.silent(), mayRetry: false };
    const failures: OwnerFailure[] = [];
    if (read.isShort()) {
      // The owner that lacks least fetches least.
      for (const target of read.byLack()) {
        try {
          await this.#catchUp(read, target, request, signal);
          poll.ask([target.owner]);
          await poll.until(() => !read.isShort(), quorumMsMax);
          if (!read.isShort()) break;
        } catch (error) {
          if (signal?.aborted || !isOfOwner(error)) throw error;
          failures.push({ owner: target.owner, error });
        }
      }
    }
    const owners = read.covering();
    return owners.length > 0
      ? { kind: 'readable', shard, owners }
      : { kind: 'unreadable', shard, failures: [...failures, ...read.silent()], mayRetry: true };
  }

  async #catchUp(
    read: ShardRead,
    target: OwnerHolding,
    { database, group }: HotGroupRequest,
    signal?: AbortSignal,
  ): Promise<void> {
    const address = { database, group, shard: read.shard };
    const node = this.#options.nodeOf(target.owner);
    for (const { source, ranges } of catchUpOrders(target, read.wanted, read.holdings())) {
      const { fetched } = await node.catchUp(address, source, ranges, signal);
      if (fetched > 0) this.#options.caughtUp(fetched);
    }
  }
}

/** One shard while its owners are compared. What is wanted is fixed at first; later batches do not move the goal. */
class ShardRead {
  readonly shard: number;
  readonly hadQuorum: boolean;
  readonly wanted: readonly SequenceRange[];
  readonly #owners: readonly NodeId[];
  readonly #poll: HoldingsPoll;
  readonly #standing: OwnerStanding;

  constructor(owned: OwnedShard, poll: HoldingsPoll, standing: OwnerStanding) {
    const { shard, owners } = owned;
    this.shard = shard;
    this.#owners = owners;
    this.#poll = poll;
    this.#standing = standing;
    const holdings = this.holdings();
    this.hadQuorum = isReadQuorum(owned, holdersOf(holdings));
    this.wanted = unionOf(holdings);
  }

  holdings(): readonly OwnerHolding[] {
    return this.#poll.holdingsOf(this.shard, this.#owners);
  }

  /** Owners that have told what they hold. */
  holders(): readonly NodeId[] {
    return holdersOf(this.holdings());
  }

  /** True when a quorum has told and none of them holds all that is wanted. */
  isShort(): boolean {
    return this.hadQuorum && this.covering().length === 0;
  }

  /** Owners that hold all that is wanted, best first. */
  covering(): readonly NodeId[] {
    return this.#standing.order(coveringOwners(this.holdings(), this.wanted));
  }

  /** Those that have told, the one that lacks least first. */
  byLack(): readonly OwnerHolding[] {
    const holdings = this.holdings();
    const lackOf = (holding: OwnerHolding): number =>
      catchUpOrders(holding, this.wanted, holdings)
        .flatMap(({ ranges }) => ranges)
        .reduce((sum, { first, last }) => sum + last - first + 1, 0);
    return holdings.toSorted((left, right) => lackOf(left) - lackOf(right));
  }

  /** Owners that told nothing, and why. */
  silent(): readonly OwnerFailure[] {
    const answered = new Set(this.holders());
    return this.#owners
      .filter((owner) => !answered.has(owner))
      .map((owner) => ({ owner, error: this.#poll.failureOf(owner) ?? new Error('no answer yet') }));
  }
}

function holdersOf(holdings: readonly OwnerHolding[]): readonly NodeId[] {
  return holdings.map(({ owner }) => owner);
}

function delayOf(reads: readonly ShardRead[], standing: OwnerStanding): number {
  const nodes = reads.flatMap((read) => read.holders());
  return Math.max(0, ...nodes.map((node) => standing.delayMs(node, 'quick')));
}
