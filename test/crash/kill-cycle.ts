import { ApiError } from '../../cli/client/api-client.js';
import type { Random } from '../../core/ports/random.js';
import type { FailpointName } from '../../core/std/failpoint.js';
import {
  queryRows,
  shortSpans,
  startTestServer,
  type TestServer,
  writeLines,
} from '../support/server-process.js';

/** Where the process is ended: at a named place when it is reached for the n-th time, or after a while. */
export type Kill =
  | { readonly kind: 'failpoint'; readonly name: FailpointName; readonly count: number }
  | { readonly kind: 'after'; readonly delayMs: number };

export const crashDatabase = 'crash';
/** Everything that tidies up runs often, so that its failpoints are reached within seconds. */
export const crashFlags = [
  ...shortSpans,
  ...[
    '--history',
    '1s',
    '--unreferenced-grace',
    '1s',
    '--merge-fan-in',
    '3',
    '--housekeeping-interval',
    '1s',
    '--wal-segment-bytes',
    '256KiB',
  ],
];
const tables = ['alpha', 'beta', 'gamma'];

/** What the test knows: every point sent has a number of its own; those acknowledged must never be missing. */
export class CrashLedger {
  readonly acknowledged = new Map<number, string>();
  readonly uncertain = new Map<number, string>();
  #next = 1;

  /** Numbers for `count` new points. */
  take(count: number): number[] {
    return Array.from({ length: count }, () => this.#next++);
  }
}

/** How a run with an armed kill ended, and what the check at its beginning found. */
export interface KilledRun {
  readonly end: 'killed' | 'timed-out';
  /** Damage found right after the start; null when the process was killed before all was read. */
  readonly damage: readonly string[] | null;
}

/** Starts the server with the kill armed, checks what came back, then writes until it is dead. */
export async function runUntilKilled(
  dataDir: string,
  kill: Kill,
  ledger: CrashLedger,
  random: Random,
): Promise<KilledRun> {
  const env: Record<string, string> =
    kill.kind === 'failpoint' ? { VARVE_FAILPOINT: `${kill.name}:${kill.count}` } : {};
  let server: TestServer;
  try {
    server = await startTestServer({ dataDir, flags: crashFlags, env });
  } catch (error) {
    // A failpoint of sealing or expiry may strike before the server says that it listens.
    if (kill.kind === 'failpoint' && String(error).includes('SIGKILL'))
      return { end: 'killed', damage: null };
    throw error;
  }
  const damage = await damageUnlessDead(server, ledger);
  const [end, { status, signal }] = await Promise.all([
    driveUntilDead(server, kill, ledger, random),
    server.ended,
  ]);
  if (signal !== 'SIGKILL') throw new Error(`server ended by itself (status ${status}):\n${server.log()}`);
  return { end, damage };
}

async function damageUnlessDead(server: TestServer, ledger: CrashLedger): Promise<string[] | null> {
  let dead = false;
  void server.ended.then(() => {
    dead = true;
  });
  try {
    return await findDamage(server, ledger, 'all');
  } catch (error) {
    // The connection breaks a moment before the exit is seen.
    await Promise.race([server.ended, new Promise((resolve) => setTimeout(resolve, 1000))]);
    if (dead) return null;
    throw error;
  }
}

/** How long a failpoint may take to be reached before the process is killed anyway. */
const failpointPatienceMs = 30_000;

async function driveUntilDead(
  server: TestServer,
  kill: Kill,
  ledger: CrashLedger,
  random: Random,
): Promise<'killed' | 'timed-out'> {
  const startedMs = Date.now();
  let dead = false;
  void server.ended.then(() => {
    dead = true;
  });
  const limitMs = kill.kind === 'after' ? kill.delayMs : failpointPatienceMs;
  while (!dead) {
    if (Date.now() - startedMs > limitMs) {
      await server.kill('SIGKILL');
      return kill.kind === 'after' ? 'killed' : 'timed-out';
    }
    await writeSome(server, ledger, random);
  }
  return 'killed';
}

/** One request: points of now, and sometimes of long ago or of the future, over several tables. */
async function writeSome(server: TestServer, ledger: CrashLedger, random: Random): Promise<void> {
  const numbers = ledger.take(1 + Math.floor(random.next() * 200));
  const shift = random.next();
  const ageMs = shift < 0.6 ? 0 : shift < 0.9 ? Math.floor(random.next() * 40) * 86_400_000 : -30_000;
  const lines = numbers.map((number) => {
    const table = tables[number % tables.length] ?? 'alpha';
    const timeNs = BigInt(Date.now() - ageMs) * 1_000_000n + BigInt(number % 1000) * 1000n;
    return `${table},host=h${number % 7} n=${number}i,text="point ${number}" ${timeNs}`;
  });
  const text = lines.join('\n');
  for (const number of numbers) ledger.uncertain.set(number, tables[number % tables.length] ?? 'alpha');
  try {
    await writeLines(server.client, crashDatabase, text);
  } catch (error) {
    // Not acknowledged: the points may be there or not, both are right; 5xx and a cut connection are expected here.
    if (String(error).includes('partial write')) throw error;
    return;
  }
  for (const number of numbers) {
    ledger.acknowledged.set(number, tables[number % tables.length] ?? 'alpha');
    ledger.uncertain.delete(number);
  }
}

/**
 * Every difference between what the server answers and what the ledger allows: an acknowledged point that is missing,
 * a point that counts twice, a point that was never sent.
 */
export async function findDamage(
  server: TestServer,
  ledger: CrashLedger,
  tier: 'all' | 'settled',
): Promise<string[]> {
  const problems: string[] = [];
  for (const table of tables) {
    const rows = await queryTable(server, table, tier);
    const seen = new Set<number>();
    for (const row of rows) {
      const number = Number(row['n']);
      if (seen.has(number)) problems.push(`${tier}: point ${number} of ${table} counts twice`);
      seen.add(number);
      if (row['text'] !== `point ${number}`)
        problems.push(`${tier}: point ${number} has text ${String(row['text'])}`);
      if (ledger.acknowledged.get(number) !== table && ledger.uncertain.get(number) !== table) {
        problems.push(`${tier}: point ${number} of ${table} was never sent`);
      }
    }
    for (const [number, itsTable] of ledger.acknowledged) {
      if (itsTable === table && !seen.has(number))
        problems.push(`${tier}: acknowledged point ${number} of ${table} is missing`);
    }
  }
  return problems;
}

async function queryTable(
  server: TestServer,
  table: string,
  tier: 'all' | 'settled',
): Promise<Record<string, unknown>[]> {
  try {
    return await queryRows(server.client, crashDatabase, `SELECT n, text FROM ${table}`, { tier });
  } catch (error) {
    // Killed before the first write of this table was acknowledged.
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}
