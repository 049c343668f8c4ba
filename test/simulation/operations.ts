import type { NodeId } from '../../core/model/batch.js';
import type { Random } from '../../core/ports/random.js';
import type { Cluster } from './cluster.js';
import { database } from './ground.js';
import type { IngestMember } from './ingest-member.js';
import type { SimulatedProcess } from './simulated-process.js';
import { reasonOf } from './start-node.js';

/** What operators do to a cluster. */
export type OperationKind = 'seal-now' | 'truncate' | 'drain' | 'lose' | 'join';

const retryMs = 1000;
/** Nodes that join in one run. */
const joinsMax = 2;

/** Operators: they settle early, cut windows, add and drain nodes, and declare lost what is gone for good. */
export class Operations {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #process: SimulatedProcess;
  #hasLost = false;
  #hasTakenOut = false;

  constructor(cluster: Cluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
    this.#process = cluster.ground.process('operator');
  }

  /** Whether a node was lost with its disk: what only it had is gone. */
  get hasLost(): boolean {
    return this.#hasLost;
  }

  async begin(kind: OperationKind, beforeNs: bigint): Promise<void> {
    const { compactors, ground } = this.#cluster;
    const compactor = this.#pick(compactors);
    switch (kind) {
      case 'seal-now':
        return compactor.ask('seal', (control) => control.sealBefore(database, beforeNs));
      case 'truncate':
        return compactor.ask('truncate', (control) => control.truncateShards(database));
      case 'drain':
        return this.#takeOut((node) => {
          ground.trace.note(`${node.id} is to be drained`);
          return this.#untilDone(node.id, (id) => ground.catalogsOf(this.#process).nodes.drain(id));
        });
      case 'join':
        if (this.#cluster.joined.length < joinsMax) this.#cluster.join(this.#skewMs());
        return;
      case 'lose':
        return this.#takeOut(async (node) => {
          this.#hasLost = true;
          node.loseForEver();
          await ground.timeline.pass(500 + this.#random.next() * 6000);
          await this.#untilDone(node.id, (id) => ground.catalogsOf(this.#process).nodes.forget(id));
        });
    }
  }

  /** One node less in each run, and only where the others can own what it owned. */
  async #takeOut(act: (node: IngestMember) => Promise<void>): Promise<void> {
    const { nodes, ground } = this.#cluster;
    // With one owner a lost node is lost data: nothing to be checked.
    if (this.#hasTakenOut || ground.settings.replication === 1) return;
    if (nodes.length <= ground.settings.replication) return;
    this.#hasTakenOut = true;
    await act(this.#pick(nodes));
  }

  async #untilDone(node: NodeId, act: (node: NodeId) => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await act(node);
        return;
      } catch (error) {
        this.#cluster.ground.trace.note(`the operator tries again: ${reasonOf(error)}`);
        await this.#cluster.ground.timeline.pass(retryMs);
      }
    }
  }

  #skewMs(): number {
    return Math.round((this.#random.next() * 2 - 1) * this.#cluster.skewMs);
  }

  #pick<T>(among: readonly T[]): T {
    const picked = among[Math.floor(this.#random.next() * among.length)];
    if (picked === undefined) throw new Error('picking from nothing');
    return picked;
  }
}
