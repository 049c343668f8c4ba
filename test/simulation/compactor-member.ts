import { Compactor } from '../../compactor/compactor.js';
import type { CompactorControl } from '../../compactor/compactor-control.js';
import { type CompactorSettings, defaultCompactorSettings } from '../../compactor/compactor-settings.js';
import { noCompactorMetrics } from '../../compactor/metrics.js';
import { errorMessage } from '../../core/std/errors.js';
import { silentLogger } from '../../core/std/logger.js';
import type { Ground } from './ground.js';
import { remoteNode } from './remote-node.js';
import type { SimulatedProcess } from './simulated-process.js';

const settings: CompactorSettings = {
  ...defaultCompactorSettings,
  leaseTtlMs: 4000,
  tickMs: 500,
  upkeepMs: 3000,
  upkeepIdleMs: 20_000,
  releaseGraceMs: 1500,
  patienceMs: 5000,
  nodeSilenceMs: 4000,
  retryMsMax: 3000,
  merge: { ...defaultCompactorSettings.merge, fanIn: 2, quietMs: 0, dayDelayMs: 0 },
  expiry: { graceMs: 10_000, orphanScanMs: 15_000 },
};

/** A compactor: a process without a disk, started again under another name whenever it has ended. */
export class CompactorMember {
  readonly name: string;
  readonly #ground: Ground;
  #starts = 0;
  #skewMs: number;
  #process: SimulatedProcess | undefined;
  #compactor: Compactor | undefined;

  constructor(ground: Ground, name: string, skewMs: number) {
    this.name = name;
    this.#ground = ground;
    this.#skewMs = skewMs;
  }

  /** The name of the running process, for partitions; undefined when none runs. */
  get processName(): string | undefined {
    return this.#process?.name;
  }

  start(): void {
    if (this.#process !== undefined) return;
    this.#starts += 1;
    const ground = this.#ground;
    const { mutations, network } = ground;
    const process = ground.process(`${this.name}/${this.#starts}`, this.#skewMs);
    this.#process = process;
    ground.trace.note(`${process.name} starts`);
    const meta = ground.stores.metaOf(process);
    const catalogs = ground.catalogsOf(process, mutations.compactorMeta?.(meta) ?? meta);
    const compactor = new Compactor({
      catalog: mutations.compactorCatalog?.(catalogs) ?? catalogs,
      settled: ground.settledOf(process, catalogs),
      objects: ground.stores.objectsOf(process),
      peers: (node) => {
        const service = remoteNode(network, process, node);
        return mutations.ownerOfCompactor?.(service) ?? service;
      },
      clock: process,
      logger: silentLogger,
      metrics: noCompactorMetrics,
      holder: process.name,
      onFatal: (error) => {
        ground.fatal(process.name, error);
        this.crash();
        ground.timeline.after(1000, () => this.start());
      },
      settings: mutations.compactorSettings?.(settings) ?? settings,
    });
    this.#compactor = compactor;
    compactor.start();
  }

  /** Asks the compactor for something; whether it did it is seen in the catalog. */
  async ask(what: string, act: (control: CompactorControl) => Promise<unknown>): Promise<void> {
    const process = this.#process;
    if (process === undefined || this.#compactor === undefined) return;
    this.#ground.trace.note(`${process.name} is told to ${what}`);
    try {
      await process.orEnd(process.gate(act(this.#compactor)));
    } catch (error) {
      this.#ground.trace.note(`${process.name} cannot ${what}: ${errorMessage(error)}`);
      this.#ground.inspect(process.name, error);
    }
  }

  crash(): void {
    if (this.#process === undefined) return;
    this.#ground.trace.note(`${this.#process.name} ends`);
    this.#process.end(new Error(`${this.#process.name} has ended`));
    this.#process = undefined;
    this.#compactor = undefined;
  }

  pause(): void {
    this.#ground.trace.note(`${this.name} is paused`);
    this.#process?.pause();
  }

  resume(): void {
    if (this.#process?.isPaused !== true) return;
    this.#ground.trace.note(`${this.name} goes on`);
    this.#process.resume();
  }

  stepWall(byMs: number): void {
    this.#ground.trace.note(`the clock of ${this.name} jumps by ${byMs} ms`);
    this.#skewMs += byMs;
    this.#process?.stepWall(byMs);
  }

  heal(): void {
    this.#skewMs = 0;
    this.#process?.setSkew(0);
    this.resume();
    this.start();
  }
}
