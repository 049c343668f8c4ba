import type { DatabaseSettings } from '../../core/catalog/types.js';
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
  readonly nodes: readonly IngestMember[];
  readonly compactors: readonly CompactorMember[];
  readonly querier: QuerierMember;

  constructor(seed: number, shape: ClusterShape, mutations: Mutations) {
    this.ground = new Ground(seed, shape.settings, mutations);
    const random = this.ground.random();
    const skew = (): number => Math.round((random.next() * 2 - 1) * shape.skewMs);
    const names = Array.from({ length: shape.nodes }, (_, index) => `node${index + 1}`);
    this.nodes = names.map((name) => new IngestMember(this.ground, name, skew()));
    this.compactors = Array.from(
      { length: shape.compactors },
      (_, index) => new CompactorMember(this.ground, `compactor${index + 1}`, skew()),
    );
    this.querier = new QuerierMember(this.ground, 'querier1');
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

  /** Everything is as it should be from now on: no fault, and everyone runs. */
  heal(): void {
    this.ground.trace.note('everything heals');
    this.ground.network.heal();
    this.ground.stores.heal();
    for (const node of this.nodes) node.heal();
    for (const compactor of this.compactors) compactor.heal();
  }
}
