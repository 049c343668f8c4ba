import { compareUtf8 } from '../model/schema.js';
import type { MetaDeleteResult, MetaItem, MetaPutResult, MetaStore } from '../ports/meta-store.js';
import { VarveError } from '../std/errors.js';
import { type FaultInjection, type StoreCall, underFaults } from './fault.js';
import { checkMetaKey, checkMetaPrefix, checkMetaValue } from './meta-key.js';

export interface MemoryMetaStoreOptions extends FaultInjection {
  /** Told of each item as it is put, before anyone else can act on it. */
  readonly onPut?: (item: MetaItem) => void;
}

/** Items in memory, for tests and simulations. Refuses what the durable stores refuse. */
export class MemoryMetaStore implements MetaStore {
  readonly #items = new Map<string, MetaItem>();
  readonly #options: MemoryMetaStoreOptions;
  #closed = false;

  constructor(options: MemoryMetaStoreOptions = {}) {
    this.#options = options;
  }

  get(key: string, signal?: AbortSignal): Promise<MetaItem | undefined> {
    return this.#call({ operation: 'get', key }, signal, () => {
      checkMetaKey(key);
      return this.#items.get(key);
    });
  }

  range(prefix: string, signal?: AbortSignal): Promise<readonly MetaItem[]> {
    return this.#call({ operation: 'range', key: prefix }, signal, () => {
      checkMetaPrefix(prefix);
      return [...this.#items.values()]
        .filter((item) => item.key.startsWith(prefix))
        .sort((left, right) => compareUtf8(left.key, right.key));
    });
  }

  put(
    key: string,
    value: string,
    expectedVersion: number | null,
    signal?: AbortSignal,
  ): Promise<MetaPutResult> {
    return this.#call({ operation: 'put', key }, signal, () => {
      checkMetaKey(key);
      checkMetaValue(key, value);
      const present = this.#items.get(key)?.version ?? null;
      if (present !== expectedVersion) return { kind: 'conflict' };
      const version = (present ?? 0) + 1;
      const item = { key, value, version };
      this.#items.set(key, item);
      this.#options.onPut?.(item);
      return { kind: 'applied', version };
    });
  }

  delete(key: string, expectedVersion: number, signal?: AbortSignal): Promise<MetaDeleteResult> {
    return this.#call({ operation: 'delete', key }, signal, () => {
      checkMetaKey(key);
      if (this.#items.get(key)?.version !== expectedVersion) return { kind: 'conflict' };
      this.#items.delete(key);
      return { kind: 'applied' };
    });
  }

  check(signal?: AbortSignal): Promise<void> {
    return this.#call({ operation: 'check', key: '' }, signal, () => {});
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #call<T>(call: StoreCall, signal: AbortSignal | undefined, action: () => T): Promise<T> {
    return underFaults(this.#options, call, signal, () => {
      if (this.#closed)
        throw new VarveError('unavailable', `${call.operation} ${call.key}: the store is closed`);
      return action();
    });
  }
}
