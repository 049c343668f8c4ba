import type { FaultCluster } from './fault-cluster.js';
import type { FoundWrite, Ledger, TimeSlice } from './ledger.js';
import { database } from './load.js';

/** Time of points that one query counts for one writer, in milliseconds. */
const sliceMs = 120_000;

/** Queries between two lines of progress. */
const queriesAStep = 50;

interface CountRow {
  readonly seq: number;
  readonly n: number;
  readonly d: number;
}

/**
 * Points of every write in an answer of one tier, counted slice by slice: what one query groups does not grow with the
 * length of a run, and a querier's memory with it.
 */
export async function countWrites(
  cluster: FaultCluster,
  ledger: Ledger,
  tier: 'all' | 'settled',
  onStep?: (text: string) => void,
): Promise<FoundWrite[]> {
  const querier = cluster.callers.find((name) => name.startsWith('query')) ?? 'query';
  const ask = async (q: string): Promise<readonly CountRow[]> =>
    (await cluster.process(querier).client.json('/api/v3/query_sql', {
      query: { db: database, q, tier },
    })) as readonly CountRow[];
  const found: FoundWrite[] = [];
  const slices = ledger.slices(sliceMs);
  for (const [index, slice] of slices.entries()) {
    for (const { seq, n, d } of await ask(countOf(slice))) {
      found.push({ writer: slice.writer, sequence: seq, rows: n, distinct: d });
    }
    if ((index + 1) % queriesAStep === 0)
      onStep?.(`${tier}: ${index + 1} of ${slices.length} slices counted`);
  }
  const [total] = await ask('SELECT 0 AS seq, count(*)::INT AS n, 0 AS d FROM load');
  const rest = (total?.n ?? 0) - found.reduce((sum, { rows }) => sum + rows, 0);
  // Rows of no write that was sent, or at times at which none was; the ledger names them as such.
  if (rest !== 0) found.push({ writer: -1, sequence: 0, rows: rest, distinct: rest });
  return found;
}

function countOf({ writer, fromMs, toMs }: TimeSlice): string {
  return `SELECT seq, count(*)::INT AS n, count(DISTINCT i)::INT AS d FROM load
    WHERE writer = 'w${writer}' AND time >= epoch_ms(${fromMs}::BIGINT) AND time < epoch_ms(${toMs}::BIGINT)
    GROUP BY seq`;
}
