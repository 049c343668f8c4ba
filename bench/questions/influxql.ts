import type { FieldTotals, TableShape } from '../generate/point-stream.js';
import type { Answer } from './answer.js';
import { answerKey } from './answer.js';
import type { Question } from './question.js';

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();

/** The question as InfluxQL, the way TSBS asks it. */
export function influxqlOf(question: Question): string {
  const { table } = question;
  const during = `time >= '${iso(question.from)}' AND time < '${iso(question.to)}'`;
  switch (question.kind) {
    case 'buckets': {
      const name = question.aggregate === 'avg' ? 'mean' : 'max';
      const values = question.fields.map((field) => `${name}(${field}) AS ${field}`).join(', ');
      const among = question.hosts?.map((host) => `hostname = '${host}'`).join(' OR ');
      const on = among === undefined ? '' : `(${among}) AND `;
      const host = question.byHost ? ', hostname' : '';
      return `SELECT ${values} FROM "${table}" WHERE ${on}${during} GROUP BY time(${question.bucketSeconds}s)${host}`;
    }
    case 'rows-above':
      return `SELECT * FROM "${table}" WHERE ${question.field} > ${question.above} AND ${during}`;
    case 'last-points':
      return `SELECT * FROM "${table}" GROUP BY hostname ORDER BY time DESC LIMIT 1`;
    case 'newest-buckets':
      return `SELECT max(${question.field}) AS ${question.field} FROM "${table}" WHERE ${during} GROUP BY time(${question.bucketSeconds}s) ORDER BY time DESC LIMIT ${question.limit}`;
  }
}

interface InfluxSeries {
  readonly tags?: Readonly<Record<string, string>>;
  readonly columns: readonly string[];
  readonly values: readonly (readonly (string | number | null)[])[];
}

/** The series of an answer of `/query?epoch=s`; throws what the server says went wrong. */
export function influxSeriesOf(body: Buffer): readonly InfluxSeries[] {
  const { results, error } = JSON.parse(body.toString()) as {
    readonly error?: string;
    readonly results?: readonly { readonly series?: readonly InfluxSeries[]; readonly error?: string }[];
  };
  const failed = error ?? results?.find((result) => result.error !== undefined)?.error;
  if (failed !== undefined) throw new Error(`InfluxDB answered: ${failed}`);
  return results?.flatMap((result) => result.series ?? []) ?? [];
}

/** An answer to `influxqlOf` in the common form. */
export function answerOfInflux(question: Question, series: readonly InfluxSeries[]): Answer {
  const answer = new Map<string, number>();
  for (const { tags, columns, values } of series) {
    for (const row of values) {
      if (question.kind === 'rows-above') {
        answer.set('rows', (answer.get('rows') ?? 0) + 1);
        answer.set('sum', (answer.get('sum') ?? 0) + Number(row[columns.indexOf(question.field)]));
        continue;
      }
      const time = question.kind === 'last-points' ? [] : [Number(row[0])];
      const host = tags?.['hostname'] === undefined ? [] : [tags['hostname']];
      columns.forEach((field, index) => {
        const value = row[index];
        if (!field.startsWith('usage_') || value === null || value === undefined) return;
        answer.set(answerKey(...time, ...host, field), Number(value));
      });
    }
  }
  return answer;
}

/** Asks for the totals of every field of a table. */
export function influxTotalsQuery({ name, fields }: TableShape): string {
  const aggregates = ['count', 'sum', 'min', 'max'];
  const columns = fields.flatMap((field) =>
    aggregates.map((aggregate) => `${aggregate}(${field}) AS ${aggregate}_${field}`),
  );
  return `SELECT ${columns.join(', ')} FROM "${name}"`;
}

/** An answer to `influxTotalsQuery`. */
export function influxTotalsOf({ name, fields }: TableShape, series: readonly InfluxSeries[]): FieldTotals[] {
  const columns = series[0]?.columns ?? [];
  const row = series[0]?.values[0] ?? [];
  const cellOf = (column: string): number => Number(row[columns.indexOf(column)] ?? 0);
  return fields.map((field) => ({
    table: name,
    field,
    count: cellOf(`count_${field}`),
    sum: cellOf(`sum_${field}`),
    min: cellOf(`min_${field}`),
    max: cellOf(`max_${field}`),
  }));
}
