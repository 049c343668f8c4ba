import type { Fault, StoreCall } from '../../core/adapters/fault.js';
import { MemoryMetaStore } from '../../core/adapters/meta-store-memory.js';
import { MemoryObjectStore } from '../../core/adapters/object-store-memory.js';
import type { MetaDeleteResult, MetaItem, MetaPutResult, MetaStore } from '../../core/ports/meta-store.js';
import type { ObjectInfo, ObjectStore } from '../../core/ports/object-store.js';
import type { Random } from '../../core/ports/random.js';
import { VarveError } from '../../core/std/errors.js';
import { type SimulatedProcess, startMs } from './simulated-process.js';
import type { Timeline } from './timeline.js';

/** How badly the stores behave. Chances in [0, 1). */
export interface StoreWeather {
  /** Calls that fail without effect. */
  readonly refused: number;
  /** Calls that take effect and are told to have failed. */
  readonly answerLost: number;
  readonly slow: number;
  readonly slowMs: number;
}

/** Stores that do what they are told. */
export const fairStores: StoreWeather = { refused: 0, answerLost: 0, slow: 0, slowMs: 0 };

/** Told of every item as it is put, and by which process. */
export type PutWatch = (item: MetaItem, by: SimulatedProcess) => void;

/** The stores that all processes share, each of which sees them through its own, faulty connection. */
export class SharedStores {
  weather: StoreWeather = fairStores;
  /** Names of processes that reach no store now. */
  readonly cutOff = new Set<string>();
  readonly objects: MemoryObjectStore;
  readonly meta: MemoryMetaStore;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #onPut: PutWatch;

  constructor(timeline: Timeline, random: Random, onPut: PutWatch) {
    this.#timeline = timeline;
    this.#random = random;
    this.#onPut = onPut;
    this.objects = new MemoryObjectStore({
      clock: {
        nowMs: () => startMs + timeline.nowMs,
        monotonicMs: () => timeline.nowMs,
        sleep: (delayMs) => timeline.pass(delayMs),
      },
    });
    this.meta = new MemoryMetaStore();
  }

  heal(): void {
    this.weather = fairStores;
    this.cutOff.clear();
  }

  /** The catalog's store as the process sees it. */
  metaOf(process: SimulatedProcess): MetaStore {
    const run = <T>(call: StoreCall, signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> =>
      this.#run(process, call, signal, act);
    const { meta } = this;
    const put = async (key: string, value: string, expected: number | null): Promise<MetaPutResult> => {
      const result = await meta.put(key, value, expected);
      if (result.kind === 'applied') this.#onPut({ key, value, version: result.version }, process);
      return result;
    };
    return {
      get: (key, signal) => run<MetaItem | undefined>({ operation: 'get', key }, signal, () => meta.get(key)),
      range: (prefix, signal) =>
        run<readonly MetaItem[]>({ operation: 'range', key: prefix }, signal, () => meta.range(prefix)),
      put: (key, value, expected, signal) =>
        run<MetaPutResult>({ operation: 'put', key }, signal, () => put(key, value, expected)),
      delete: (key, expected, signal) =>
        run<MetaDeleteResult>({ operation: 'delete', key }, signal, () => meta.delete(key, expected)),
      check: (signal) => run<void>({ operation: 'check', key: '' }, signal, () => meta.check()),
      close: async () => {},
    };
  }

  /** The object store as the process sees it. */
  objectsOf(process: SimulatedProcess): ObjectStore {
    const run = <T>(call: StoreCall, signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> =>
      this.#run(process, call, signal, act);
    const { objects } = this;
    return {
      put: (key, bytes, signal) => run({ operation: 'put', key }, signal, () => objects.put(key, bytes)),
      get: (key, signal) => run({ operation: 'get', key }, signal, () => objects.get(key)),
      getRange: (key, offset, length, signal) =>
        run({ operation: 'getRange', key }, signal, () => objects.getRange(key, offset, length)),
      head: (key, signal) => run({ operation: 'head', key }, signal, () => objects.head(key)),
      list: async function* (prefix, signal) {
        const found = await run({ operation: 'list', key: prefix }, signal, async () => {
          const all: ObjectInfo[] = [];
          for await (const info of objects.list(prefix)) all.push(info);
          return all;
        });
        yield* found;
      },
      deleteMany: (keys, signal) =>
        run({ operation: 'deleteMany', key: keys[0] ?? '' }, signal, () => objects.deleteMany(keys)),
      localPath: () => undefined,
      uriOf: (key) => objects.uriOf(key),
      keyOf: (uri) => objects.keyOf(uri),
      check: (signal) => run({ operation: 'check', key: '' }, signal, () => objects.check()),
    };
  }

  #run<T>(
    process: SimulatedProcess,
    call: StoreCall,
    signal: AbortSignal | undefined,
    act: () => Promise<T>,
  ): Promise<T> {
    return process.orAbort(process.gate(this.#underWeather(process, call, act)), signal);
  }

  async #underWeather<T>(process: SimulatedProcess, call: StoreCall, act: () => Promise<T>): Promise<T> {
    const { slow, slowMs } = this.weather;
    // Most calls take no time at all: what the order of calls can do shows as well, and runs go faster.
    if (slow > 0 && this.#random.next() < slow) await this.#timeline.pass(this.#random.next() * slowMs);
    else if (this.#random.next() < 0.3) await this.#timeline.pass(this.#random.next() * 4);
    // A call that had not arrived when its process ended never happens.
    if (!process.isAlive) throw new VarveError('unavailable', `${call.operation} ${call.key}: nobody asks`);
    const fault = this.#fault(process, call);
    if (fault?.kind === 'refused') throw fault.error;
    const result = await act();
    if (this.#random.next() < 0.2) await this.#timeline.pass(this.#random.next() * 4);
    if (fault !== undefined) throw fault.error;
    return result;
  }

  #fault(process: SimulatedProcess, { operation, key }: StoreCall): Fault | undefined {
    const error = (why: string): VarveError =>
      new VarveError('unavailable', `${operation} ${key} by ${process.name}: ${why}`);
    if (this.cutOff.has(process.name)) return { kind: 'refused', error: error('the store is out of reach') };
    const { refused, answerLost } = this.weather;
    if (refused === 0 && answerLost === 0) return undefined;
    const drawn = this.#random.next();
    if (drawn < refused) return { kind: 'refused', error: error('the store failed') };
    if (drawn < refused + answerLost) return { kind: 'answer-lost', error: error('the answer was lost') };
    return undefined;
  }
}
