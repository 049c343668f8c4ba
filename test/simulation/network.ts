import type { Random } from '../../core/ports/random.js';
import { errorMessage, isVarveError, VarveError } from '../../core/std/errors.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { Timeline } from './timeline.js';
import type { Trace } from './trace.js';

/** How bad the network is. Chances in [0, 1). */
export interface NetworkWeather {
  readonly loss: number;
  readonly duplication: number;
  /** Of messages that take up to `slowMs` instead of a few milliseconds. */
  readonly slow: number;
  readonly slowMs: number;
}

/** A network that only delays a little. */
export const fairWeather: NetworkWeather = { loss: 0, duplication: 0, slow: 0, slowMs: 0 };

/** How long a caller waits for an answer. */
const callTimeoutMs = 5000;
const connectTimeoutMs = 500;

/** What a call is about, for the trace. */
export interface CallFacts {
  readonly method: string;
  readonly about: string;
  /** The call may reach the other side twice. */
  readonly repeatable?: boolean;
}

/**
 * Carries calls between processes: delayed and so reordered, lost on the way there or back, delivered twice, cut by
 * partitions that may work in one direction only. A caller is told `unavailable` and cannot know whether its call
 * was carried out.
 */
export class Network<Service> {
  weather: NetworkWeather = fairWeather;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #trace: Trace;
  readonly #onError: (call: string, error: unknown) => void;
  readonly #services = new Map<string, { readonly process: SimulatedProcess; readonly service: Service }>();
  readonly #cuts = new Set<string>();

  /** @param onError told of every error that a call ends in */
  constructor(
    timeline: Timeline,
    random: Random,
    trace: Trace,
    onError: (call: string, error: unknown) => void,
  ) {
    this.#timeline = timeline;
    this.#random = random;
    this.#trace = trace;
    this.#onError = onError;
  }

  /** `service` is what callers of `process.name` reach from now on. */
  listen(process: SimulatedProcess, service: Service): void {
    this.#services.set(process.name, { process, service });
  }

  /** Nothing goes from `from` to `to` until heal. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`);
  }

  /** Every partition ends. */
  joinAll(): void {
    this.#cuts.clear();
  }

  /** Every partition ends, and the weather is fair. */
  heal(): void {
    this.joinAll();
    this.weather = fairWeather;
  }

  /** Whether a message of now would get through. */
  reaches(from: string, to: string): boolean {
    return !this.#cuts.has(`${from} ${to}`);
  }

  /** Calls `to` and answers what it answers. */
  call<T>(
    from: SimulatedProcess,
    to: string,
    facts: CallFacts,
    act: (service: Service) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const exchanged = this.#traced(from, to, facts, this.#exchange(from, to, facts, act));
    return from.gate(from.orAbort(exchanged, signal));
  }

  /** Asks `to` for a sign of life; not worth a line in the trace. */
  ping(from: SimulatedProcess, to: string, signal: AbortSignal): Promise<void> {
    const facts = { method: 'ping', about: '' };
    const exchanged = this.#exchange(from, to, facts, () => Promise.resolve());
    return from.gate(from.orAbort(exchanged, signal));
  }

  /** Calls `to` for a stream, which may break off between two pieces. */
  async *stream<T>(
    from: SimulatedProcess,
    to: string,
    facts: CallFacts,
    open: (service: Service) => AsyncIterable<T>,
    signal?: AbortSignal,
  ): AsyncGenerator<T> {
    const collect = async (service: Service): Promise<T[]> => {
      const pieces: T[] = [];
      for await (const piece of open(service)) pieces.push(piece);
      return pieces;
    };
    const pieces = await this.call(from, to, facts, collect, signal);
    const breaksAt = this.#chance(this.weather.loss) ? Math.floor(this.#random.next() * pieces.length) : -1;
    for (const [index, piece] of pieces.entries()) {
      if (index === breaksAt) throw unavailable(from, to, facts, 'the stream broke off');
      yield piece;
    }
  }

