import type { Clock } from '../ports/clock.js';
import { checkName, leaseKey } from './keys.js';
import { type CatalogPorts, type Decision, type RecordCodec, RecordStore } from './record-store.js';
import { Shape } from './shape.js';
import type { Lease, Versioned } from './types.js';

export type LeaseResult =
  | { readonly kind: 'held'; readonly lease: Lease }
  | { readonly kind: 'taken'; readonly by: string; readonly expiresMs: number };

export interface AcquireOptions {
  readonly ttlMs: number;
  /** True for a holder that is known to be gone, such as an earlier start of the same node; its lease is taken at once. */
  readonly isGone?: (holder: string) => boolean;
}

/**
 * How long after its end a lease is still respected. Holders go by their own clocks and stop at `expiresMs`; whoever
 * wants to take over waits this much longer. Clocks that differ by more cost no correctness, because every commit
 * carries the epoch: the older holder is then fenced.
 */
export const leaseSkewMs = 2000;

const format = 1;

/** Items `lease/<name>`. They are never deleted, so that epochs only grow. */
export const leaseCodec: RecordCodec<Lease> = {
  encode: (lease) =>
    JSON.stringify({
      format,
      name: lease.name,
      holder: lease.holder,
      epoch: lease.epoch,
      expiresMs: lease.expiresMs,
    }),
  decode: (key, text) => {
    const shape = Shape.parse(key, text, format);
    return {
      name: shape.at('name').string(),
      holder: shape.at('holder').string(),
      epoch: shape.at('epoch').integer(),
      expiresMs: shape.at('expiresMs').integer(),
    };
  },
};

/** Rights that one process holds at a time. A holder's name must be its own: unique to the process and its start. */
export class LeaseCatalog {
  readonly #records: RecordStore;
  readonly #clock: Clock;

  constructor(ports: CatalogPorts) {
    this.#records = new RecordStore(ports);
    this.#clock = ports.clock;
  }

  /** Who holds the lease and until when; undefined when nobody ever did. */
  async get(name: string, signal?: AbortSignal): Promise<Lease | undefined> {
    return (await this.#records.read(leaseKey(name), leaseCodec, signal))?.value;
  }

  /** Takes the lease if it is free, has run out, or is the holder's own already. The epoch grows with each change of holder. */
  acquire(name: string, holder: string, options: AcquireOptions, signal?: AbortSignal): Promise<LeaseResult> {
    checkName('lease', name);
    return this.#change(name, signal, (current) => {
      const nowMs = this.#clock.nowMs();
      const expiresMs = nowMs + options.ttlMs;
      if (current === undefined) return { name, holder, epoch: 1, expiresMs };
      if (current.holder === holder) return { ...current, expiresMs };
      const free = current.expiresMs + leaseSkewMs <= nowMs || (options.isGone?.(current.holder) ?? false);
      return free ? { name, holder, epoch: current.epoch + 1, expiresMs } : undefined;
    });
  }

  /** Holds on to a lease; `taken` when another has it by now. */
  renew(lease: Lease, ttlMs: number, signal?: AbortSignal): Promise<LeaseResult> {
    return this.#change(lease.name, signal, (current) =>
      current !== undefined && isSame(current, lease)
        ? { ...current, expiresMs: this.#clock.nowMs() + ttlMs }
        : undefined,
    );
  }

  /** Gives a lease back, so that the next holder need not wait. Nothing happens when another has it by now. */
  async release(lease: Lease, signal?: AbortSignal): Promise<void> {
    await this.#change(lease.name, signal, (current) =>
      current !== undefined && isSame(current, lease) ? { ...current, expiresMs: 0 } : undefined,
    );
  }

  /** `decide` gives the lease as the caller shall hold it, or undefined to leave it to whoever has it. */
  async #change(
    name: string,
    signal: AbortSignal | undefined,
    decide: (current: Lease | undefined) => Lease | undefined,
  ): Promise<LeaseResult> {
    const transition = (current: Versioned<Lease> | undefined): Decision<Lease, LeaseResult> => {
      const lease = decide(current?.value);
      if (lease !== undefined) return { next: lease, outcome: { kind: 'held', lease } };
      const { holder = '', expiresMs = 0 } = current?.value ?? {};
      return { next: undefined, outcome: { kind: 'taken', by: holder, expiresMs } };
    };
    return (await this.#records.change(leaseKey(name), leaseCodec, transition, signal)).outcome;
  }
}

function isSame(current: Lease, lease: Lease): boolean {
  return current.holder === lease.holder && current.epoch === lease.epoch;
}
