import { SeededRandom } from '../../core/adapters/random-seeded.js';
import { ownersOf } from '../../core/catalog/group-list.js';
import type { ConsistencyLevel, ShardGroup } from '../../core/catalog/types.js';
import { nsPerMs } from '../../core/model/window.js';
import { isVarveError } from '../../core/std/errors.js';
import { Violation } from './catalog-watch.js';
import { checkAnswer, checkHistory, checkOrder, type Truth } from './checks.js';
import { Clients } from './clients.js';
import { Cluster } from './cluster.js';
import { Faults } from './faults.js';
import { type Mutations, noMutations } from './mutations.js';
import { Operations } from './operations.js';
import type { AnswerPoints } from './querier-member.js';
import { Scenario, tables } from './scenario.js';
import { startMs } from './simulated-process.js';
import { reasonOf } from './start-node.js';

export interface SimulationOptions {
  readonly seed: number;
  /** Steps of the workload before everything heals. */
  readonly steps?: number;
  readonly mutations?: Mutations;
  /** Lines of the trace to keep for the result. */
  readonly tailLines?: number;
}

export interface SimulationResult {
  readonly seed: number;
  readonly profile: string;
  /** Equal for equal runs. */
  readonly traceHash: string;
  readonly events: number;
  readonly writes: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly answered: number;
  /** How often this and that happened. */
  readonly counts: ReadonlyMap<string, number>;
  /** What went wrong; null when nothing did. */
  readonly violation: string | null;
  /** What happened last. */
  readonly tail: readonly string[];
}

const stepsDefault = 80;
/** Simulated time within which everything must be settled once nothing is wrong any more. */
const settleMsMax = 180_000;
/** After this long without faults owners are alike. */
const convergeMs = 18_000;
const tailLinesDefault = 80;

/** Runs one cluster from start to settled history. Everything in it follows from the seed. */
export async function runSimulation(options: SimulationOptions): Promise<SimulationResult> {
  return new Run(options).run();
}

interface Pinned {
  readonly table: string;
  readonly snapshotId: string;
  readonly points: AnswerPoints;
  readonly atMs: number;
}

class Run {
  readonly #options: SimulationOptions;
  readonly #scenario: Scenario;
  readonly #cluster: Cluster;
  readonly #clients: Clients;
  readonly #faults: Faults;
  readonly #operations: Operations;
  readonly #pinned: Pinned[] = [];
  #reads = 0;
  #answered = 0;

  constructor(options: SimulationOptions) {
    const random = new SeededRandom(options.seed);
    this.#options = options;
    this.#scenario = new Scenario(random);
    this.#cluster = new Cluster(options.seed, this.#scenario.shape, options.mutations ?? noMutations);
    this.#clients = new Clients(this.#cluster);
    this.#faults = new Faults(this.#cluster, this.#cluster.ground.random());
    this.#operations = new Operations(this.#cluster, this.#cluster.ground.random());
  }

  async run(): Promise<SimulationResult> {
    const { ground } = this.#cluster;
    const { seed } = this.#options;
    const { shape, profile } = this.#scenario;
    ground.trace.note(
      `seed ${seed}, profile ${profile.name}: ${shape.nodes} nodes, ${shape.compactors} compactors, ` +
        `replication ${shape.settings.replication}, ${shape.settings.shards} shards, windows of ${shape.settings.windowMs} ms`,
    );
    try {
      await this.#work();
      if (ground.violation === undefined) await this.#settle();
      if (ground.violation === undefined) await this.#judge();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      ground.violated(error);
    }
    this.#countJoined();
    const { attempts } = ground.ledger;
    const result = {
      seed,
      profile: profile.name,
      traceHash: ground.trace.hash(),
      events: ground.trace.length,
      writes: attempts.length,
      acknowledged: attempts.filter((attempt) => attempt.ackedMs !== null).length,
      reads: this.#reads,
      answered: this.#answered,
      counts: ground.trace.counts,
      violation: ground.violation?.message ?? null,
      tail: ground.trace.tail(this.#options.tailLines ?? tailLinesDefault),
    };
    this.#cluster.stop();
    return result;
  }

  /** Whether nodes that came later were given something to own. */
  #countJoined(): void {
    const { ground, joined } = this.#cluster;
    const owners = new Set([...ground.watch.groups.values()].flatMap(ownersOf));
    for (const node of joined) ground.trace.count(owners.has(node) ? 'joined node owns' : 'joined node idle');
  }

