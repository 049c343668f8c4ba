import type { DatabaseSettings } from '../../core/catalog/types.js';
import type { NodeId } from '../../core/model/batch.js';
import { CompactorMember } from './compactor-member.js';
import { Ground } from './ground.js';
import { IngestMember } from './ingest-member.js';
import type { Mutations } from './mutations.js';
import { QuerierMember } from './querier-member.js';

/** How large a cluster is and how its database is set up. */
export interface ClusterShape {
  readonly nodes: number;
  readonly compactors: number;
  readonly settings: DatabaseSettings;
  /** Greatest skew of a clock at the start. */
  readonly skewMs: number;
}

/** A whole cluster in one thread: real code on simulated clocks, disks, stores and network. */
export class Cluster {
  readonly ground: Ground;
  /** Greatest skew of a clock at its start. */
  readonly skewMs: number;
  readonly #nodes: IngestMember[];
  /** Ids of nodes that were not there from the beginning. */
  readonly joined: NodeId[] = [];
  readonly compactors: readonly CompactorMember[];
  readonly querier: QuerierMember;

  constructor(seed: number, shape: ClusterShape, mutations: Mutations) {
    this.ground = new Ground(seed, shape.settings, mutations);
    this.skewMs = shape.skewMs;
    const random = this.ground.random();
    const skew = (): number => Math.round((random.next() * 2 - 1) * shape.skewMs);
    const names = Array.from({ length: shape.nodes }, (_, index) => `node${index + 1}`);
    this.#nodes = names.map((name) => new IngestMember(this.ground, name, skew()));
    this.compactors = Array.from(
      { length: shape.compactors },
      (_, index) => new CompactorMember(this.ground, `compactor${index + 1}`, skew()),
    );
    this.querier = new QuerierMember(this.ground, 'querier1');
  }

  get nodes(): readonly IngestMember[] {
    return this.#nodes;
  }

  /** A node that nobody has heard of starts, its clock off by `skewMs`. */
  join(skewMs: number): void {
    const node = new IngestMember(this.ground, `node${this.#nodes.length + 1}`, skewMs);
    this.ground.trace.note(`${node.id} joins`);
    this.#nodes.push(node);
    this.joined.push(node.id);
    node.start();
  }

  /** Names by which the network knows who runs now. */
  processNames(): string[] {
    const compactors = this.compactors.flatMap(({ processName }) => processName ?? []);
    return [...this.nodes.map((node) => String(node.id)), ...compactors, this.querier.process.name];
  }

  start(): void {
    for (const node of this.nodes) node.start();
    for (const compactor of this.compactors) compactor.start();
  }

  /** Every process ends, so that nothing keeps the cluster alive. */
  stop(): void {
    for (const node of this.nodes) node.stop();
    for (const compactor of this.compactors) compactor.crash();
    this.querier.process.end(new Error('the run has ended'));
  }

  /** Everything is as it should be from now on: no fault, and everyone runs. */
  heal(): void {
    this.ground.trace.note('everything heals');
    this.ground.network.heal();
    this.ground.stores.heal();
    for (const node of this.nodes) node.heal();
    for (const compactor of this.compactors) compactor.heal();
  }
}
