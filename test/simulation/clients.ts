import type { ConsistencyLevel } from '../../core/catalog/types.js';
import type { Random } from '../../core/ports/random.js';
import type { DecodedTable } from '../../ingest/write-contract.js';
import { rowsOf } from '../support/rows.js';
import { Violation } from './catalog-watch.js';
import type { Cluster } from './cluster.js';
import { database, type Ground } from './ground.js';
import type { IngestMember } from './ingest-member.js';
import type { WriteAttempt, WrittenRow } from './ledger.js';
import { reasonOf } from './start-node.js';

/** Chance that an acknowledgement does not reach the client. */
const answerLost = 0.02;
const retriesMax = 3;

/** Writers: they send rows to some node, and again to another one when it did not work. */
export class Clients {
  readonly #cluster: Cluster;
  readonly #ground: Ground;
  readonly #random: Random;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#ground = cluster.ground;
    this.#random = cluster.ground.random();
  }

  /** Writes in the background. */
  write(member: IngestMember, level: ConsistencyLevel, rows: readonly WrittenRow[]): void {
    void this.#untilWritten(member, level, rows);
  }

  async #untilWritten(
    first: IngestMember,
    level: ConsistencyLevel,
    rows: readonly WrittenRow[],
  ): Promise<void> {
    let member = first;
    let retryOf: number | null = null;
    for (let retry = 0; retry <= retriesMax; retry++) {
      const { ledger, timeline } = this.#ground;
      const attempt: WriteAttempt = {
        number: ledger.attempts.length + 1,
        node: member.id,
        level,
        rows,
        startMs: timeline.nowMs,
        ackedMs: null,
        retryOf,
      };
      ledger.attempt(attempt);
      if (await this.#try(member, attempt)) return;
      // Some clients give up.
      if (this.#random.next() < 0.4) return;
      await timeline.pass(this.#random.next() * 3000);
      const { nodes } = this.#cluster;
      member = nodes[Math.floor(this.#random.next() * nodes.length)] ?? member;
      retryOf = attempt.number;
    }
  }

  async #try(member: IngestMember, attempt: WriteAttempt): Promise<boolean> {
    const { trace, timeline } = this.#ground;
    const name = `write ${attempt.number} at ${attempt.level} to ${member.id}`;
    const again = attempt.retryOf === null ? '' : `, again ${attempt.retryOf}`;
    const values = attempt.rows.map(({ point }) => Object.values(point.fields).join('/')).join(' ');
    trace.note(`${name} begins${again}: values ${values}`);
    const { started } = member;
    if (started === undefined) {
      trace.note(`${name}: nobody listens`);
      return false;
    }
    const { process, node } = started;
    const work = async (): Promise<void> => {
      if (process.isPaused) await process.awake();
      const session = await node.writes.begin({ database, level: attempt.level });
      const report = await session.commit(tablesOf(attempt.rows), { acceptPartial: true });
      if (report.rejected.length > 0) {
        this.#ground.violated(new Violation(`${name}: rows were rejected: ${report.rejected[0]?.message}`));
      }
    };
    try {
      await member.during(process.orEnd(process.gate(work())));
    } catch (error) {
      trace.note(`${name} fails: ${reasonOf(error)}`);
      this.#ground.inspect(name, error);
      return false;
    }
    if (this.#random.next() < answerLost) {
      trace.note(`${name}: the answer is lost`);
      return false;
    }
    attempt.ackedMs = timeline.nowMs;
    trace.note(`${name} is acknowledged`);
    return true;
  }
}

function tablesOf(rows: readonly WrittenRow[]): DecodedTable[] {
  const tables = [...new Set(rows.map(({ table }) => table))];
  return tables.map((table) => {
    const points = rows.filter((row) => row.table === table).map(({ point }) => point);
    return { rows: rowsOf(table, points), lineNumbers: Int32Array.from(points, (_, index) => index + 1) };
  });
}
