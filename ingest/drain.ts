import type { NodeId } from '../core/model/batch.js';
import type { Clock } from '../core/ports/clock.js';
import { errorMessage } from '../core/std/errors.js';
import type { Logger } from '../core/std/logger.js';

/** Hints that this node keeps for others. */
export interface HintsToHandOver {
  /** Gets the hints to their owners, or to another live node; resolves when each has been tried. */
  handOver(signal: AbortSignal): Promise<void>;
  /** How many are left here. */
  count(): number;
  /** How many of these somebody may still take; all where it is left out. */
  takable?(): number;
}

/** A node that keeps no hints. */
export const noHints: HintsToHandOver = { handOver: () => Promise.resolve(), count: () => 0 };

export interface DrainOptions {
  readonly node: NodeId;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between two looks at what is left. */
  readonly intervalMs: number;
  /**
   * For so long after the drain began other nodes may not have read of it, and may still make groups that this node
   * owns.
   */
  readonly settleMs: number;
  /** How many groups in flux this node owns and has not released. */
  readonly ownedGroups: (signal: AbortSignal) => Promise<number>;
  /**
   * Once it owns nothing any more the node leaves after so long even with hints that nobody has taken. Without it there is
   * no end to the wait.
   */
  readonly hintPatienceMs?: number;
  readonly hints: HintsToHandOver;
  /** The node takes no writes of clients from then on; resolves when those under way have ended. */
  readonly stopWrites: () => Promise<void>;
  /** Notes in the catalog that the node has left. */
  readonly noteLeft: (signal: AbortSignal) => Promise<void>;
}

/** How far the drain is. */
type DrainState =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'draining';
      readonly sinceMs: number;
      readonly groups: number | null;
      /** When it was first seen to own nothing any more. */
      readonly freeMs: number | null;
    }
  | { readonly kind: 'left' };

/**
 * Takes this node out of the cluster: from the moment at which it learns of the drain it waits until all groups that
 * it owns are sealed and released and its hints are with others, and then leaves. Until then it goes on taking writes,
 * as coordinator, and answering peers; only /ready says that it is not, so that load balancers turn away.
 */
export class Drain {
  /** Resolves when the node has left; its process may end. Never, if it is not drained. */
  readonly left: Promise<void>;
  readonly #options: DrainOptions;
  readonly #stopping = new AbortController();
  #state: DrainState = { kind: 'none' };
  #loop: Promise<void> = Promise.resolve();
  #leave: () => void = () => {};

  constructor(options: DrainOptions) {
    this.#options = options;
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  /** The catalog says that this node is drained. Does nothing the second time. */
  begin(): void {
    if (this.#state.kind !== 'none' || this.#stopping.signal.aborted) return;
    const { node, clock, logger } = this.#options;
    this.#state = { kind: 'draining', sinceMs: clock.monotonicMs(), groups: null, freeMs: null };
    logger.info(
      { node },
      'this node is drained: it owns no new groups and leaves when it holds nothing any more',
    );
    this.#loop = this.#run();
  }

  /** What is still to be done, for /ready. */
  problems(): string[] {
    const { node, hints } = this.#options;
    if (this.#state.kind === 'none') return [];
    if (this.#state.kind === 'left') return [`node ${node} has left`];
    const groups = this.#state.groups ?? 'some';
    return [`node ${node} is drained: it owns ${groups} groups in flux and keeps ${hints.count()} hints`];
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, intervalMs, node, logger } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        if (await this.#turn(signal)) return;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn(
          { node, error: errorMessage(error) },
          'could not go on with the drain; it is tried again',
        );
      }
      await clock.sleep(intervalMs, signal).catch(() => {});
    }
  }

  /** True when the node has left. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    const { node, clock, logger, hints, ownedGroups, settleMs, stopWrites, noteLeft } = this.#options;
    if (this.#state.kind !== 'draining') return true;
    const groups = await ownedGroups(signal);
    if (groups !== this.#state.groups)
      logger.info({ node, groups }, 'groups that the drained node still owns');
    const freeMs = groups > 0 ? null : (this.#state.freeMs ?? clock.monotonicMs());
    const state = { ...this.#state, groups, freeMs };
    this.#state = state;
    await hints.handOver(signal);
    if (groups > 0 || this.#waitsForHints(freeMs) || clock.monotonicMs() - state.sinceMs < settleMs)
      return false;
    // Writes of clients make hints, so only what is left after the last of them tells.
    await stopWrites();
    await hints.handOver(signal);
    if (this.#waitsForHints(freeMs) || (await ownedGroups(signal)) > 0) return false;
    await noteLeft(signal);
    this.#state = { kind: 'left' };
    if (hints.count() > 0)
      logger.warn(
        { node, hints: hints.count() },
        'the drained node has left with hints that nobody took; a level other than "any" did not count on them',
      );
    else logger.info({ node }, 'the drained node has left: everything it held is settled or with others');
    this.#leave();
    return true;
  }

  #waitsForHints(freeMs: number | null): boolean {
    const { clock, hints, hintPatienceMs = Number.POSITIVE_INFINITY } = this.#options;
    const takable = hints.takable?.() ?? hints.count();
    return takable > 0 && (freeMs === null || clock.monotonicMs() - freeMs < hintPatienceMs);
  }
}
