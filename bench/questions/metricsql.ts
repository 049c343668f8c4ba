import { cpuFields } from '../generate/cpu-only.js';
import type { Answer } from './answer.js';
import { answerKey } from './answer.js';
import type { Question } from './question.js';

/**
 * Questions for VictoriaMetrics, where a field is a metric named `<table>_<field>`. A window there ends at its time
 * and includes it, so a bucket [b, b + d) of points on whole seconds is the window of d that ends at b + d - 1 s.
 */

/** The path that asks the question; undefined where MetricsQL has no such question (whole rows). */
export function metricsqlPath(question: Question): string | undefined {
  const { table } = question;
  switch (question.kind) {
    case 'buckets': {
      const { fields, hosts, bucketSeconds: step } = question;
      const names = fields.map((field) => `${table}_${field}`).join('|');
      const on = hosts === null ? '' : `,hostname=~"${hosts.join('|')}"`;
      const selector = `{__name__=~"${names}"${on}}`;
      const by = question.byHost ? '__name__, hostname' : '__name__';
      const { aggregate } = question;
      return rangePath(
        `${aggregate}(${aggregate}_over_time(${selector}[${step}s])) by (${by})`,
        question.from + step - 1,
        question.to - 1,
        step,
      );
    }
    case 'last-points': {
      const names = cpuFields.map((field) => `${table}_${field}`).join('|');
      const window = question.to - question.from + 1;
      return instantPath(`last_over_time({__name__=~"${names}"}[${window}s])`, question.to);
    }
    case 'newest-buckets': {
      const { bucketSeconds: step, limit, field, to } = question;
      return rangePath(
        `max(max_over_time(${table}_${field}[${step}s])) by (__name__)`,
        to - step * (limit - 1) - 1,
        to - 1,
        step,
      );
    }
    case 'rows-above':
      return undefined;
  }
}

function rangePath(query: string, start: number, end: number, step: number): string {
  return `/api/v1/query_range?nocache=1&query=${encodeURIComponent(query)}&start=${start}&end=${end}&step=${step}`;
}

/** The path of a query at one time, in seconds. */
export function instantPath(query: string, time: number): string {
  return `/api/v1/query?nocache=1&query=${encodeURIComponent(query)}&time=${time}`;
}

interface MetricSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly values?: readonly (readonly [number, string])[];
  readonly value?: readonly [number, string];
}

/** The series of an answer; throws what the server says went wrong. */
export function metricSeriesOf(body: Buffer): readonly MetricSeries[] {
  const { status, data, error } = JSON.parse(body.toString()) as {
    readonly status: string;
    readonly error?: string;
    readonly data?: { readonly result: readonly MetricSeries[] };
  };
  if (status !== 'success') throw new Error(`VictoriaMetrics answered: ${error}`);
  return data?.result ?? [];
}

/** An answer to `metricsqlPath` in the common form. */
export function answerOfMetrics(question: Question, series: readonly MetricSeries[]): Answer {
  const answer = new Map<string, number>();
  for (const { metric, values, value } of series) {
    const field = (metric['__name__'] ?? '').slice(question.table.length + 1);
    if (question.kind === 'last-points') {
      if (value !== undefined) answer.set(answerKey(metric['hostname'] ?? '', field), Number(value[1]));
      continue;
    }
    if (question.kind === 'rows-above') continue;
    const host = metric['hostname'] === undefined ? [] : [metric['hostname']];
    for (const [time, text] of values ?? []) {
      answer.set(answerKey(time - question.bucketSeconds + 1, ...host, field), Number(text));
    }
  }
  return answer;
}
