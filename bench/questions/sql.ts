import { cpuFields } from '../generate/cpu-only.js';
import type { Answer } from './answer.js';
import { answerKey } from './answer.js';
import type { Question } from './question.js';

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000', '');

/** The question as SQL for Varve and DuckDB. `from` is what stands after FROM. */
export function sqlOf(question: Question, from: string = question.table): string {
  const during = `time >= '${iso(question.from)}' AND time < '${iso(question.to)}'`;
  switch (question.kind) {
    case 'buckets': {
      const values = question.fields.map((field) => `${question.aggregate}(${field}) AS ${field}`).join(', ');
      const bucket = bucketSql(question.bucketSeconds);
      const host = question.byHost ? ', hostname' : '';
      const among = question.hosts?.map((name) => `'${name}'`).join(', ');
      const on = among === undefined ? '' : `hostname IN (${among}) AND `;
      const keys = question.byHost ? '1, 2' : '1';
      return `SELECT ${bucket} AS bucket${host}, ${values} FROM ${from} WHERE ${on}${during} GROUP BY ${keys} ORDER BY ${keys}`;
    }
    case 'rows-above':
      return `SELECT * FROM ${from} WHERE ${question.field} > ${question.above} AND ${during}`;
    case 'last-points':
      return `SELECT hostname, max(time) AS time, ${cpuFields.map((field) => `arg_max(${field}, time) AS ${field}`).join(', ')} FROM ${from} GROUP BY hostname ORDER BY hostname`;
    case 'newest-buckets':
      return `SELECT ${bucketSql(question.bucketSeconds)} AS bucket, max(${question.field}) AS ${question.field} FROM ${from} WHERE time < '${iso(question.to)}' GROUP BY 1 ORDER BY 1 DESC LIMIT ${question.limit}`;
  }
}

function bucketSql(seconds: number): string {
  const units: ReadonlyMap<number, string> = new Map([
    [60, 'minute'],
    [3600, 'hour'],
  ]);
  const unit = units.get(seconds);
  if (unit === undefined) throw new Error(`buckets of ${seconds} s: want 60 or 3600`);
  return `date_trunc('${unit}', time)`;
}

/** Rows of an answer to `sqlOf`, as objects, in the common form. */
export function answerOfRows(question: Question, rows: readonly Readonly<Record<string, unknown>>[]): Answer {
  const answer = new Map<string, number>();
  const seconds = (value: unknown): number => Date.parse(String(value)) / 1000;
  for (const row of rows) {
    switch (question.kind) {
      case 'buckets': {
        const host = question.byHost ? [String(row['hostname'])] : [];
        for (const field of question.fields) {
          answer.set(answerKey(seconds(row['bucket']), ...host, field), Number(row[field]));
        }
        break;
      }
      case 'newest-buckets':
        answer.set(answerKey(seconds(row['bucket']), question.field), Number(row[question.field]));
        break;
      case 'rows-above':
        answer.set('rows', (answer.get('rows') ?? 0) + 1);
        answer.set('sum', (answer.get('sum') ?? 0) + Number(row[question.field]));
        break;
      case 'last-points':
        for (const [field, value] of Object.entries(row)) {
          if (field.startsWith('usage_'))
            answer.set(answerKey(String(row['hostname']), field), Number(value));
        }
        break;
    }
  }
  return answer;
}
