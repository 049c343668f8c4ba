import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../cli/client/api-client.js';
import type { ConsistencyLevel } from '../../core/catalog/types.js';
import type { Random } from '../../core/ports/random.js';
import type { FaultCluster } from './fault-cluster.js';
import { firstPointMs, type Ledger, type SentWrite, type WriteAge } from './ledger.js';

export const database = 'faults';
const levels: readonly ConsistencyLevel[] = ['any', 'one', 'quorum', 'all'];
const requestMsMax = 8000;
const readMsMax = 15_000;

/** How much is written. */
export interface LoadOptions {
  readonly cluster: FaultCluster;
  readonly ledger: Ledger;
  readonly random: Random;
  readonly writers: number;
  readonly linesPerSecond: number;
  readonly linesAWrite: number;
}

/** Writers at all levels to all nodes, and a reader at quorum, until they are stopped. */
export class Load {
  /** What was answered when a write was refused, without names and numbers, and how often. */
  readonly refusals = new Map<string, number>();
  readonly reads = { whole: 0, unavailable: 0 };
  /** What no read may show. */
  readonly problems: string[] = [];
  readonly #options: LoadOptions;
  readonly #stopping = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  start(): void {
    const writers = Array.from({ length: this.#options.writers }, (_, writer) => this.#write(writer));
    this.#loops = Promise.all([...writers, this.#read()]);
  }

  /** Ends the load; requests under way are answered or given up. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loops;
  }

  async #write(writer: number): Promise<void> {
    const { writers, linesPerSecond, linesAWrite } = this.#options;
    const everyMs = (1000 * linesAWrite * writers) / linesPerSecond;
    let dueMs = Date.now();
    for (let sequence = 1; !this.#stopping.signal.aborted; sequence++) {
      await this.#writeOnce(writer, sequence);
      // Behind by more than a second it does not catch up: the cluster is to be loaded, not drowned.
      dueMs = Math.max(dueMs + everyMs, Date.now() - 1000);
      await sleep(Math.max(0, dueMs - Date.now()));
    }
  }

  async #writeOnce(writer: number, sequence: number): Promise<void> {
    const { cluster, ledger, random, linesAWrite } = this.#options;
    const node = pick(
      random,
      cluster.nodes.filter((name) => cluster.isRunning(name)),
    );
    if (node === undefined) return void (await sleep(100));
    const level = pick(random, levels) ?? 'quorum';
    const write = ledger.add({
      ...{ writer, sequence, level, age: ageOf(random.next()) },
      rows: 1 + Math.floor(random.next() * (2 * linesAWrite - 1)),
      sentMs: Date.now(),
    });
    try {
      const response = await cluster.process(node).client.request('/api/v3/write_lp', {
        method: 'POST',
        query: { db: database, precision: 'nanosecond', consistency: level },
        body: new TextEncoder().encode(linesOf(write)),
        signal: AbortSignal.timeout(requestMsMax),
      });
      await response.arrayBuffer();
      write.end = 'acknowledged';
    } catch (error) {
      write.end = error instanceof ApiError ? 'refused' : 'unknown';
      this.#note(error);
    }
  }

  #note(error: unknown): void {
    const texts =
      error instanceof ApiError
        ? [`${error.status} ${error.message}`, ...reasonsOf(error.body)]
        : [`no answer: ${String(error)}`];
    for (const text of new Set(texts.map(withoutNames))) {
      this.refusals.set(text, (this.refusals.get(text) ?? 0) + 1);
    }
  }

  /** What was acknowledged at quorum before a read at quorum began is in its answer, whatever is broken meanwhile. */
  async #read(): Promise<void> {
    const { cluster, random, writers } = this.#options;
    while (!this.#stopping.signal.aborted) {
      await sleep(1000);
      const querier = cluster.callers.filter((name) => name.startsWith('query'));
      await this.#readOnce(pick(random, querier) ?? 'query', Math.floor(random.next() * writers));
    }
  }

  async #readOnce(querier: string, writer: number): Promise<void> {
    const { cluster, ledger } = this.#options;
    const wanted = ledger.recent(writer, 10, ['quorum', 'all'], 'now');
    const [first] = wanted;
    if (first === undefined) return;
    const q = `SELECT seq, count(*) AS n FROM load WHERE writer = 'w${writer}' AND seq >= ${first.sequence}
      AND time >= epoch_ms(${first.sentMs - 2000}::BIGINT) GROUP BY seq`;
    try {
      const rows = (await cluster.process(querier).client.json('/api/v3/query_sql', {
        query: { db: database, q, consistency: 'quorum' },
        signal: AbortSignal.timeout(readMsMax),
      })) as readonly { readonly seq: number; readonly n: number }[];
      const found = new Map(rows.map(({ seq, n }) => [seq, n]));
      for (const { sequence, rows: count, level } of wanted) {
        if (found.get(sequence) === count) continue;
        this.problems.push(
          `${new Date().toISOString()} ${querier}: read ${found.get(sequence) ?? 0} of ${count} points of write ${writer}/${sequence}, acknowledged at ${level}`,
        );
      }
      this.reads.whole += 1;
    } catch (error) {
      if (error instanceof ApiError && error.status < 500) {
        this.problems.push(`read: ${error.status} ${error.message}`);
      }
      this.reads.unavailable += 1;
    }
  }
}

/** Why owners have not taken a write that was refused. */
function reasonsOf(body: unknown): string[] {
  const { shards = [] } = body as { shards?: readonly { failed: readonly { reason: string }[] }[] };
  return shards.flatMap(({ failed }) => failed.map(({ reason }) => `an owner failed: ${reason}`));
}

function withoutNames(text: string): string {
  // The status at the beginning stays.
  const rest = text
    .slice(4)
    .replace(/http:\S+/g, 'URL')
    .replace(/(?<=\s)\/\S+/g, 'FILE')
    .replace(/127\.0\.0\.1:\d+/g, 'ADDRESS')
    .replace(/node-\d+/g, 'NODE')
    .replace(/\d{2,}/g, 'N');
  return `${text.slice(0, 4)}${rest}`.slice(0, 200);
}

/** Lines whose points only this write has: the writer is a tag, and times do not repeat within a writer. */
function linesOf(write: SentWrite): string {
  const { writer, sequence, rows } = write;
  // A writer sends one write at a time, so the place of its sequence among a thousand keeps equal times apart.
  const baseNs = BigInt(firstPointMs(write)) * 1_000_000n + BigInt(sequence % 1000) * 1000n;
  const lines: string[] = [];
  for (let i = 0; i < rows; i++) {
    lines.push(
      `load,writer=w${writer},machine=m${i % 16} seq=${sequence}i,i=${i}i ${baseNs + BigInt(Math.floor(i / 16))}`,
    );
  }
  return lines.join('\n');
}

function ageOf(share: number): WriteAge {
  if (share < 0.7) return 'now';
  if (share < 0.85) return 'old';
  return share < 0.95 ? 'late' : 'ahead';
}

function pick<Value>(random: Random, values: readonly Value[]): Value | undefined {
  return values[Math.floor(random.next() * values.length)];
}
