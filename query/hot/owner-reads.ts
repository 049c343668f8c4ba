import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { HotGroupRequest, HotReadOptions } from '../../core/ports/hot-reader.js';
import { hedgedCall, type OwnerFailure } from './hedged-call.js';
import type { OwnerReadMetrics } from './owner-read-metrics.js';
import { type CallKind, OwnerStanding } from './owner-standing.js';
import { type OwnedShard, ReadableOwners, type ReadNode } from './readable-owners.js';
import { type UnreadableShard, unreadableError, unreadableReason } from './unreadable-shards.js';

export interface OwnerReadsOptions {
  /** One ingest node. */
  readonly nodeOf: (node: NodeId) => ReadNode;
  readonly clock: Clock;
  readonly metrics: OwnerReadMetrics;
  /** The node of this process, where there is one. */
  readonly localNode?: NodeId;
}

/** What is to be read of a group's shards. */
export interface ShardsRequest extends HotGroupRequest {
  /** For messages; null where all tables are read. */
  readonly table: string | null;
  readonly shards: readonly OwnedShard[];
  readonly read: HotReadOptions | undefined;
}

/** How one owner is asked about some of its shards. */
export interface ShardsCall<Answer> {
  readonly name: 'describe' | 'conflicts';
  readonly kind: CallKind;
  readonly ask: (owner: NodeId, shards: readonly number[], signal: AbortSignal) => Promise<Answer>;
}

/** What one owner answered. */
export interface ShardsAnswer<Answer> {
  readonly shards: ReadonlySet<number>;
  /** The one that answered, then the others that hold enough as well. */
  readonly owners: readonly NodeId[];
  readonly answer: Answer;
}

/** Shards that can be read from the same owners, best first. */
interface ReadableShards {
  readonly owners: readonly NodeId[];
  readonly shards: readonly OwnedShard[];
}

interface Found {
  readonly readable: readonly ReadableShards[];
  /** Too few owners answered. */
  readonly lost: readonly UnreadableShard[];
  /** An owner failed on the way: another search may do. */
  readonly failed: readonly UnreadableShard[];
}

/** Searches for owners that can be read: owners may fail between two steps. */
const searchesMax = 3;

/** Asks of each shard one owner that holds all that the consistency of the read demands; a slow one is raced. */
export class OwnerReads {
  readonly clock: Clock;
  readonly metrics: OwnerReadMetrics;
  readonly standing: OwnerStanding;
  readonly nodeOf: (node: NodeId) => ReadNode;
  readonly #readable: ReadableOwners;

  constructor(options: OwnerReadsOptions) {
    const { nodeOf, clock, metrics, localNode } = options;
    this.nodeOf = nodeOf;
    this.clock = clock;
    this.metrics = metrics;
    this.standing = new OwnerStanding({ clock, ...(localNode === undefined ? {} : { localNode }) });
    const caughtUp = (batches: number): void => metrics.caughtUp(batches);
    this.#readable = new ReadableOwners({ nodeOf, clock, standing: this.standing, caughtUp });
  }

  /**
   * The answers for all shards of the request; of those that cannot be read the caller is told as it wishes: by
   * `unavailable`, or by `read.onIncomplete`. Other errors of an owner that speak of what was asked are thrown.
   */
  async call<Answer>(
    request: ShardsRequest,
    call: ShardsCall<Answer>,
    signal?: AbortSignal,
  ): Promise<readonly ShardsAnswer<Answer>[]> {
    const answers: ShardsAnswer<Answer>[] = [];
    const unreadable: UnreadableShard[] = [];
    let left = request.shards;
    for (let search = 1; left.length > 0; search++) {
      const found = await this.#find(request, left, signal);
      unreadable.push(...found.lost);
      const asked = await Promise.all(found.readable.map((each) => this.#ask(each, call, signal)));
      const failed = [...found.failed];
      for (const outcome of asked) {
        if ('answer' in outcome) answers.push(outcome);
        else failed.push(...outcome.failed);
      }
      if (search === searchesMax) unreadable.push(...failed);
      left = search === searchesMax ? [] : failed;
    }
    if (unreadable.length > 0) this.#tell(request, unreadable);
    return answers;
  }

  /** Counts what it took until an owner answered. */
  note(
    call: 'describe' | 'conflicts' | 'scan',
    { raced, failures }: { readonly raced: number; readonly failures: readonly OwnerFailure[] },
  ): void {
    if (raced > 0) this.metrics.raced(call);
    if (failures.length > 0) this.metrics.failedOver(call);
  }

  async #find(request: ShardsRequest, shards: readonly OwnedShard[], signal?: AbortSignal): Promise<Found> {
    const isQuorum = request.read?.consistency !== 'one';
    // One owner is a quorum of its own: nothing to compare.
    const compared = isQuorum ? shards.filter(({ owners }) => owners.length > 1) : [];
    const found = compared.length === 0 ? [] : await this.#readable.find(request, compared, signal);
    const results = new Map(found.map((each) => [each.shard, each]));
    const byOwners = new Map<string, { readonly owners: readonly NodeId[]; readonly shards: OwnedShard[] }>();
    const lost: UnreadableShard[] = [];
    const failed: UnreadableShard[] = [];
    for (const shard of shards) {
      const result = results.get(shard.shard);
      if (result?.kind === 'unreadable') {
        (result.mayRetry ? failed : lost).push({ ...shard, failures: result.failures });
      } else if (shard.owners.length === 0) {
        lost.push({ ...shard, failures: [] });
      } else {
        const owners = result?.owners ?? this.standing.order(filledFirst(shard));
        const key = owners.join('\n');
        const alike = byOwners.get(key) ?? { owners, shards: [] };
        alike.shards.push(shard);
        byOwners.set(key, alike);
      }
    }
    return { readable: [...byOwners.values()], lost, failed };
  }

  async #ask<Answer>(
    { owners, shards }: ReadableShards,
    { name, kind, ask }: ShardsCall<Answer>,
    signal?: AbortSignal,
  ): Promise<ShardsAnswer<Answer> | { readonly failed: readonly UnreadableShard[] }> {
    const numbers = shards.map(({ shard }) => shard);
    const { standing, clock } = this;
    const called = await hedgedCall({
      ...{ owners, kind, standing, clock, signal },
      ask: (owner, callSignal) => ask(owner, numbers, callSignal),
    });
    if (called.kind === 'failed') {
      return { failed: shards.map((shard) => ({ ...shard, failures: called.failures })) };
    }
    this.note(name, called);
    const others = owners.filter((owner) => owner !== called.owner);
    return { shards: new Set(numbers), owners: [called.owner, ...others], answer: called.answer };
  }

  #tell({ group, table, read }: ShardsRequest, unreadable: readonly UnreadableShard[]): void {
    const consistency = read?.consistency ?? 'quorum';
    const onIncomplete = read?.onIncomplete;
    if (onIncomplete === undefined) throw unreadableError({ group, table, consistency }, unreadable);
    for (const each of unreadable) {
      this.metrics.incomplete();
      onIncomplete({ group, shard: each.shard, reason: unreadableReason(each, consistency) });
    }
  }
}

/** The owners that count; only where there is none those that are being filled. */
function filledFirst({ owners, filling = [] }: OwnedShard): readonly NodeId[] {
  const filled = owners.filter((owner) => !filling.includes(owner));
  return filled.length > 0 ? filled : owners;
}
