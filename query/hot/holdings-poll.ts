import type { GroupId, NodeId } from '../../core/model/batch.js';
import type { Clock } from '../../core/ports/clock.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { ShardHoldings } from '../../core/ports/peer.js';
import { VarveError } from '../../core/std/errors.js';
import { isOfOwner } from './hedged-call.js';
import type { OwnerHolding } from './held-batches.js';
import type { OwnerStanding } from './owner-standing.js';

/** An owner that has not told in this time what it holds, which it knows by heart, is taken for silent. */
const silenceMsMax = 5000;

export interface HoldingsPollOptions {
  readonly database: string;
  readonly group: GroupId;
  readonly nodeOf: (node: NodeId) => Pick<HotReader, 'holdings'>;
  readonly standing: OwnerStanding;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** Asks owners what they hold of a group; what they say comes in while the caller looks on. */
export class HoldingsPoll {
  readonly #options: HoldingsPollOptions;
  readonly #answers = new Map<NodeId, ReadonlyMap<number, ShardHoldings>>();
  readonly #failures = new Map<NodeId, unknown>();
  readonly #waiting = new Set<NodeId>();
  #wake: (() => void) | null = null;
  #fatal: { readonly error: unknown } | null = null;

  constructor(options: HoldingsPollOptions) {
    this.#options = options;
  }

  /** Why an owner told nothing; undefined where it did or still may. */
  failureOf(node: NodeId): unknown {
    return this.#failures.get(node);
  }

  /** Whether the owner was asked and has neither answered nor failed. */
  isWaitingFor(node: NodeId): boolean {
    return this.#waiting.has(node);
  }

  /** What those of the owners that have answered hold of a shard, in the order given; the latest word of each. */
  holdingsOf(shard: number, owners: readonly NodeId[]): readonly OwnerHolding[] {
    return owners.flatMap((owner) => {
      const answer = this.#answers.get(owner);
      if (answer === undefined) return [];
      const held = answer.get(shard);
      return [{ owner, digest: held?.digest ?? '', batches: held?.batches ?? [] }];
    });
  }

  /** Asks the nodes, those that are being asked excepted. Who does not answer in time has failed. */
  ask(nodes: Iterable<NodeId>): void {
    for (const node of nodes) if (!this.#waiting.has(node)) void this.#ask(node);
  }

  /**
   * Waits until the condition holds, nobody is left to answer, or the time is over. Throws what ends the whole read:
   * `not-found` when the group has been dropped at some owner, the caller's own reason when it went away.
   */
  async until(isEnough: () => boolean, limitMs: number): Promise<void> {
    const { clock, signal } = this.#options;
    const timer = new AbortController();
    let isLate = false;
    const onAbort = (): void => this.#wake?.();
    signal?.addEventListener('abort', onAbort, { once: true });
    clock.sleep(limitMs, timer.signal).then(
      () => {
        isLate = true;
        this.#wake?.();
      },
      () => {},
    );
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (this.#fatal !== null) throw this.#fatal.error;
        if (isEnough() || isLate || this.#waiting.size === 0) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#wake = null;
      timer.abort();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Never rejects. A call that nobody waits for any more ends by its own limit. */
  async #ask(node: NodeId): Promise<void> {
    const { database, group, nodeOf, standing, clock, signal } = this.#options;
    this.#waiting.add(node);
    const call = standing.begin(node, 'quick');
    const abort = new AbortController();
    const timer = new AbortController();
    const silence = clock.sleep(silenceMsMax, timer.signal).then(() => {
      const error = new VarveError(
        'unavailable',
        `node ${node}, holdings: no answer within ${silenceMsMax} ms`,
        { retryAfterSeconds: 1 },
      );
      abort.abort(error);
      throw error;
    });
    const callSignal = signal === undefined ? abort.signal : AbortSignal.any([signal, abort.signal]);
    try {
      const asked = nodeOf(node).holdings({ database, group }, callSignal);
      const held = await Promise.race([asked, silence]);
      this.#answers.set(node, new Map(held.map((each) => [each.shard, each])));
      this.#failures.delete(node);
      call.answered();
    } catch (error) {
      if (signal?.aborted || !isOfOwner(error)) {
        call.left();
        this.#fatal ??= { error };
      } else {
        call.failed();
        this.#answers.delete(node);
        this.#failures.set(node, error);
      }
    } finally {
      timer.abort();
      silence.catch(() => {});
      this.#waiting.delete(node);
      this.#wake?.();
    }
  }
}
