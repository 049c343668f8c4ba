import type { TurnReport } from './compactor-turn.js';

/**
 * A turn's figures as lines of CloudWatch's embedded metric format: CloudWatch makes metrics of them in the namespace
 * `Varve` from the function's log, so that alarms need no call and no permission. One line for the turn, one a database.
 *
 * Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 *
 * @param nowMs wall clock
 */
export function embeddedMetrics(report: TurnReport, nowMs: number): string[] {
  const { lease, replace, seal, release, upkeep } = report.failed;
  const turn = line(nowMs, {}, [
    ['TurnSeconds', 'Seconds', report.seconds],
    ['TurnsOutOfTime', 'Count', report.outcome === 'out-of-time' ? 1 : 0],
    ['SealedGroups', 'Count', report.sealed.groups],
    ['SealExceptions', 'Count', report.sealExceptions],
    ['FailedSteps', 'Count', lease + replace + seal + release + upkeep],
  ]);
  const databases = report.databases.map((database) =>
    line(nowMs, { database: database.database }, [
      ['WaitingGroups', 'Count', database.waitingGroups],
      ['OldestWaitingSeconds', 'Seconds', database.oldestWaitingSeconds],
      // Nothing settled yet is no lag of fifty years.
      ...(database.settledThroughSeconds === 0
        ? []
        : [['SettledLagSeconds', 'Seconds', nowMs / 1000 - database.settledThroughSeconds] as const]),
    ]),
  );
  return [turn, ...databases];
}

type Metric = readonly [name: string, unit: 'Count' | 'Seconds', value: number];

function line(
  nowMs: number,
  dimensions: Readonly<Record<string, string>>,
  metrics: readonly Metric[],
): string {
  return JSON.stringify({
    _aws: {
      Timestamp: Math.trunc(nowMs),
      CloudWatchMetrics: [
        {
          Namespace: 'Varve',
          Dimensions: [Object.keys(dimensions)],
          Metrics: metrics.map(([Name, Unit]) => ({ Name, Unit })),
        },
      ],
    },
    ...dimensions,
    ...Object.fromEntries(metrics.map(([name, , value]) => [name, value])),
  });
}
