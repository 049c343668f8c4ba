import type { ConsistencyLevel } from '../../core/catalog/types.js';
import type { Batch, EncodedBatch, NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { Peer } from '../../core/ports/peer.js';
import type { Random } from '../../core/ports/random.js';
import { errorMessage, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { formatDurationMs } from '../../core/std/units.js';
import type { ShardOutcome } from '../write-contract.js';
import { before, DestinationLane, type LaneAnswer, type LaneUsage } from './destination-lane.js';
import type { HintSink } from './hint-sink.js';
import { CopyTally, isLevelMet } from './levels.js';
import type { LocalOwner } from './local-owner.js';
import { LogThrottle } from './log-throttle.js';
import { noReplicationMetrics, type ReplicationMetrics } from './replication-metrics.js';

export interface ReplicatorOptions {
  readonly local: Pick<LocalOwner, 'node' | 'appendBatch'>;
  /** The peer of another node, or undefined while it is not known. */
  readonly peerOf: (node: NodeId) => Peer | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where batches are kept for owners that could not be reached; without it such owners have failed. */
  readonly hints?: HintSink;
  readonly metrics?: ReplicationMetrics;
  readonly limits?: Partial<ReplicationLimits>;
}

/** How long and how much replication may wait. */
export interface ReplicationLimits {
  /** An owner that has not answered by then has failed. */
  readonly writeTimeoutMs: number;
  /** Bytes of batches on their way to one node; what is more becomes a hint at once. */
  readonly laneBytesMax: number;
  /** Bytes of batches whose level is met and that are still on their way; beyond them answers wait for all owners. */
  readonly backgroundBytesMax: number;
}

/** Limits that hold where none are given. */
export const defaultReplicationLimits: ReplicationLimits = {
  writeTimeoutMs: 10_000,
  laneBytesMax: 64 * 2 ** 20,
  backgroundBytesMax: 256 * 2 ** 20,
};

/** What came of a batch: taken as far as the outcome says, or refused because the group is closed. */
export type ReplicateResult =
  | {
      readonly kind: 'outcome';
      readonly outcome: ShardOutcome;
      /** What the append failed with where this node is the only owner: it says more than a count of copies. */
      readonly cause: unknown;
    }
  | { readonly kind: 'closed' };

const unmetLoggedEveryMs = 1000;

/** Where the batches of a shard go. */
export interface ReplicaSet {
  readonly owners: readonly NodeId[];
  /**
   * Owners that there should be. Where there are fewer, levels still count by this number: two copies are a quorum of
   * three, whoever was alive when the group was made.
   */
  readonly replication: number;
}

/**
 * Sends a batch to all owners of its shard at once and answers as soon as its level is met; the other owners get it in
 * the background. For an owner that cannot be reached a hint is kept. A level counts as not met only after every owner
 * has answered, failed or run out of time, so that the outcome names each of them.
 */
export class Replicator {
  readonly #options: ReplicatorOptions;
  readonly #limits: ReplicationLimits;
  readonly #metrics: ReplicationMetrics;
  readonly #unmetLog: LogThrottle;
  readonly #lanes = new Map<NodeId, DestinationLane>();
  readonly #underWay = new Set<WriteUnderWay>();
  #bytesUnderWay = 0;

  constructor(options: ReplicatorOptions) {
    this.#options = options;
    this.#limits = { ...defaultReplicationLimits, ...options.limits };
    this.#metrics = options.metrics ?? noReplicationMetrics;
    this.#unmetLog = new LogThrottle({ clock: options.clock, intervalMs: unmetLoggedEveryMs });
  }

  /**
   * Resolves with `closed` when an owner refuses the batch before the level is met: the group's content is being agreed
   * on, the rows are late. Once the level is met such a refusal means nothing, for sealing takes what any owner holds.
   */
  async replicate(
    batch: Batch,
    encoded: EncodedBatch,
    to: ReplicaSet,
    level: ConsistencyLevel,
  ): Promise<ReplicateResult> {
    const { owners } = to;
    const isHereOnly = owners.length === 1 && owners[0] === this.#options.local.node;
    const tally = new CopyTally(level, Math.max(owners.length, to.replication));
    return isHereOnly
      ? this.#keepHere(batch, encoded, tally)
      : this.#sendToAll(batch, encoded, owners, tally);
  }

  /** Every other node that something was sent to, and how that goes. */
  lanes(): LaneUsage[] {
    return [...this.#lanes.values()].map((lane) => lane.usage());
  }

  /** Whether the node failed again and again when it was written to a moment ago. */
  isSuspected(node: NodeId): boolean {
    return this.#lanes.get(node)?.isSuspected ?? false;
  }

  /**
   * A node that may have been away is seen again: it gets the next batch. Left alone for the rest of its back-off, a
   * sound owner would count for no level, and the next one to be away would cost the quorum.
   */
  nodeIsBack(node: NodeId): void {
    this.#lanes.get(node)?.nodeIsBack();
  }

  /**
   * Waits for what goes on in the background; after `graceMs` what has not got to its owner becomes a hint. No batch may
   * come any more.
   */
  async stop(graceMs: number): Promise<void> {
    const done = new AbortController();
    const reason = new VarveError('unavailable', 'this node stops before the owner answered');
    const late = this.#options.clock.sleep(graceMs, done.signal).then(
      () => this.#underWay.forEach((write) => void write.deadline.abort(reason)),
      () => {},
    );
    await Promise.all([...this.#underWay].map((write) => write.done));
    done.abort();
    await late;
  }

  async #keepHere(batch: Batch, encoded: EncodedBatch, tally: CopyTally): Promise<ReplicateResult> {
    const { local } = this.#options;
    try {
      const answer = await local.appendBatch(batch, encoded);
      if (answer.kind === 'closed') return answer;
      tally.acknowledged(local.node);
      return { kind: 'outcome', outcome: tally.outcome(batch), cause: undefined };
    } catch (error) {
      tally.failed(local.node, errorMessage(error));
      return { kind: 'outcome', outcome: tally.outcome(batch), cause: error };
    }
  }

  #sendToAll(
    batch: Batch,
    encoded: EncodedBatch,
    owners: readonly NodeId[],
    tally: CopyTally,
  ): Promise<ReplicateResult> {
    const deadline = new AbortController();
    return new Promise((resolve, reject) => {
      let isAnswered = false;
      const answer = (result: ReplicateResult): void => {
        if (isAnswered) return;
        isAnswered = true;
        this.#noteAnswer(batch, result, tally.level);
        resolve(result);
      };
      const onClosed = (): void => {
        if (!tally.isMet) answer({ kind: 'closed' });
      };
      const outcome = (): ReplicateResult => ({
        kind: 'outcome',
        outcome: tally.outcome(batch),
        cause: undefined,
      });
      const sends = owners.map(async (owner) => {
        await this.#sendTo(owner, { batch, encoded, tally, deadline: deadline.signal, onClosed });
        // Beyond the limit clients wait as long as the slowest owner takes: that is what slows them down.
        if (tally.isMet && this.#bytesUnderWay <= this.#limits.backgroundBytesMax) answer(outcome());
      });
      const all = Promise.all(sends).then(() => answer(outcome()), reject);
      this.#follow(all, deadline, encoded.bytes.length);
    });
  }

  async #sendTo(
    owner: NodeId,
    write: {
      readonly batch: Batch;
      readonly encoded: EncodedBatch;
      readonly tally: CopyTally;
      readonly deadline: AbortSignal;
      readonly onClosed: () => void;
    },
  ): Promise<void> {
    const { batch, encoded, tally, deadline, onClosed } = write;
    const isHere = owner === this.#options.local.node;
    const answer = isHere
      ? await this.#appendHere(batch, encoded, deadline)
      : await this.#lane(owner).send(encoded.bytes, deadline);
    if (answer.kind === 'closed') onClosed();
    else if (answer.kind !== 'failed') tally.acknowledged(owner);
    else if (answer.mayRetry && !isHere) await this.#keepHint(owner, encoded, tally, answer.error);
    else tally.failed(owner, answer.error.message);
  }

  /** A failed append here leaves no hint: it would be on the disk that has just failed. Repair fetches what is missing. */
  async #appendHere(batch: Batch, encoded: EncodedBatch, deadline: AbortSignal): Promise<LaneAnswer> {
    try {
      return await before(deadline, this.#options.local.appendBatch(batch, encoded));
    } catch (thrown) {
      const message = errorMessage(thrown);
      return {
        kind: 'failed',
        error: new VarveError('unavailable', message, { cause: thrown }),
        mayRetry: true,
      };
    }
  }

  async #keepHint(owner: NodeId, encoded: EncodedBatch, tally: CopyTally, cause: VarveError): Promise<void> {
    const { hints } = this.#options;
    if (hints === undefined) return tally.failed(owner, cause.message);
    try {
      await hints.keep(owner, encoded);
      tally.hinted(owner);
      this.#metrics.hinted(owner, encoded.bytes.length);
    } catch (error) {
      tally.failed(owner, `${cause.message}; nor could a hint be kept: ${errorMessage(error)}`);
      this.#metrics.hintFailed(owner);
    }
  }

  /** Holds on to a write until all owners have answered, and ends their time. */
  #follow(all: Promise<void>, deadline: AbortController, bytes: number): void {
    const { clock } = this.#options;
    const { writeTimeoutMs } = this.#limits;
    const over = new AbortController();
    clock.sleep(writeTimeoutMs, over.signal).then(
      () => deadline.abort(new VarveError('timeout', `no answer within ${formatDurationMs(writeTimeoutMs)}`)),
      () => {},
    );
    this.#bytesUnderWay += bytes;
    const write: WriteUnderWay = {
      deadline,
      done: all.finally(() => {
        over.abort();
        this.#bytesUnderWay -= bytes;
        this.#underWay.delete(write);
      }),
    };
    this.#underWay.add(write);
  }

  #noteAnswer(batch: Batch, result: ReplicateResult, level: ConsistencyLevel): void {
    const isMet = result.kind === 'outcome' && isLevelMet(result.outcome);
    this.#metrics.answered(level, result.kind === 'closed' ? 'closed' : isMet ? 'met' : 'not-met');
    if (result.kind === 'closed' || isMet) return;
    // Not under its own name: loggers keep `level` for how severe a message is.
    const { level: consistency, ...outcome } = result.outcome;
    this.#unmetLog.run((heldBack) =>
      this.#options.logger.warn(
        { databaseId: batch.database, consistency, ...outcome, heldBack },
        'the level of a write was not met',
      ),
    );
  }

  #lane(node: NodeId): DestinationLane {
    const known = this.#lanes.get(node);
    if (known !== undefined) return known;
    const { laneBytesMax } = this.#limits;
    const lane = new DestinationLane({
      ...this.#options,
      node,
      metrics: this.#metrics,
      inFlightBytesMax: laneBytesMax,
    });
    this.#lanes.set(node, lane);
    return lane;
  }
}

/** A batch that not all owners have answered for. */
interface WriteUnderWay {
  readonly deadline: AbortController;
  readonly done: Promise<void>;
}
