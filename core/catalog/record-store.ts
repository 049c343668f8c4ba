import type { Clock } from '../ports/clock.js';
import type { MetaStore } from '../ports/meta-store.js';
import type { Random } from '../ports/random.js';
import { VarveError } from '../std/errors.js';
import type { Versioned } from './types.js';

/** A record as the text of an item. `decode` refuses, as `corrupt`, what `encode` cannot have written. */
export interface RecordCodec<T> {
  encode(record: T): string;
  decode(key: string, text: string): T;
}

/** What a transition decides: the next record, or `next: undefined` to leave things as they are. */
export interface Decision<T, R> {
  readonly next: T | undefined;
  readonly outcome: R;
}

/** The outcome of a change, with the record as it now stands (undefined when there is none). */
export interface Changed<T, R> {
  readonly outcome: R;
  readonly record: Versioned<T> | undefined;
}

/** The ports of the catalog. */
export interface CatalogPorts {
  readonly store: MetaStore;
  readonly clock: Clock;
  readonly random: Random;
}

/** Databases of which a catalog remembers something; past it all is forgotten and read again. */
export const databasesRememberedMax = 10_000;

const attemptsMax = 30;
const backOffMsFirst = 2;
const backOffMsMax = 250;

/** Records under compare-and-set: read → decide (pure) → put with the version read; after a conflict, all again. */
export class RecordStore {
  readonly #store: MetaStore;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(ports: CatalogPorts) {
    this.#store = ports.store;
    this.#clock = ports.clock;
    this.#random = ports.random;
  }

  async read<T>(key: string, codec: RecordCodec<T>, signal?: AbortSignal): Promise<Versioned<T> | undefined> {
    const item = await this.#store.get(key, signal);
    return item === undefined ? undefined : { value: codec.decode(key, item.value), version: item.version };
  }

  /** Records whose key starts with `prefix`, in key order. */
  async range<T>(prefix: string, codec: RecordCodec<T>, signal?: AbortSignal): Promise<Versioned<T>[]> {
    const items = await this.#store.range(prefix, signal);
    return items.map((item) => ({ value: codec.decode(item.key, item.value), version: item.version }));
  }

  /**
   * Changes one record. `decide` is pure and may run several times. An error of the store means that the change may
   * or may not have been made; transitions are written so that asking again is safe.
   * Errors: `unavailable` when other writers kept coming first, and whatever the store or `decide` throws.
   */
  async change<T, R>(
    key: string,
    codec: RecordCodec<T>,
    decide: (current: Versioned<T> | undefined) => Decision<T, R>,
    signal?: AbortSignal,
  ): Promise<Changed<T, R>> {
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const current = await this.read(key, codec, signal);
      const { next, outcome } = decide(current);
      if (next === undefined) return { outcome, record: current };
      const result = await this.#store.put(key, codec.encode(next), current?.version ?? null, signal);
      if (result.kind === 'applied') return { outcome, record: { value: next, version: result.version } };
      await this.#backOff(attempt, signal);
    }
    throw new VarveError(
      'unavailable',
      `change ${key}: other writers came first ${attemptsMax} times in a row; want a quieter moment`,
      { retryAfterSeconds: 1 },
    );
  }

  /** Deletes the record if it still has the version; true when it did. */
  async remove(key: string, version: number, signal?: AbortSignal): Promise<boolean> {
    return (await this.#store.delete(key, version, signal)).kind === 'applied';
  }

  /** Deletes whatever is below `prefix`. */
  async removeAll(prefix: string, signal?: AbortSignal): Promise<void> {
    for (const item of await this.#store.range(prefix, signal)) {
      await this.#store.delete(item.key, item.version, signal);
    }
  }

  /** The first retry comes at once, later ones after a random part of a growing span. */
  async #backOff(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    if (attempt === 1) return;
    const spanMs = Math.min(backOffMsMax, backOffMsFirst * 2 ** (attempt - 2));
    await this.#clock.sleep(spanMs * this.#random.next(), signal);
  }
}
