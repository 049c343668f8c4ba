import type { ConsistencyLevel } from '../../core/catalog/types.js';

/** Where in time the points of a write lie. */
export type WriteAge = 'now' | 'old' | 'late' | 'ahead';

/** What came of a write: taken at its level; refused with words; or nobody knows, as no answer came. */
export type WriteEnd = 'acknowledged' | 'refused' | 'unknown';

/** One request: so many points that only it has. */
export interface SentWrite {
  readonly writer: number;
  readonly sequence: number;
  readonly rows: number;
  readonly level: ConsistencyLevel;
  readonly age: WriteAge;
  readonly sentMs: number;
  end: WriteEnd | undefined;
}

/** Times [fromMs, toMs) in which a writer has points. */
export interface TimeSlice {
  readonly writer: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** How far from the time of sending the points of a write lie, in milliseconds. */
const offsetMs: Readonly<Record<WriteAge, number>> = { now: 0, old: -1500, late: -90_000_000, ahead: 45_000 };

/** Time of a write's first point; the others follow within the same millisecond. */
export function firstPointMs({ sentMs, age }: Pick<SentWrite, 'sentMs' | 'age'>): number {
  return sentMs + offsetMs[age];
}

/** What settled history, or an answer, holds of a write. */
export interface FoundWrite {
  readonly writer: number;
  readonly sequence: number;
  readonly rows: number;
  readonly distinct: number;
}

/** Everything that was sent. What was acknowledged must be found whole, each point once; the rest may be there or not. */
export class Ledger {
  readonly #writes = new Map<string, SentWrite>();

  /** Notes a write that is about to be sent. */
  add(write: Omit<SentWrite, 'end'>): SentWrite {
    const sent: SentWrite = { ...write, end: undefined };
    this.#writes.set(keyOf(sent), sent);
    return sent;
  }

  /** The last `count` writes of a writer, oldest first, that end as given and have one of the levels. */
  recent(writer: number, count: number, levels: readonly ConsistencyLevel[], age: WriteAge): SentWrite[] {
    const found: SentWrite[] = [];
    for (const write of [...this.#writes.values()].reverse()) {
      const isWanted = write.end === 'acknowledged' && write.writer === writer && write.age === age;
      if (isWanted && levels.includes(write.level)) found.unshift(write);
      if (found.length === count) break;
    }
    return found;
  }

  /** Slices of `lengthMs` in which writers have points, each write whole in one of them; by writer, then time. */
  slices(lengthMs: number): TimeSlice[] {
    const found = new Map<string, TimeSlice>();
    for (const write of this.#writes.values()) {
      const fromMs = Math.floor(firstPointMs(write) / lengthMs) * lengthMs;
      found.set(`${write.writer} ${fromMs}`, { writer: write.writer, fromMs, toMs: fromMs + lengthMs });
    }
    return [...found.values()].sort(
      (left, right) => left.writer - right.writer || left.fromMs - right.fromMs,
    );
  }

  /** How many writes ended how, by level. */
  counts(): Record<string, Record<string, number>> {
    const counts: Record<string, Record<string, number>> = {};
    for (const { level, end } of this.#writes.values()) {
      const byEnd = counts[level] ?? {};
      counts[level] = byEnd;
      byEnd[end ?? 'unknown'] = (byEnd[end ?? 'unknown'] ?? 0) + 1;
    }
    return counts;
  }

  /** Points of writes that ended so. */
  rows(end: WriteEnd): number {
    let rows = 0;
    for (const write of this.#writes.values()) if (write.end === end) rows += write.rows;
    return rows;
  }

  /** What is wrong with what was found: too little of what was acknowledged, anything twice, anything never sent. */
  compare(found: readonly FoundWrite[]): string[] {
    const problems: string[] = [];
    const byKey = new Map(found.map((write) => [keyOf(write), write]));
    for (const [key, write] of this.#writes) {
      const got = byKey.get(key);
      byKey.delete(key);
      const rows = got?.rows ?? 0;
      const what = `write ${key} of ${write.rows} points (${write.level}, ${write.age}, ${write.end ?? 'unknown'}, sent ${new Date(write.sentMs).toISOString()})`;
      if (rows !== (got?.distinct ?? 0))
        problems.push(`${what}: ${rows - (got?.distinct ?? 0)} points twice`);
      else if (rows > write.rows) problems.push(`${what}: got ${rows} points`);
      else if (write.end === 'acknowledged' && rows < write.rows)
        problems.push(`${what}: got ${rows} points`);
    }
    for (const key of byKey.keys()) problems.push(`write ${key} was never sent`);
    return problems;
  }
}

function keyOf({ writer, sequence }: { readonly writer: number; readonly sequence: number }): string {
  return `${writer}/${sequence}`;
}