  /** Clients write and read while things go wrong. */
  async #work(): Promise<void> {
    const { ground } = this.#cluster;
    this.#cluster.start();
    await ground.timeline.advance(50);
    for (let step = 0; step < (this.#options.steps ?? stepsDefault); step++) {
      await ground.timeline.advance(this.#scenario.gapMs());
      if (ground.violation !== undefined) return;
      this.#step();
    }
  }

  #step(): void {
    const scenario = this.#scenario;
    const { ground, nodes } = this.#cluster;
    switch (scenario.step()) {
      case 'write': {
        const node = scenario.pick(nodes);
        const nowMs = startMs + ground.timeline.nowMs;
        this.#clients.write(node, scenario.level(), scenario.rows(node.id, nowMs, ground.ledger));
        break;
      }
      case 'read':
        this.#guard(this.#read(scenario.pick(tables), scenario.pick(['quorum', 'quorum', 'one'])));
        break;
      case 'pin':
        this.#guard(this.#pin(scenario.pick(tables)));
        break;
      case 'operation': {
        const beforeNs = BigInt(Math.floor(startMs + ground.timeline.nowMs)) * nsPerMs;
        this.#guard(this.#operations.begin(scenario.operation(), beforeNs));
        break;
      }
      case 'trouble':
        this.#faults.begin(scenario.fault());
        break;
    }
  }

