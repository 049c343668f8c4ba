import {
  countSequences,
  sliceSequenceRanges,
  subtractSequenceRanges,
} from '../../core/catalog/sequence-ranges.js';
import type { SequenceRange } from '../../core/catalog/types.js';
import { readBatchHeader } from '../../core/codec/batch-codec.js';
import type { BatchId, EncodedBatch, GroupId } from '../../core/model/batch.js';
import type { ReleaseResult } from '../../core/ports/peer.js';
import { VarveError } from '../../core/std/errors.js';
import type { HotTier } from '../hot/hot-tier.js';
import { groupKey } from '../ingest-catalog.js';
import type { OwnerGates } from '../replicate/owner-gates.js';
import type { Wal } from '../wal/wal.js';

/** Reroute of replicate/, as a release sees it. */
export interface LateGroup {
  toLateGroup(batch: EncodedBatch, signal?: AbortSignal): Promise<void>;
}

export interface GroupReleaseOptions {
  readonly wal: Wal;
  readonly hot: HotTier;
  readonly gates: OwnerGates;
  /** Where batches go that history lacks; without it they are kept. */
  readonly reroute?: LateGroup | undefined;
  readonly onRerouted?: ((group: GroupId, batches: number) => void) | undefined;
  /** Awaited before a sealed group is dropped, while it is still held. Must not fail. */
  readonly beforeDrop?: ((database: string, group: GroupId) => Promise<void>) | undefined;
}

/** What is held of a shard and not in the sealed set. */
interface Unsealed {
  readonly shard: number;
  readonly ranges: readonly SequenceRange[];
}

/** Batches of one release that are written anew at one time. */
const reroutedAtOnce = 8;
/** Ids told of what is kept: enough to find out more. */
const keptIdsMax = 1000;

/**
 * Lets sealed groups go. What this node holds of a group and history lacks (it was cut off when the others agreed) is
 * written into the late group first, under its own ids: whatever was acknowledged ends in history (invariant 2).
 */
export class GroupRelease {
  readonly #options: GroupReleaseOptions;
  /** A caller that loses patience and asks again joins the release that goes on. */
  readonly #running = new Map<string, Promise<ReleaseResult>>();

  constructor(options: GroupReleaseOptions) {
    this.#options = options;
  }

  /** `conflict` while the group is open here. What fails leaves the group as it was; batches written anew stay so. */
  run(database: string, group: GroupId, sealed: readonly SequenceRange[]): Promise<ReleaseResult> {
    const key = groupKey(database, group);
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const release = this.#release(database, group, sealed).finally(() => this.#running.delete(key));
    this.#running.set(key, release);
    return release;
  }

  /** Drops the group, whatever it holds. */
  async drop(database: string, group: GroupId): Promise<void> {
    const { wal, hot, gates } = this.#options;
    const key = groupKey(database, group);
    await gates.shut(key);
    hot.drop(database, group);
    await wal.release(database, group);
    gates.forget(key);
  }

  async #release(database: string, group: GroupId, sealed: readonly SequenceRange[]): Promise<ReleaseResult> {
    const { gates, hot, reroute } = this.#options;
    const key = groupKey(database, group);
    if (gates.state(key) === 'open') {
      throw new VarveError(
        'conflict',
        `release of group ${group} of "${database}": it is open here; want it closed first`,
      );
    }
    // From here on nothing comes in any more, so that what is compared is what is dropped.
    await gates.shut(key);
    const unsealed = hot
      .holdings(database, group)
      .map(({ shard, batches }) => ({ shard, ranges: subtractSequenceRanges(batches, sealed) }))
      .filter(({ ranges }) => ranges.length > 0);
    try {
      if (unsealed.length > 0) {
        if (reroute === undefined) return this.#kept(key, unsealed);
        await this.#reroute(database, group, unsealed, reroute);
      }
      await this.#options.beforeDrop?.(database, group);
      await this.drop(database, group);
      return { kind: 'released' };
    } catch (error) {
      gates.unshut(key);
      throw error;
    }
  }

  #kept(key: string, unsealed: readonly Unsealed[]): ReleaseResult {
    this.#options.gates.unshut(key);
    const notSealed: BatchId[] = [];
    for (const ids of sliceSequenceRanges(
      unsealed.flatMap(({ ranges }) => ranges),
      keptIdsMax,
    )) {
      notSealed.push(...ids);
      break;
    }
    return { kind: 'kept', notSealed };
  }

  async #reroute(
    database: string,
    group: GroupId,
    unsealed: readonly Unsealed[],
    reroute: LateGroup,
  ): Promise<void> {
    const wanted = countSequences(unsealed.flatMap(({ ranges }) => ranges));
    let done = 0;
    for (const { shard, ranges } of unsealed) {
      for (const ids of sliceSequenceRanges(ranges, reroutedAtOnce)) {
        const writes: Promise<void>[] = [];
        const failures: unknown[] = [];
        try {
          for await (const bytes of this.#options.wal.fetch({ database, group, shard }, ids)) {
            const write = reroute.toLateGroup(readBatchHeader(bytes));
            // Caught at once: it may fail while the log is still read, and a failure that nobody catches ends the process.
            writes.push(write.catch((error: unknown) => void failures.push(error)));
          }
        } finally {
          await Promise.all(writes);
        }
        if (failures.length > 0) throw failures[0];
        done += writes.length;
      }
    }
    if (done !== wanted) {
      throw new VarveError(
        'internal',
        `release of group ${group} of "${database}": got ${done} batches from the log; want the ${wanted} that history lacks`,
      );
    }
    this.#options.onRerouted?.(group, done);
  }
}
