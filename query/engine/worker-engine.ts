import { Worker } from 'node:worker_threads';
import type { Clock } from '../../core/ports/clock.js';
import { ChannelClient } from '../../core/std/channel.js';
import { errorMessage, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { workerUrl } from '../../core/std/worker-url.js';
import { engineChannel, readHead, stuckMessage } from './engine-channel.js';
import type { EngineOptions } from './engine-settings.js';
import type {
  EngineAnswer,
  EvaluateRequest,
  ExecuteRequest,
  ParsedSql,
  QueryEngine,
} from './query-engine.js';

interface RunningWorker {
  readonly worker: Worker;
  readonly client: ChannelClient;
}

/** Each engine that is stuck keeps one of the few threads of Node's pool, which the WAL needs for its syncs. */
const stuckMax = 2;
/** How long its thread may take to end, milliseconds. */
const endMsMax = 2000;

/**
 * The engine in a worker thread of its own. If the thread ends or is stuck, the queries on it fail with `unavailable`
 * and the next one starts a new thread: the engine holds no state that a query needs later.
 */
export class WorkerEngine implements QueryEngine {
  readonly #options: EngineOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #running: Promise<RunningWorker> | undefined;
  #closed = false;
  #stuck = 0;

  constructor(options: EngineOptions, clock: Clock, logger: Logger) {
    this.#options = options;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Starts the thread now, so that the first query does not wait for it. */
  async start(): Promise<void> {
    await this.#client();
  }

  async parse(sql: string, signal?: AbortSignal): Promise<ParsedSql> {
    return (await this.#client()).call<ParsedSql>('parse', sql, signal);
  }

  async tableNames(sql: string, signal?: AbortSignal): Promise<readonly string[]> {
    return (await this.#client()).call<readonly string[]>('tableNames', sql, signal);
  }

  async print(ast: string, signal?: AbortSignal): Promise<string> {
    return (await this.#client()).call<string>('print', ast, signal);
  }

  async evaluate(request: EvaluateRequest, signal?: AbortSignal): Promise<readonly (bigint | null)[]> {
    return (await this.#client()).call<readonly (bigint | null)[]>('evaluate', request, signal);
  }

  async execute(request: ExecuteRequest, signal?: AbortSignal): Promise<EngineAnswer> {
    // Hot rows are moved, not copied: each piece owns its buffer, and the caller is done with it.
    const moved = request.hotScans.flatMap((scan) =>
      scan.streams.flat().map((piece) => piece.buffer as ArrayBuffer),
    );
    const pieces = (await this.#client()).stream('execute', request, signal, moved);
    const first = await pieces.next();
    if (first.done === true) throw new VarveError('internal', 'query: the engine gave no head of an answer');
    const { columns, body } = readHead(first.value);
    return { columns, body: preceded(body, pieces) };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const running = await this.#running?.catch(() => undefined);
    running?.client.close('the engine was closed');
    const ended = running?.worker.terminate();
    if (ended === undefined) return;
    if ((await Promise.race([ended, this.#clock.sleep(endMsMax).then(() => 'not yet')])) !== 'not yet')
      return;
    this.#logger.error({}, 'the thread of the query engine does not end; the process may have to be killed');
  }

  async #client(): Promise<ChannelClient> {
    if (this.#closed) throw new VarveError('unavailable', 'query: the engine was closed');
    if (this.#stuck >= stuckMax) {
      throw new VarveError(
        'unavailable',
        `query: the engine got stuck ${this.#stuck} times; want this process to be started anew`,
      );
    }
    this.#running ??= this.#spawn();
    return (await this.#running).client;
  }

  #spawn(): Promise<RunningWorker> {
    const worker = new Worker(workerUrl(import.meta.url, './engine-worker.js'), {
      workerData: this.#options,
    });
    const client = new ChannelClient(worker, engineChannel);
    let stuckHere = 0;
    const running = new Promise<RunningWorker>((resolve, reject) => {
      worker.once('message', () => resolve({ worker, client }));
      worker.on('message', (message) => {
        if (message !== stuckMessage) return;
        stuckHere += 1;
        this.#stuck += 1;
        this.#logger.error(
          { stuck: this.#stuck, of: stuckMax },
          'the query engine does not let go of a query that was left; the next query gets another engine, a thread is lost',
        );
        if (this.#running === running) this.#running = undefined;
        client.close('the engine is stuck');
        worker.unref();
      });
      worker.on('error', (error) => {
        this.#logger.error({ error: errorMessage(error) }, 'the query engine failed');
        reject(new VarveError('unavailable', `query: the engine could not start: ${errorMessage(error)}`));
      });
      worker.once('exit', (code) => {
        this.#stuck -= stuckHere;
        // A later worker may stand here already.
        if (this.#running === running) this.#running = undefined;
        client.close(`the engine ended with code ${code}`);
        reject(
          new VarveError('unavailable', `query: the engine ended with code ${code} before it was ready`),
        );
      });
    });
    return running;
  }
}

/** A piece that has been taken already, then the rest; leaving it leaves the source. */
function preceded(piece: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncIterable<Uint8Array> {
  let isTaken = piece.length === 0;
  const iterator: AsyncIterator<Uint8Array> = {
    next: async () => {
      if (isTaken) return rest.next();
      isTaken = true;
      return { done: false, value: piece };
    },
    return: () => rest.return(undefined),
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
