import type { Random } from '../../core/ports/random.js';
import type { Cluster } from './cluster.js';
import type { IngestMember } from './ingest-member.js';

/** Kinds of trouble; each comes, lasts a while and goes. */
export type FaultKind =
  | 'power'
  | 'kill'
  | 'pause'
  | 'clock'
  | 'halves'
  | 'isolate'
  | 'one-way'
  | 'weather'
  | 'stores'
  | 'cut-from-stores'
  | 'slow-disk'
  | 'failing-disk'
  | 'compactor-crash'
  | 'compactor-pause'
  | 'compactor-clock';

/** Brings trouble upon a cluster. */
export class Faults {
  readonly #cluster: Cluster;
  readonly #random: Random;

  constructor(cluster: Cluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  /** Begins a fault that ends by itself, or with the healing of everything. */
  begin(kind: FaultKind): void {
    const node = this.#pick(this.#cluster.nodes);
    const compactor = this.#pick(this.#cluster.compactors);
    const begin: Readonly<Record<FaultKind, () => void>> = {
      power: () => this.#crash(node, 'power'),
      kill: () => this.#crash(node, 'kill'),
      pause: () => {
        node.pause();
        this.#later(9000, () => node.resume());
      },
      clock: () => node.stepWall(this.#jump()),
      halves: () => this.#cutHalves(),
      isolate: () => this.#isolate(node),
      'one-way': () => this.#cutOneWay(),
      weather: () => this.#badWeather(),
      stores: () => this.#badStores(),
      'cut-from-stores': () => this.#cutFromStores(),
      'slow-disk': () => this.#badDisk(node, { syncMs: 2500 }),
      'failing-disk': () => this.#badDisk(node, { syncFailure: 0.2 }),
      'compactor-crash': () => {
        compactor.crash();
        this.#later(6000, () => compactor.start());
      },
      // Longer than the lease lasts: it comes back believing that it still has it.
      'compactor-pause': () => {
        compactor.pause();
        this.#later(15_000, () => compactor.resume());
      },
      'compactor-clock': () => compactor.stepWall(this.#jump()),
    };
    this.#cluster.ground.trace.count(`fault ${kind}`);
    begin[kind]();
  }

  #crash(node: IngestMember, how: 'power' | 'kill'): void {
    node.crash(how);
    this.#later(8000, () => node.start());
  }

  #cutFromStores(): void {
    const { stores, trace } = this.#cluster.ground;
    const name = this.#pick(this.#cluster.processNames());
    trace.note(`${name} reaches no store`);
    stores.cutOff.add(name);
    this.#later(6000, () => stores.cutOff.delete(name));
  }

  #badStores(): void {
    const { stores, trace } = this.#cluster.ground;
    trace.note('the stores fail now and then');
    stores.weather = {
      refused: 0.02 + this.#random.next() * 0.08,
      answerLost: 0.02 + this.#random.next() * 0.08,
      slow: this.#random.next() * 0.2,
      slowMs: 1500,
    };
    this.#later(8000, () => stores.heal());
  }

  #badDisk({ disk, id }: IngestMember, trouble: { syncMs?: number; syncFailure?: number }): void {
    this.#cluster.ground.trace.note(`the disk of ${id} gets bad: ${JSON.stringify(trouble)}`);
    Object.assign(disk, trouble);
    this.#later(5000, () => disk.heal());
  }

  #badWeather(): void {
    const { network, trace } = this.#cluster.ground;
    trace.note('the network is bad');
    network.weather = {
      loss: this.#random.next() * 0.15,
      duplication: this.#random.next() * 0.2,
      slow: this.#random.next() * 0.2,
      slowMs: 2500,
    };
    this.#later(10_000, () => {
      network.weather = { loss: 0, duplication: 0, slow: 0, slowMs: 0 };
    });
  }

  #cutHalves(): void {
    const names = this.#cluster.processNames();
    const left = names.filter(() => this.#random.next() < 0.5);
    const right = names.filter((name) => !left.includes(name));
    this.#cluster.ground.trace.note(`partition: ${left.join(' ')} | ${right.join(' ')}`);
    for (const one of left) for (const other of right) this.#cut(one, other, true);
    this.#later(12_000, () => this.#cluster.ground.network.joinAll());
  }

  #isolate({ id }: IngestMember): void {
    this.#cluster.ground.trace.note(`partition: ${id} | everyone else`);
    for (const other of this.#cluster.processNames()) if (other !== id) this.#cut(id, other, true);
    this.#later(12_000, () => this.#cluster.ground.network.joinAll());
  }

  #cutOneWay(): void {
    const from = this.#pick(this.#cluster.processNames());
    const to = this.#pick(this.#cluster.nodes).id;
    if (from === to) return;
    this.#cluster.ground.trace.note(`nothing goes from ${from} to ${to}`);
    this.#cut(from, to, false);
    this.#later(10_000, () => this.#cluster.ground.network.joinAll());
  }

  #cut(one: string, other: string, bothWays: boolean): void {
    this.#cluster.ground.network.cut(one, other);
    if (bothWays) this.#cluster.ground.network.cut(other, one);
  }

  /** Mostly little; sometimes more than the clocks of a cluster may differ. */
  #jump(): number {
    const most = this.#random.next() < 0.7 ? 1500 : 20_000;
    return Math.round((this.#random.next() * 2 - 1) * most);
  }

  #pick<T>(among: readonly T[]): T {
    const picked = among[Math.floor(this.#random.next() * among.length)];
    if (picked === undefined) throw new Error('picking from nothing');
    return picked;
  }

  #later(mostMs: number, run: () => void): void {
    this.#cluster.ground.timeline.after(200 + this.#random.next() * mostMs, run);
  }
}
