import type { NodeId } from '../core/model/batch.js';
import type { Clock } from '../core/ports/clock.js';
import { formatDurationMs } from '../core/std/units.js';

/** What one exchange with a node told of its clock. */
export interface ClockSample {
  /** Its wall clock less the one here, both at the middle of the exchange. */
  readonly offsetMs: number;
  /** The offset is right within this: half the time that the messages took. */
  readonly uncertaintyMs: number;
}

interface KeptSample extends ClockSample {
  readonly atMs: number;
}

const samplesMax = 8;
/** A clock may have been set since. */
const sampleAgeMsMax = 30_000;

/**
 * How far the clock of this node is from those of the others, by the best of the last exchanges with each. It finds
 * this node wrong only where a majority, the node itself counted, agrees on that: of two clocks nobody knows which one is.
 */
export class ClockOffsets {
  readonly #clock: Clock;
  readonly #skewMsMax: number;
  readonly #samples = new Map<NodeId, KeptSample[]>();

  constructor(options: { readonly clock: Clock; readonly skewMsMax: number }) {
    this.#clock = options.clock;
    this.#skewMsMax = options.skewMsMax;
  }

  /** Takes in an exchange. */
  note(node: NodeId, sample: ClockSample): void {
    const kept = this.#samples.get(node) ?? [];
    this.#samples.set(node, [...kept.slice(1 - samplesMax), { ...sample, atMs: this.#clock.monotonicMs() }]);
  }

  /** The best sample of each node heard of lately. */
  others(): ReadonlyMap<NodeId, ClockSample> {
    const oldestMs = this.#clock.monotonicMs() - sampleAgeMsMax;
    const best = new Map<NodeId, ClockSample>();
    for (const [node, samples] of this.#samples) {
      const [first, ...rest] = samples.filter(({ atMs }) => atMs >= oldestMs);
      if (first === undefined) this.#samples.delete(node);
      else
        best.set(
          node,
          rest.reduce((one, other) => (other.uncertaintyMs <= one.uncertaintyMs ? other : one), first),
        );
    }
    return best;
  }

  /** The clock that a majority of the nodes agrees on, less the one here: the median of all, in doubt the one nearest to here. */
  majority(): ClockSample {
    const here: ClockSample = { offsetMs: 0, uncertaintyMs: 0 };
    const sorted = [here, ...this.others().values()].sort((left, right) => left.offsetMs - right.offsetMs);
    const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? here;
    const upper = sorted[Math.floor(sorted.length / 2)] ?? here;
    return Math.abs(lower.offsetMs) <= Math.abs(upper.offsetMs) ? lower : upper;
  }

  /** What is wrong with the clock of this node, for /ready. */
  problems(): string[] {
    const { offsetMs, uncertaintyMs } = this.majority();
    if (Math.abs(offsetMs) - uncertaintyMs <= this.#skewMsMax) return [];
    const side = offsetMs > 0 ? 'behind' : 'ahead of';
    return [
      `the clock of this node is ${Math.round(Math.abs(offsetMs))} ms ${side} that of the majority of nodes; want at most ${formatDurationMs(this.#skewMsMax)} (--clock-skew-max)`,
    ];
  }
}
