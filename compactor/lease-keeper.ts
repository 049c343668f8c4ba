import { setMaxListeners } from 'node:events';
import type { Lease } from '../core/catalog/types.js';
import type { Clock } from '../core/ports/clock.js';
import { errorMessage, VarveError } from '../core/std/errors.js';
import type { Logger } from '../core/std/logger.js';
import type { CompactorCatalog } from './compactor-catalog.js';
import type { Hold } from './fencing.js';
import type { CompactorMetrics } from './metrics.js';

export interface LeaseKeeperOptions {
  readonly catalog: CompactorCatalog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CompactorMetrics;
  /** Unique to this process and its start. */
  readonly holder: string;
  /** True for a holder that is known to have ended, such as an earlier start of this process: its lease is free. */
  readonly isGone?: (holder: string) => boolean;
  readonly ttlMs: number;
}

const leaseName = 'compactor';

/**
 * Holds the lease as long as it can. Work is done under a Hold; its signal ends when the lease is lost, or when it
 * could not be renewed in time. The signal only saves work: what keeps a former holder from harm is the epoch in
 * every commit (invariant 7).
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #held: { lease: Lease; sinceMs: number; renewedMs: number; abort: AbortController } | null = null;
  #takenBy: string | null = null;
  /** Leases that were left to others: each is taken again under another name only, and so with another epoch. */
  #handedOver = 0;
  #isAdopted = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /** Who held the lease when it was last asked for in vain; null when this process has it. */
  get takenBy(): string | null {
    return this.#takenBy;
  }

  /** The hold of now; undefined while another process has the lease. */
  hold(): Hold | undefined {
    if (this.#held === null || this.#held.abort.signal.aborted) return undefined;
    const { lease, sinceMs, abort } = this.#held;
    return { epoch: lease.epoch, sinceMs, signal: abort.signal };
  }

  /**
   * Takes the lease, or renews it when a third of its time is over. To be called often, also while work goes on.
   * An error of the store counts as not renewed.
   */
  async keep(): Promise<void> {
    const held = this.#held;
    if (held === null) return this.#isAdopted ? undefined : this.#acquire();
    if (held.abort.signal.aborted) return;
    const { catalog, clock, ttlMs, logger } = this.#options;
    const ageMs = clock.monotonicMs() - held.renewedMs;
    if (ageMs >= ttlMs) {
      this.#lose('it could not be renewed in time');
      return this.#isAdopted ? undefined : this.#acquire();
    }
    if (ageMs < ttlMs / 3) return;
    const askedMs = clock.monotonicMs();
    try {
      const outcome = await catalog.leases.renew(held.lease, ttlMs);
      if (this.#held !== held) return;
      if (outcome.kind === 'taken') return this.#lose(`${outcome.by} has it`);
      held.lease = outcome.lease;
      held.renewedMs = askedMs;
    } catch (error) {
      logger.warn({ error: errorMessage(error) }, 'could not renew the lease; it is tried again');
    }
  }

  /** The lease that is held, for another process to work under; undefined when there is none. */
  get lease(): Lease | undefined {
    return this.hold() === undefined ? undefined : this.#held?.lease;
  }

  /**
   * Works on under a lease that its holder handed over. It is renewed and never given back, for others may work under
   * it too; once lost it is not taken anew.
   */
  adopt(lease: Lease): void {
    const nowMs = this.#options.clock.monotonicMs();
    // Renewed at the next `keep`, which finds out whether it still stands.
    const renewedMs = nowMs - this.#options.ttlMs / 2;
    this.#isAdopted = true;
    this.#held = { lease, sinceMs: nowMs, renewedMs, abort: holdController() };
    this.#options.metrics.leaseHeld(true);
  }

  /** Ends the hold and leaves the lease to those that it was handed to; it runs out once none renews it. */
  handOver(): void {
    this.#handedOver += 1;
    this.#isAdopted = false;
    this.#letGo('it was handed over');
  }

  /** Work found that another holder has committed: the lease is not ours, whatever the store said. */
  fenced(): void {
    this.#lose('another holder has committed');
  }

  /** Ends the work under the hold; the lease is kept, so that nobody else begins before the work has ended. */
  interrupt(reason: VarveError): void {
    this.#held?.abort.abort(reason);
  }

  /** Gives the lease back, so that another process need not wait for its end. */
  async release(): Promise<void> {
    const held = this.#held;
    if (held === null) return;
    this.#letGo('it was given back');
    this.#options.logger.info({}, 'gave the lease of the compactor back');
    try {
      await this.#options.catalog.leases.release(held.lease);
    } catch (error) {
      this.#options.logger.warn(
        { error: errorMessage(error) },
        'could not give the lease back; it will run out',
      );
    }
  }

  async #acquire(): Promise<void> {
    const { catalog, clock, isGone, ttlMs, logger, metrics } = this.#options;
    const holder =
      this.#handedOver === 0 ? this.#options.holder : `${this.#options.holder}/${this.#handedOver}`;
    const askedMs = clock.monotonicMs();
    const options = isGone === undefined ? { ttlMs } : { ttlMs, isGone };
    const outcome = await catalog.leases.acquire(leaseName, holder, options);
    if (outcome.kind === 'taken') {
      if (this.#takenBy !== outcome.by)
        logger.info({ by: outcome.by }, 'another compactor has the lease; waiting');
      this.#takenBy = outcome.by;
      return;
    }
    this.#takenBy = null;
    this.#held = {
      lease: outcome.lease,
      sinceMs: askedMs,
      renewedMs: askedMs,
      abort: holdController(),
    };
    metrics.leaseHeld(true);
    logger.info({ holder, epoch: outcome.lease.epoch }, 'took the lease of the compactor');
  }

  #lose(reason: string): void {
    const epoch = this.#held?.lease.epoch;
    if (epoch === undefined) return;
    this.#letGo(reason);
    this.#options.logger.warn({ reason, epoch }, 'lost the lease of the compactor');
  }

  #letGo(reason: string): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    held.abort.abort(new VarveError('fenced', `the lease of the compactor was lost: ${reason}`));
    this.#options.metrics.leaseHeld(false);
  }
}

/** Whatever runs under a hold listens to its signal, many files and tables at once: that is no leak. */
function holdController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
