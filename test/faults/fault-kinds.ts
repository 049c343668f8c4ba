import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../core/ports/random.js';
import type { LinkState } from '../support/tcp-proxy.js';
import { canMountVolumes, type FaultCluster } from './fault-cluster.js';

/** Something that goes wrong for a while. */
export interface Fault {
  readonly name: string;
  /** Breaks things; what it answers mends them. */
  apply(cluster: FaultCluster, random: Random): Promise<() => Promise<void>>;
}

/** Every kind of fault that can be made here, and the names of those that cannot. */
export function faultKinds(): { readonly kinds: readonly Fault[]; readonly left: readonly string[] } {
  return canMountVolumes
    ? { kinds: [...plainKinds, diskFull], left: [] }
    : { kinds: plainKinds, left: [diskFull.name] };
}

const heal = (cluster: FaultCluster) => async (): Promise<void> => cluster.healLinks();

/** A fault of every link of one node, in both directions. */
function linkFault(name: string, state: (random: Random) => Partial<LinkState>): Fault {
  return {
    name,
    apply: async (cluster, random) => {
      const node = pick(random, cluster.nodes);
      const link = state(random);
      for (const caller of cluster.callers) {
        if (caller === node) for (const other of cluster.nodes) cluster.setLink(node, other, link);
        else cluster.setLink(caller, node, link);
      }
      return heal(cluster);
    },
  };
}

const halves: Fault = {
  name: 'partition in halves',
  apply: async (cluster, random) => {
    const alone = pick(random, cluster.nodes);
    const isAlone = new Map(
      cluster.callers.map((name) => [
        name,
        cluster.nodes.includes(name) ? name === alone : random.next() < 0.5,
      ]),
    );
    for (const caller of cluster.callers) {
      for (const node of cluster.nodes) {
        if (isAlone.get(caller) !== isAlone.get(node)) cluster.setLink(caller, node, { isCut: true });
      }
    }
    return heal(cluster);
  },
};

const oneWay: Fault = {
  name: 'cut in one direction',
  apply: async (cluster, random) => {
    const from = pick(random, cluster.nodes);
    const to = pick(
      random,
      cluster.nodes.filter((node) => node !== from),
    );
    cluster.setLink(from, to, { isCut: true });
    return heal(cluster);
  },
};

function killed(name: string, count: (nodes: number) => number): Fault {
  return {
    name,
    apply: async (cluster, random) => {
      const dead = shuffled(random, cluster.nodes).slice(0, count(cluster.nodes.length));
      await Promise.all(dead.map((node) => cluster.end(node, 'SIGKILL')));
      return async () => {
        for (const node of dead) await cluster.startNode(node);
      };
    },
  };
}

function paused(name: string, choose: (cluster: FaultCluster, random: Random) => string): Fault {
  return {
    name,
    apply: async (cluster, random) => {
      const process = choose(cluster, random);
      cluster.pause(process, true);
      return async () => cluster.pause(process, false);
    },
  };
}

const compactorKilled: Fault = {
  name: 'compactor killed (SIGKILL)',
  apply: async (cluster) => {
    await cluster.end('compactor', 'SIGKILL');
    return () => cluster.startCompactor();
  },
};

const rolling: Fault = {
  name: 'rolling restart (SIGTERM)',
  apply: async (cluster, random) => {
    for (const node of shuffled(random, cluster.nodes)) {
      await cluster.end(node, 'SIGTERM');
      await cluster.startNode(node);
      await sleep(500);
    }
    return async () => {};
  },
};

const diskFull: Fault = {
  name: 'disk of a node full',
  apply: async (cluster, random) => {
    const node = pick(random, cluster.nodes);
    cluster.fillVolume(node, true);
    return async () => {
      cluster.fillVolume(node, false);
      // A log that could not be synced ends its process, which is right: it is started again, as a supervisor would.
      if (!cluster.isRunning(node)) await cluster.startNode(node);
    };
  },
};

const plainKinds: readonly Fault[] = [
  linkFault('node cut off', () => ({ isCut: true })),
  halves,
  oneWay,
  linkFault('links of a node stall', () => ({ isStalled: true })),
  linkFault('links of a node are slow', (random) => ({ delayMs: 50 + random.next() * 400 })),
  linkFault('links of a node take little', () => ({ bytesPerSecond: 50_000 })),
  killed('node killed (SIGKILL)', () => 1),
  killed('two nodes killed', () => 2),
  killed('all nodes killed', (nodes) => nodes),
  paused('node stopped (SIGSTOP)', (cluster, random) => pick(random, cluster.nodes)),
  paused('compactor stopped past its lease', () => 'compactor'),
  compactorKilled,
  rolling,
];

/** The values in an order of chance. */
export function shuffled<Value>(random: Random, values: readonly Value[]): Value[] {
  const rest = [...values];
  const taken: Value[] = [];
  while (rest.length > 0) taken.push(...rest.splice(Math.floor(random.next() * rest.length), 1));
  return taken;
}

function pick<Value>(random: Random, values: readonly Value[]): Value {
  const value = values[Math.floor(random.next() * values.length)];
  if (value === undefined) throw new Error('picked from nothing');
  return value;
}
