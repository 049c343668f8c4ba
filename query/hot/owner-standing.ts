import type { NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';

/** What is asked of an owner: `quick` is answered from memory at once, a `scan` works before its first byte. */
export type CallKind = 'quick' | 'scan';

/** A call under way. Exactly one of its methods is called, once. */
export interface OwnerCall {
  /** The first byte came. */
  answered(): void;
  failed(): void;
  /** Another owner answered first, or nobody waits any more. Says nothing of this one's health but how long it took so far. */
  left(): void;
}

export interface OwnerStandingOptions {
  readonly clock: Clock;
  /** The node of this process, which is read first where it is an owner. */
  readonly localNode?: NodeId;
}

/** An owner that failed is asked last for so long. */
const suspectMs = 5000;
/** Samples kept of each owner and kind of call, and how many there must be to go by them. */
const samplesMax = 64;
const samplesMin = 8;
/** Delays before another owner is asked as well: bounds, and the delay while too little is known. */
const delayMsMin = 25;
const delayMsMax = 1000;
const delayMsUnknown = 150;

interface NodeState {
  readonly samplesMs: Record<CallKind, number[]>;
  /** Moments at which the calls under way began, oldest first. */
  readonly pending: Set<{ readonly kind: CallKind; readonly startMs: number }>;
  failedMs: number | null;
}

/** What the reader has seen of each owner: how fast it answers and whether it does. Bounded by the number of nodes. */
export class OwnerStanding {
  readonly #clock: Clock;
  readonly #localNode: NodeId | undefined;
  readonly #nodes = new Map<NodeId, NodeState>();

  constructor(options: OwnerStandingOptions) {
    this.#clock = options.clock;
    this.#localNode = options.localNode;
  }

  begin(node: NodeId, kind: CallKind): OwnerCall {
    const state = this.#state(node);
    const call = { kind, startMs: this.#clock.monotonicMs() };
    state.pending.add(call);
    const end = (isSample: boolean): void => {
      state.pending.delete(call);
      if (!isSample) return;
      const samples = state.samplesMs[kind];
      samples.push(this.#clock.monotonicMs() - call.startMs);
      if (samples.length > samplesMax) samples.shift();
    };
    return {
      answered: () => {
        end(true);
        state.failedMs = null;
      },
      failed: () => {
        end(false);
        state.failedMs = this.#clock.monotonicMs();
      },
      left: () => {
        // Its true time is longer, but a call that is left at once says nothing.
        const isLate = this.#clock.monotonicMs() - call.startMs >= this.delayMs(node, kind);
        end(isLate);
        if (isLate) state.failedMs = this.#clock.monotonicMs();
      },
    };
  }

  /** True for an owner that failed a short while ago or lets a call wait for longer than it mostly does. */
  isSuspect(node: NodeId): boolean {
    const state = this.#nodes.get(node);
    if (state === undefined) return false;
    const nowMs = this.#clock.monotonicMs();
    if (state.failedMs !== null && nowMs - state.failedMs < suspectMs) return true;
    for (const { kind, startMs } of state.pending) {
      if (nowMs - startMs >= this.delayMs(node, kind)) return true;
    }
    return false;
  }

  /** Owners to ask, best first: those that are not suspect, of these the node of this process, otherwise as given. */
  order(owners: readonly NodeId[]): readonly NodeId[] {
    if (owners.length < 2) return owners;
    const rankOf = (node: NodeId): number => (this.isSuspect(node) ? 2 : node === this.#localNode ? 0 : 1);
    const ranked = owners.map((node) => ({ node, rank: rankOf(node) }));
    return ranked.sort((left, right) => left.rank - right.rank).map(({ node }) => node);
  }

  /** How long to wait for the owner before another one is asked as well: the 95th percentile of its times, bounded. */
  delayMs(node: NodeId, kind: CallKind): number {
    const samples = this.#nodes.get(node)?.samplesMs[kind] ?? [];
    if (samples.length < samplesMin) return delayMsUnknown;
    const sorted = samples.toSorted((left, right) => left - right);
    const percentile = sorted[Math.ceil(sorted.length * 0.95) - 1] ?? delayMsUnknown;
    return Math.min(delayMsMax, Math.max(delayMsMin, percentile));
  }

  #state(node: NodeId): NodeState {
    const known = this.#nodes.get(node);
    if (known !== undefined) return known;
    const state: NodeState = { samplesMs: { quick: [], scan: [] }, pending: new Set(), failedMs: null };
    this.#nodes.set(node, state);
    return state;
  }
}
