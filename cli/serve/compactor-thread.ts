import { Worker } from 'node:worker_threads';
import { ChannelCompactor } from '../../compactor/channel.js';
import type {
  CompactorControl,
  CompactReport,
  SealReport,
  SettledStatus,
  TruncateReport,
  VerifyReport,
} from '../../compactor/compactor-control.js';
import { serveIngestChannel } from '../../core/adapters/channel-peer.js';
import type { Clock } from '../../core/ports/clock.js';
import type { HotReader } from '../../core/ports/hot-reader.js';
import type { Peer } from '../../core/ports/peer.js';
import { ChannelClient } from '../../core/std/channel.js';
import { errorMessage, VarveError } from '../../core/std/errors.js';
import type { Logger } from '../../core/std/logger.js';
import { workerUrl } from '../../core/std/worker-url.js';
import { type CompactorSetup, controlChannel, isNotice } from './compactor-setup.js';

const restartDelayMs = 1000;

/** The ingest node that the compactor seals from. */
export interface IngestOwner {
  readonly peer: Peer;
  readonly hotReader: HotReader;
}

interface RunningThread {
  readonly worker: Worker;
  readonly control: ChannelCompactor;
  readonly internals: ChannelClient;
  readonly started: Promise<void>;
}

/**
 * The compactor in a thread of its own, seen from the main thread. A thread that ends by itself is started again, and
 * until it is back the process says that it is not ready: a compactor never halts while it looks alive.
 */
export class CompactorThread implements CompactorControl {
  readonly #setup: CompactorSetup;
  #owner: IngestOwner | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onFatal: (reason: string) => void;
  #running: RunningThread | undefined;
  #stopping = false;

  constructor(options: {
    readonly setup: CompactorSetup;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly onFatal: (reason: string) => void;
  }) {
    this.#setup = options.setup;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onFatal = options.onFatal;
  }

  /** Starts the thread, which reaches the ingest node of this process as `owner`. */
  async start(owner: IngestOwner): Promise<void> {
    this.#owner = owner;
    await this.#spawn(owner).started;
  }

  /** What is wrong with the thread, for /ready. */
  problems(): string[] {
    return this.#running === undefined ? ['the compactor has ended and is being started again'] : [];
  }

  async sealBefore(database: string, beforeNs: bigint, signal?: AbortSignal): Promise<SealReport> {
    return this.#control().sealBefore(database, beforeNs, signal);
  }

  async truncateShards(database: string | null, signal?: AbortSignal): Promise<readonly TruncateReport[]> {
    return this.#control().truncateShards(database, signal);
  }

  async compact(database: string, table: string | null, signal?: AbortSignal): Promise<CompactReport> {
    return this.#control().compact(database, table, signal);
  }

  async verify(database: string, table: string | null, signal?: AbortSignal): Promise<VerifyReport> {
    return this.#control().verify(database, table, signal);
  }

  async status(database: string, signal?: AbortSignal): Promise<SettledStatus> {
    return this.#control().status(database, signal);
  }

  /** The thread's metrics as Prometheus text; empty while it is not running. */
  async metrics(): Promise<string> {
    return this.#running === undefined ? '' : this.#running.internals.call<string>('metrics', null);
  }

  /** Ends the work at its next safe point, then the thread. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const running = this.#running;
    if (running === undefined) return;
    await running.internals.call('stop', null);
    await running.worker.terminate();
  }

  #control(): ChannelCompactor {
    if (this.#running !== undefined) return this.#running.control;
    throw new VarveError('unavailable', 'the compactor is being started', { retryAfterSeconds: 1 });
  }

  #spawn(owner: IngestOwner): RunningThread {
    const worker = new Worker(workerUrl(import.meta.url, './compactor-worker.js'), {
      workerData: this.#setup,
    });
    const stopServing = serveIngestChannel(worker, owner);
    const control = new ChannelCompactor(worker);
    const internals = new ChannelClient(worker, controlChannel);
    const started = new Promise<void>((resolve, reject) => {
      worker.on('message', (value: unknown) => {
        if (!isNotice(value)) return;
        if (value.notice === 'started') resolve();
        else this.#onFatal(value.reason);
      });
      worker.once('error', (error) => {
        this.#logger.error({ error: errorMessage(error) }, 'the compactor failed');
        reject(error);
      });
      worker.once('exit', (code) => {
        stopServing();
        control.close(`its thread ended with code ${code}`);
        internals.close(`its thread ended with code ${code}`);
        this.#running = undefined;
        reject(new VarveError('unavailable', `the compactor ended with code ${code} before it was ready`));
        if (!this.#stopping) void this.#restart();
      });
    });
    this.#running = { worker, control, internals, started };
    return this.#running;
  }

  async #restart(): Promise<void> {
    await this.#clock.sleep(restartDelayMs);
    if (this.#stopping || this.#owner === undefined) return;
    this.#logger.warn({}, 'starting the compactor again');
    // A failure to start ends the thread, which brings us here again.
    await this.#spawn(this.#owner).started.catch((error: unknown) =>
      this.#logger.error({ error: errorMessage(error) }, 'the compactor did not start'),
    );
  }
}
