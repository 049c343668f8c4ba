import type { Measurement } from './machine-metrics.js';

/** A row as query_sql answers it in JSON. */
export type AnswerRow = Readonly<Record<string, string | number | boolean | null>>;

/**
 * What was sent, kept independently of the server, so that every answer can be held against it. Points are merged
 * as the server promises: same table, tags and time are one point.
 */
export class Ledger {
  readonly #points = new Map<string, Measurement>();

  add(measurements: readonly Measurement[]): void {
    for (const measurement of measurements) {
      const key = pointKey(measurement.table, measurement.tags, measurement.timeMs);
      const before = this.#points.get(key);
      this.#points.set(
        key,
        before === undefined
          ? measurement
          : { ...measurement, fields: { ...before.fields, ...measurement.fields } },
      );
    }
  }

  tables(): string[] {
    return [...new Set([...this.#points.values()].map((point) => point.table))].sort();
  }

  points(table: string): Measurement[] {
    return [...this.#points.values()].filter((point) => point.table === table);
  }

  get size(): number {
    return this.#points.size;
  }

  /** Every difference between the rows that came back for a table and what was sent; empty when they agree. */
  differences(table: string, rows: readonly AnswerRow[]): string[] {
    const expected = this.points(table);
    const problems: string[] = [];
    if (rows.length !== expected.length)
      problems.push(`${table}: got ${rows.length} rows; want ${expected.length}`);
    const tagNames = new Set(expected.flatMap((point) => Object.keys(point.tags)));
    const seen = new Set<string>();
    for (const row of rows) {
      const tags = Object.fromEntries(
        Object.entries(row).filter(
          (entry): entry is [string, string] => tagNames.has(entry[0]) && typeof entry[1] === 'string',
        ),
      );
      const key = pointKey(table, tags, Date.parse(String(row['time'])));
      const sent = this.#points.get(key);
      if (sent === undefined)
        problems.push(`${table}: got a point that was never sent: ${JSON.stringify(row)}`);
      else if (seen.has(key)) problems.push(`${table}: got a point twice: ${JSON.stringify(row)}`);
      else problems.push(...fieldDifferences(sent, row));
      seen.add(key);
    }
    return problems;
  }
}

function fieldDifferences(sent: Measurement, row: AnswerRow): string[] {
  return Object.entries(sent.fields)
    .filter(([name, value]) =>
      typeof value === 'bigint' ? String(row[name]) !== String(value) : row[name] !== value,
    )
    .map(([name, value]) => `${sent.table}.${name} at ${sent.timeMs}: got ${row[name]}; want ${value}`);
}

function pointKey(table: string, tags: Readonly<Record<string, string>>, timeMs: number): string {
  const pairs = Object.entries(tags)
    .filter(([, value]) => value !== '')
    .sort(([left], [right]) => (left < right ? -1 : 1));
  return JSON.stringify([table, timeMs, pairs]);
}
