import { parseNodeId } from '../../core/catalog/node-catalog.js';
import type { NodeId } from '../../core/model/batch.js';
import type { IngestNode } from '../../ingest/ingest-node.js';
import type { Ground } from './ground.js';
import { SimulatedDisk } from './simulated-disk.js';
import type { SimulatedProcess } from './simulated-process.js';
import { startNode } from './start-node.js';

const restartMs = 1000;

/** One start of an ingest node that has recovered. */
interface Started {
  readonly process: SimulatedProcess;
  readonly node: IngestNode;
}

/** An ingest node: a machine with a disk, on which a process is started again whenever it has ended. */
export class IngestMember {
  readonly id: NodeId;
  readonly disk: SimulatedDisk;
  readonly #ground: Ground;
  #skewMs: number;
  #process: SimulatedProcess | undefined;
  #started: Started | undefined;
  #isGone = false;
  #takesWrites = true;
  #writesUnderWay = 0;

  constructor(ground: Ground, name: string, skewMs: number) {
    this.id = parseNodeId(name);
    this.disk = new SimulatedDisk(ground.timeline, ground.random());
    this.#ground = ground;
    this.#skewMs = skewMs;
  }

  /** The node if it takes writes. */
  get started(): Started | undefined {
    return this.#takesWrites ? this.#started : undefined;
  }

  /** A client's write to the node goes on until `write` has ended. */
  async during<T>(write: Promise<T>): Promise<T> {
    this.#writesUnderWay += 1;
    try {
      return await write;
    } finally {
      this.#writesUnderWay -= 1;
    }
  }

  /** It has left, or was lost: no process is ever started again. */
  get isGone(): boolean {
    return this.#isGone;
  }

  get isPaused(): boolean {
    return this.#process?.isPaused === true;
  }

  /** Starts the process; it recovers from what its disk kept. */
  start(): void {
    if (this.#process !== undefined || this.#isGone) return;
    const process = this.#ground.process(this.id, this.#skewMs);
    this.#process = process;
    this.#ground.trace.note(`${this.id} starts`);
    this.#recover(process).catch((error: unknown) => this.#fail(process, error));
  }

  /** The machine is gone for ever, with its disk. */
  loseForEver(): void {
    this.#ground.trace.note(`${this.id} is lost for ever`);
    this.#ground.trace.count('node lost for ever');
    this.#isGone = true;
    this.#end('kill');
  }

  /** `power`: the machine ends, and what was not synced may be lost or torn. `kill`: only the process ends. */
  crash(how: 'power' | 'kill'): void {
    if (this.#process === undefined) return;
    this.#ground.trace.note(`${this.id} ends by ${how}`);
    this.#end(how);
  }

  /** The process ends, and none is started again. */
  stop(): void {
    this.#isGone = true;
    this.#end('kill');
  }

  pause(): void {
    this.#ground.trace.note(`${this.id} is paused`);
    this.#process?.pause();
  }

  resume(): void {
    if (this.#process?.isPaused !== true) return;
    this.#ground.trace.note(`${this.id} goes on`);
    this.#process.resume();
  }

  stepWall(byMs: number): void {
    this.#ground.trace.note(`the clock of ${this.id} jumps by ${byMs} ms`);
    this.#skewMs += byMs;
    this.#process?.stepWall(byMs);
  }

  /** The clock is right again. */
  heal(): void {
    this.#skewMs = 0;
    this.#process?.setSkew(0);
    this.disk.heal();
    this.resume();
    this.start();
  }

  #end(how: 'power' | 'kill'): void {
    this.#process?.end(new Error(`${this.id} has ended`));
    this.#process = undefined;
    this.#started = undefined;
    this.#takesWrites = true;
    if (how === 'power') this.disk.disk.crash(this.#ground.random());
    else this.disk.disk.kill();
  }

  /** The process ends itself and is started again. */
  #fail(process: SimulatedProcess, error: unknown): void {
    if (this.#process !== process) return;
    this.#ground.fatal(this.id, error);
    this.#end('kill');
    if (this.#isGone) return;
    this.#ground.timeline.after(restartMs, () => this.start());
  }

  async #recover(process: SimulatedProcess): Promise<void> {
    const { id } = this;
    const ground = this.#ground;
    const started = await startNode({
      ground,
      id,
      process,
      disk: this.disk.of(process),
      onFatal: (error) => this.#fail(process, error),
      stopWrites: async () => {
        this.#takesWrites = false;
        while (this.#writesUnderWay > 0) await process.sleep(100);
      },
      onLeft: () => this.#leave(process),
    });
    if (!process.isAlive) return;
    this.#started = { process, node: started };
    const { batchesRestored, batchesDropped } = started.recovery;
    ground.trace.note(`${id} serves: ${batchesRestored} restored, ${batchesDropped} dropped`);
  }

  /** It was drained and holds nothing any more. */
  #leave(process: SimulatedProcess): void {
    if (this.#process !== process) return;
    this.#ground.trace.note(`${this.id} has left the cluster`);
    this.#ground.trace.count('node left');
    this.#isGone = true;
    this.#end('kill');
  }
}
