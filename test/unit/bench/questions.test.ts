import { describe, expect, it } from 'vitest';
import { differenceOf } from '../../../bench/questions/answer.js';
import { answerOfInflux, influxqlOf, influxSeriesOf } from '../../../bench/questions/influxql.js';
import { answerOfMetrics, metricSeriesOf, metricsqlPath } from '../../../bench/questions/metricsql.js';
import {
  type Question,
  type QuestionSpan,
  questionShapes,
  questionsOf,
} from '../../../bench/questions/question.js';
import { answerOfRows, sqlOf } from '../../../bench/questions/sql.js';

const span: QuestionSpan = { from: 1_451_606_400, to: 1_451_626_400, hosts: 100, table: 'cpu' };
const shapeNamed = (name: string) =>
  questionShapes.find((shape) => shape.name === name) ?? questionShapes[0]!;
const oneOf = (name: string): Question => questionsOf(shapeNamed(name), span, 1, 7)[0]!;

const minute = 1_451_606_400;
const perMinute: Question = {
  kind: 'buckets',
  shape: 'single-groupby-1-1-1',
  table: 'cpu',
  aggregate: 'max',
  fields: ['usage_user'],
  hosts: ['host_1'],
  byHost: false,
  bucketSeconds: 60,
  from: minute,
  to: minute + 120,
};
const perHost: Question = { ...perMinute, aggregate: 'avg', hosts: null, byHost: true };

describe('questions', () => {
  it('are the same for the same seed and others for another', () => {
    for (const shape of questionShapes) {
      expect(questionsOf(shape, span, 5, 1)).toEqual(questionsOf(shape, span, 5, 1));
    }
    expect(questionsOf(shapeNamed('single-groupby-1-8-1'), span, 5, 1)).not.toEqual(
      questionsOf(shapeNamed('single-groupby-1-8-1'), span, 5, 2),
    );
  });

  it('ask for whole buckets within the data', () => {
    for (const shape of questionShapes) {
      for (const question of questionsOf(shape, span, 50, 3)) {
        expect(question.to).toBeGreaterThan(question.from);
        if (question.kind !== 'buckets') continue;
        expect(question.from % question.bucketSeconds).toBe(0);
        expect(question.to % question.bucketSeconds).toBe(0);
        expect(question.from).toBeGreaterThanOrEqual(span.from);
        expect(question.to).toBeLessThan(span.to + question.bucketSeconds);
        if (question.hosts !== null) expect(new Set(question.hosts).size).toBe(question.hosts.length);
      }
    }
  });

  it('become SQL', () => {
    expect(sqlOf(perMinute)).toBe(
      `SELECT date_trunc('minute', time) AS bucket, max(usage_user) AS usage_user FROM cpu WHERE hostname IN ('host_1') AND time >= '2016-01-01T00:00:00Z' AND time < '2016-01-01T00:02:00Z' GROUP BY 1 ORDER BY 1`,
    );
  });

  it('become InfluxQL', () => {
    expect(influxqlOf(perHost)).toBe(
      `SELECT mean(usage_user) AS usage_user FROM "cpu" WHERE time >= '2016-01-01T00:00:00.000Z' AND time < '2016-01-01T00:02:00.000Z' GROUP BY time(60s), hostname`,
    );
  });

  it('become MetricsQL, whose windows end where they are told and include that moment', () => {
    expect(decodeURIComponent(metricsqlPath(perMinute) ?? '')).toBe(
      `/api/v1/query_range?nocache=1&query=max(max_over_time({__name__=~"cpu_usage_user",hostname=~"host_1"}[60s])) by (__name__)&start=1451606459&end=1451606519&step=60`,
    );
    expect(metricsqlPath(oneOf('high-cpu-all'))).toBeUndefined();
  });
});

describe('answers', () => {
  const rows = [
    { bucket: '2016-01-01T00:00:00Z', hostname: 'host_1', usage_user: 40 },
    { bucket: '2016-01-01T00:01:00Z', hostname: 'host_1', usage_user: 42.5 },
  ];
  const influx = influxSeriesOf(
    Buffer.from(
      JSON.stringify({
        results: [
          {
            series: [
              {
                tags: { hostname: 'host_1' },
                columns: ['time', 'usage_user'],
                values: [
                  [minute, 40],
                  [minute + 60, 42.5],
                  [minute + 120, null],
                ],
              },
            ],
          },
        ],
      }),
    ),
  );
  const metrics = metricSeriesOf(
    Buffer.from(
      JSON.stringify({
        status: 'success',
        data: {
          result: [
            {
              metric: { __name__: 'cpu_usage_user', hostname: 'host_1' },
              values: [
                [minute + 59, '40'],
                [minute + 119, '42.5'],
              ],
            },
          ],
        },
      }),
    ),
  );

  it('of all systems have one form', () => {
    const wanted = new Map([
      [`${minute} host_1 usage_user`, 40],
      [`${minute + 60} host_1 usage_user`, 42.5],
    ]);
    expect(answerOfRows(perHost, rows)).toEqual(wanted);
    expect(answerOfInflux(perHost, influx)).toEqual(wanted);
    expect(answerOfMetrics(perHost, metrics)).toEqual(wanted);
  });

  it('agree within rounding and differ beyond it', () => {
    const left = { name: 'a', answer: new Map([['x', 1 / 3]]) };
    const of = (answer: Map<string, number>) => differenceOf(left, { name: 'b', answer });
    expect(of(new Map([['x', 0.333_333_333_333_333]]))).toBeUndefined();
    expect(of(new Map([['x', 0.3334]]))).toContain('x: a has');
    expect(of(new Map())).toContain('b has nothing');
    expect(
      of(
        new Map([
          ['x', 1 / 3],
          ['y', 1],
        ]),
      ),
    ).toContain('a has nothing');
    expect(differenceOf({ name: 'a', answer: new Map() }, { name: 'b', answer: new Map() })).toContain(
      'answered nothing',
    );
  });

  it('name what a peer says went wrong', () => {
    expect(() => influxSeriesOf(Buffer.from('{"results":[{"error":"no such field"}]}'))).toThrow(
      'no such field',
    );
    expect(() => metricSeriesOf(Buffer.from('{"status":"error","error":"too many series"}'))).toThrow(
      'too many series',
    );
  });
});