  #truth(): Truth {
    const { ledger, watch } = this.#cluster.ground;
    return {
      ledger,
      watch,
      clocksAreWrong: this.#scenario.hasClockFaults,
      // What one owner or a hint alone had is gone with it.
      keptLevels: this.#operations.hasLost ? ['quorum', 'all'] : ['any', 'one', 'quorum', 'all'],
    };
  }

  /** Runs in the background; a violation ends the run. */
  #guard(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#cluster.ground.violated(
        error instanceof Violation
          ? error
          : new Violation(`a read fails by a defect: ${(error as Error).stack}`),
      );
    });
  }

  async #read(table: string, consistency: 'one' | 'quorum'): Promise<void> {
    const { ground, querier } = this.#cluster;
    this.#reads += 1;
    const name = `read ${this.#reads} of ${table} at ${consistency}`;
    const beganMs = ground.timeline.nowMs;
    ground.trace.note(`${name} begins`);
    try {
      const answer = await querier.ask({ table, tier: 'all', consistency });
      this.#answered += 1;
      ground.trace.note(`${name} answers ${answer.points.size} points`);
      checkAnswer(name, table, answer, beganMs, this.#visibleLevels(consistency), this.#truth());
    } catch (error) {
      if (!isVarveError(error)) throw error;
      ground.trace.note(`${name} fails: ${reasonOf(error)}`);
      ground.inspect(name, error);
    }
  }

  /** Levels whose writes an answer must hold: those whose owners and the owners asked must have one in common. */
  #visibleLevels(consistency: 'one' | 'quorum'): readonly ConsistencyLevel[] {
    if (this.#scenario.shape.settings.replication === 1) return ['one', 'quorum', 'all'];
    return consistency === 'one' ? ['all'] : ['quorum', 'all'];
  }

  /** What was pinned is as it was, or has expired; then the present is pinned. */
  async #pin(table: string): Promise<void> {
    const { ground, querier } = this.#cluster;
    try {
      for (const pinned of this.#pinned) await this.#checkPinned(pinned);
      const answer = await querier.ask({ table, tier: 'settled' });
      if (answer.snapshotId === null) return;
      const atMs = ground.timeline.nowMs;
      this.#pinned.push({ table, snapshotId: answer.snapshotId, points: answer.points, atMs });
      ground.trace.note(`pinned ${table} at ${answer.snapshotId}: ${answer.points.size} points`);
    } catch (error) {
      if (!isVarveError(error)) throw error;
      ground.trace.note(`pinning ${table} fails: ${reasonOf(error)}`);
    }
  }

  async #checkPinned({ table, snapshotId, points, atMs }: Pinned): Promise<void> {
    const { ground, querier } = this.#cluster;
    const { historyMs } = this.#scenario.shape.settings;
    try {
      const answer = await querier.ask({ table, tier: 'settled', snapshotId });
      if (isSame(answer.points, points)) return;
      throw new Violation(`snapshot ${snapshotId} of ${table} has changed`);
    } catch (error) {
      const ageMs = ground.timeline.nowMs - atMs;
      // Clocks that jump let history expire early.
      const mayHaveExpired = ageMs >= historyMs - 2000 || this.#scenario.hasClockFaults;
      if (isVarveError(error, 'not-found') && mayHaveExpired) return;
      if (isVarveError(error, 'not-found')) {
        throw new Violation(
          `snapshot ${snapshotId} of ${table} is gone after ${ageMs} ms; want ${historyMs} ms`,
        );
      }
      throw error;
    }
  }

  /** Everything heals; then all that is in flux must become history. */
  async #settle(): Promise<void> {
    const { ground } = this.#cluster;
    this.#cluster.heal();
    const untilMs = ground.timeline.nowMs + settleMsMax;
    // Long enough for clients to give up, for hints to be sent and for repair to go round.
    await ground.timeline.advance(convergeMs);
    if (ground.violation === undefined) await this.#checkOwnersAgree();
    while (ground.timeline.nowMs < untilMs) {
      if (ground.violation !== undefined) return;
      const { list } = ground.watch;
      if (list === undefined || list.groups.every(isDone)) return;
      await ground.timeline.advance(1000);
    }
    const left = ground.watch.list?.groups
      .filter((group) => !isDone(group))
      .map((group) => `${group.id} ${group.state}, released by ${group.released.join(' ') || 'nobody'}`);
    throw new Violation(`not settled ${settleMsMax} ms after everything healed: ${left?.join(', ')}`);
  }

  /** All owners of a shard of what is still open hold the same batches (invariant 4). */
  async #checkOwnersAgree(): Promise<void> {
    const { ground, nodes } = this.#cluster;
    for (const group of ground.watch.list?.groups ?? []) {
      if (group.state !== 'open') continue;
      for (const [shard, { owners }] of group.shards.entries()) {
        const digests = new Map<string, string>();
        for (const owner of owners) {
          const node = nodes.find((member) => member.id === owner)?.started?.node;
          if (node === undefined) continue;
          const report = await node.owner.reportGroup(ground.watch.databaseId, group.id);
          const held = report.shards.find((each) => each.shard === shard)?.digest ?? 'nothing';
          digests.set(owner, held);
        }
        ground.trace.count('owners compared');
        if (new Set(digests.values()).size <= 1) continue;
        throw new Violation(
          `the owners of shard ${shard} of ${group.id} differ ${convergeMs} ms after everything healed: ` +
            [...digests].map(([owner, digest]) => `${owner} ${digest.slice(0, 8)}`).join(', '),
        );
      }
    }
  }

  /** The whole history, read as clients read it, is what it must be. */
  async #judge(): Promise<void> {
    const { ground, querier } = this.#cluster;
    const history = new Map<string, AnswerPoints>();
    const work = async (): Promise<void> => {
      for (const pinned of this.#pinned) await this.#checkPinned(pinned);
      for (const table of tables) {
        const isThere = ground.ledger.attempts.some(
          (attempt) => attempt.ackedMs !== null && attempt.rows.some((row) => row.table === table),
        );
        if (!isThere) continue;
        const all = await querier.ask({ table, tier: 'all' });
        checkAnswer(
          `the last read of ${table}`,
          table,
          all,
          ground.timeline.nowMs,
          this.#truth().keptLevels,
          this.#truth(),
        );
        const settled = await querier.ask({ table, tier: 'settled' });
        if (!isSame(all.points, settled.points)) {
          throw new Violation(
            `all is settled, yet ${table} read from both tiers is not ${table} read from history`,
          );
        }
        history.set(table, settled.points);
      }
      checkHistory(history, this.#truth());
      checkOrder(history, this.#truth());
    };
    let isDone = false;
    const judged = work()
      .catch((error: unknown) => {
        ground.violated(
          error instanceof Violation ? error : new Violation(`judging fails: ${(error as Error).stack}`),
        );
      })
      .finally(() => {
        isDone = true;
      });
    for (let second = 0; second < 60 && !isDone; second++) await ground.timeline.advance(1000);
    if (!isDone) throw new Violation('the last reads do not end');
    await judged;
  }
}

/** Sealed, and every owner has let go of it: what it had beyond the sealed batches is in a group of its own. */
function isDone(group: ShardGroup): boolean {
  return group.state === 'sealed' && group.released.length === ownersOf(group).length;
}

function isSame(left: AnswerPoints, right: AnswerPoints): boolean {
  if (left.size !== right.size) return false;
  for (const [point, fields] of left) {
    const others = right.get(point);
    if (others === undefined) return false;
    const names = new Set([...Object.keys(fields), ...Object.keys(others)]);
    for (const name of names) if (fields[name] !== others[name]) return false;
  }
  return true;
}
