import { defaultDatabaseSettings } from '../../core/catalog/database-settings.js';
import type { ConsistencyLevel } from '../../core/catalog/types.js';
import { nsPerMs } from '../../core/model/window.js';
import type { Random } from '../../core/ports/random.js';
import type { ClusterShape } from './cluster.js';
import type { FaultKind } from './faults.js';
import type { Ledger, WrittenRow } from './ledger.js';
import type { OperationKind } from './operations.js';

/** Tables that clients write. */
export const tables = ['cpu', 'disk'] as const;

const hosts = ['h1', 'h2', 'host-three-with-a-long-name', 'h4', 'h5'];
const daysMs = 86_400_000;

/** What kinds of trouble a run has, by weight. */
export interface Profile {
  readonly name: string;
  /** Part of the steps that bring trouble. */
  readonly trouble: number;
  readonly faults: readonly (readonly [FaultKind, number])[];
}

const profiles: readonly Profile[] = [
  { name: 'calm', trouble: 0, faults: [] },
  {
    name: 'network',
    trouble: 0.07,
    faults: [
      ['halves', 3],
      ['isolate', 3],
      ['one-way', 3],
      ['weather', 4],
      ['pause', 1],
    ],
  },
  {
    name: 'crashes',
    trouble: 0.07,
    faults: [
      ['power', 4],
      ['kill', 3],
      ['pause', 2],
      ['slow-disk', 2],
      ['failing-disk', 2],
      ['compactor-crash', 2],
    ],
  },
  {
    name: 'stores',
    trouble: 0.08,
    faults: [
      ['stores', 5],
      ['cut-from-stores', 3],
      ['compactor-pause', 3],
      ['compactor-crash', 3],
      ['compactor-clock', 1],
      ['kill', 1],
    ],
  },
  {
    name: 'clocks',
    trouble: 0.08,
    faults: [
      ['clock', 6],
      ['compactor-clock', 3],
      ['power', 1],
      ['pause', 1],
    ],
  },
  {
    name: 'chaos',
    trouble: 0.1,
    faults: [
      ['power', 3],
      ['kill', 2],
      ['pause', 2],
      ['clock', 2],
      ['halves', 2],
      ['isolate', 2],
      ['one-way', 2],
      ['weather', 2],
      ['stores', 2],
      ['cut-from-stores', 2],
      ['slow-disk', 1],
      ['failing-disk', 1],
      ['compactor-crash', 2],
      ['compactor-pause', 2],
      ['compactor-clock', 1],
    ],
  },
];

/** What a step does. */
export type StepKind = 'write' | 'read' | 'pin' | 'operation' | 'trouble';

/** Decides what happens in a run: everything from the seed. */
export class Scenario {
  readonly shape: ClusterShape;
  readonly profile: Profile;
  readonly #random: Random;
  readonly #levels: readonly ConsistencyLevel[];
  /** What was last written through each node. */
  readonly #written = new Map<string, readonly WrittenRow[]>();

  constructor(random: Random) {
    this.#random = random;
    this.profile = this.pick(profiles);
    const nodes = this.pick([3, 3, 3, 4, 5, 7]);
    this.shape = {
      nodes,
      compactors: this.pick([1, 2, 2, 3]),
      skewMs: this.pick([0, 200, 900]),
      settings: {
        ...defaultDatabaseSettings,
        windowMs: this.pick([10_000, 20_000, 20_000, 60_000]),
        graceMs: this.pick([2000, 5000]),
        lateDelayMs: this.pick([3000, 8000]),
        historyMs: 30_000,
        replication: this.pick([1, 2, 3, 3, 3]),
        shards: this.pick([1, 1, 2, 3]),
      },
    };
    this.#levels = this.pick<readonly ConsistencyLevel[]>([
      ['quorum'],
      ['quorum', 'all'],
      ['any', 'one', 'quorum', 'all'],
      ['one', 'quorum'],
    ]);
  }

  /** Whether clocks may jump far. */
  get hasClockFaults(): boolean {
    return this.profile.faults.some(([kind]) => kind.endsWith('clock'));
  }

  next(): number {
    return this.#random.next();
  }

  pick<T>(among: readonly T[]): T {
    const picked = among[Math.floor(this.#random.next() * among.length)];
    if (picked === undefined) throw new Error('picking from nothing');
    return picked;
  }

  /** Until the next step, ms: bursts and pauses. */
  gapMs(): number {
    const kind = this.next();
    if (kind < 0.3) return this.next() * 5;
    return kind < 0.95 ? this.next() * 600 : this.next() * 5000;
  }

  step(): StepKind {
    const drawn = this.next();
    if (drawn < this.profile.trouble) return 'trouble';
    const kind = this.next();
    if (kind < 0.68) return 'write';
    if (kind < 0.93) return 'read';
    return kind < 0.97 ? 'pin' : 'operation';
  }

  fault(): FaultKind {
    const { faults } = this.profile;
    let left = this.next() * faults.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [kind, weight] of faults) {
      left -= weight;
      if (left < 0) return kind;
    }
    return 'pause';
  }

  operation(): OperationKind {
    return this.pick(['seal-now', 'seal-now', 'truncate', 'truncate', 'drain', 'lose', 'join']);
  }

  level(): ConsistencyLevel {
    return this.pick(this.#levels);
  }

  /** Rows of one request, each of a point of its own; some requests write once more what the same node wrote lately. */
  rows(node: string, nowMs: number, ledger: Ledger): readonly WrittenRow[] {
    const lately = this.#written.get(node);
    const rows =
      lately !== undefined && this.next() < 0.25 ? this.#again(lately, ledger) : this.#new(nowMs, ledger);
    this.#written.set(node, rows);
    return rows;
  }

  #again(rows: readonly WrittenRow[], ledger: Ledger): WrittenRow[] {
    return rows.map(({ table, point }) => {
      const fields = Object.fromEntries(Object.keys(point.fields).map((name) => [name, ledger.nextValue()]));
      return { table, point: { ...point, fields } };
    });
  }

  #new(nowMs: number, ledger: Ledger): WrittenRow[] {
    const rows = new Map<string, WrittenRow>();
    const count = 1 + Math.floor(this.next() * 5);
    for (let index = 0; index < count; index++) {
      const table = this.pick(tables);
      const host = this.pick(hosts);
      const timeNs = BigInt(this.#timeMs(nowMs)) * nsPerMs;
      const fields: Record<string, number> = {};
      const which = this.next();
      if (which < 0.7) fields['a'] = ledger.nextValue();
      if (which > 0.4) fields['b'] = ledger.nextValue();
      rows.set(`${table} ${host} ${timeNs}`, { table, point: { tags: { host }, timeNs, fields } });
    }
    return [...rows.values()];
  }

  /** Now, late by little or much, by days or years, or ahead; in whole seconds, so that points meet. */
  #timeMs(nowMs: number): number {
    const second = Math.floor(nowMs / 1000) * 1000;
    const kind = this.next();
    if (kind < 0.6) return second + Math.floor(this.next() * 6 - 4) * 1000;
    if (kind < 0.8) return second - Math.floor(this.next() * 30) * 1000;
    if (kind < 0.88) return second + Math.floor(this.next() * 30) * 1000;
    if (kind < 0.96) return second - Math.floor(this.next() * 3) * daysMs;
    return second - 900 * daysMs;
  }
}