  async #traced<T>(from: SimulatedProcess, to: string, facts: CallFacts, work: Promise<T>): Promise<T> {
    const name = `${from.name} > ${to} ${facts.method} ${facts.about}`;
    try {
      const result = await work;
      this.#trace.note(`${name}: ${told(result)}`);
      this.#trace.count(`${facts.method} ${told(result)}`);
      return result;
    } catch (error) {
      this.#trace.count(`${facts.method} failed`);
      this.#trace.note(`${name}: ${isVarveError(error) ? error.kind : 'error'}, ${errorMessage(error)}`);
      this.#onError(name, error);
      throw error;
    }
  }

  async #exchange<T>(
    from: SimulatedProcess,
    to: string,
    facts: CallFacts,
    act: (service: Service) => Promise<T>,
  ): Promise<T> {
    await this.#travel();
    if (!this.reaches(from.name, to) || this.#chance(this.weather.loss)) {
      await this.#timeline.pass(connectTimeoutMs);
      throw unavailable(from, to, facts, 'no connection');
    }
    const target = this.#services.get(to);
    if (target === undefined || !target.process.isAlive) {
      await this.#travel();
      throw unavailable(from, to, facts, 'connection refused');
    }
    if (facts.repeatable === true && this.#chance(this.weather.duplication)) this.#repeat(target, act);
    const answer = this.#answer(target, act, from, to, facts);
    const result = await answer;
    await this.#travel();
    if (!this.reaches(to, from.name) || this.#chance(this.weather.loss)) {
      await this.#timeline.pass(connectTimeoutMs);
      throw unavailable(from, to, facts, 'the answer was lost');
    }
    return result;
  }

  /** The answer as it leaves the target, or that none comes. */
  #answer<T>(
    target: { readonly process: SimulatedProcess; readonly service: Service },
    act: (service: Service) => Promise<T>,
    from: SimulatedProcess,
    to: string,
    facts: CallFacts,
  ): Promise<T> {
    const { process, service } = target;
    const acted = (async () => {
      if (process.isPaused) await process.awake();
      return process.gate(act(service));
    })();
    return new Promise((resolve, reject) => {
      const timer = this.#timeline.after(callTimeoutMs, () => {
        reject(unavailable(from, to, facts, `no answer within ${callTimeoutMs} ms`));
      });
      process.orEnd(acted).then(
        (result) => {
          timer.cancel();
          resolve(result);
        },
        (error: unknown) => {
          timer.cancel();
          reject(process.isAlive ? error : unavailable(from, to, facts, 'connection reset'));
        },
      );
    });
  }

  #repeat<T>(
    target: { readonly process: SimulatedProcess; readonly service: Service },
    act: (service: Service) => Promise<T>,
  ): void {
    this.#timeline.after(this.#random.next() * 3000, () => {
      if (!target.process.isAlive || target.process.isPaused) return;
      this.#trace.count('call delivered twice');
      this.#trace.note(`a call reaches ${target.process.name} a second time`);
      act(target.service).catch(() => {
        // Nobody waits for the answer to a copy.
      });
    });
  }

  #travel(): Promise<void> {
    const { slow, slowMs } = this.weather;
    return this.#timeline.pass(
      this.#chance(slow) ? this.#random.next() * slowMs : 0.2 + this.#random.next() * 2,
    );
  }

  #chance(of: number): boolean {
    return of > 0 && this.#random.next() < of;
  }
}

function unavailable(from: SimulatedProcess, to: string, facts: CallFacts, why: string): VarveError {
  return new VarveError('unavailable', `${facts.method} from ${from.name} at ${to}: ${why}`);
}

function told(result: unknown): string {
  const kind = (result as { readonly kind?: unknown } | null | undefined)?.kind;
  return typeof kind === 'string' ? kind : 'ok';
}
