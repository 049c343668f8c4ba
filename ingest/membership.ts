import type { HeartbeatResult } from '../core/catalog/node-catalog.js';
import type { HintBacklog, NodeRecord } from '../core/catalog/types.js';
import type { NodeId } from '../core/model/batch.js';
import type { Clock } from '../core/ports/clock.js';
import { errorMessage } from '../core/std/errors.js';
import type { Logger } from '../core/std/logger.js';

export interface MembershipOptions {
  readonly node: NodeId;
  /** This start of the node. */
  readonly epoch: number;
  /** NodeCatalog. */
  readonly nodes: {
    heartbeat(
      node: NodeId,
      epoch: number,
      signal?: AbortSignal,
      hints?: HintBacklog,
    ): Promise<HeartbeatResult>;
  };
  readonly clock: Clock;
  readonly logger: Logger;
  /** The node has been started again elsewhere: two of one name would part its points, so this process must end. */
  readonly onSuperseded: (by: number) => void;
  readonly intervalMs: number;
  /** Told of the node's record after every heartbeat: an operator may have changed its state. */
  readonly onNoted?: (record: NodeRecord) => void;
  /** What the node keeps for others, for its record. */
  readonly hints?: () => HintBacklog;
}

/** Says to the catalog, again and again, that this start of the node lives; learns there if another has taken its place. */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #stopping = new AbortController();
  #problem: string | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** Begins the heartbeats. */
  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** What is wrong, for /ready. */
  problems(): string[] {
    return this.#problem === undefined ? [] : [this.#problem];
  }

  async #run(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      if ((await this.#beat(signal)) === 'superseded') return;
      await clock.sleep(intervalMs, signal).catch(() => {});
    }
  }

  async #beat(signal: AbortSignal): Promise<'goes-on' | 'superseded'> {
    const { node, epoch, nodes, logger, onSuperseded, onNoted, hints } = this.#options;
    try {
      const result = await nodes.heartbeat(node, epoch, signal, hints?.());
      this.#problem = undefined;
      if (result.kind === 'noted') {
        onNoted?.(result.record);
        return 'goes-on';
      }
      onSuperseded(result.by);
      return 'superseded';
    } catch (error) {
      if (signal.aborted) return 'goes-on';
      this.#problem = `the heartbeat of node ${node} could not be noted: ${errorMessage(error)}`;
      logger.warn({ node, error: errorMessage(error) }, 'could not note a heartbeat; it is tried again');
      return 'goes-on';
    }
  }
}
