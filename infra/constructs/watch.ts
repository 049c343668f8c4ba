import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  type AlarmProps,
  ComparisonOperator,
  Dashboard,
  GraphWidget,
  type IMetric,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { HttpCodeTarget } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { FilterPattern, type LogGroup, MetricFilter } from 'aws-cdk-lib/aws-logs';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import type { Settings } from '../settings.js';
import type { CompactorFunction } from './compactor-function.js';
import type { IngestService } from './ingest-service.js';
import type { QueryFunction } from './query-function.js';
import type { Stores } from './stores.js';

export interface WatchProps {
  readonly settings: Settings;
  readonly stores: Stores;
  readonly ingest: IngestService;
  readonly compactor: CompactorFunction;
  readonly query: QueryFunction;
}

/** Metrics that are made of log lines. */
interface LoggedMetrics {
  readonly sealLag: IMetric;
  readonly hintAge: IMetric;
  readonly errors: IMetric;
}

const minute = Duration.minutes(1);
const fiveMinutes = Duration.minutes(5);
/** A group that is due waits this long before it is an alarm: ten runs of the compactor. */
const sealLagSecondsMax = 600;
/**
 * Hints older than this are an alarm. Those for a task that was replaced have nobody to go to until their group is sealed,
 * which takes a window, its grace and a run or two of the compactor: about twenty minutes.
 */
const hintAgeSecondsMax = 2400;
/** Of the three copies of what is in flux. */
const quorum = 2;
/** pino's number for messages of level error. */
const errorLevel = 50;

/** What tells that something is wrong, and a page to look at it. */
export class Watch extends Construct {
  readonly topic: Topic;
  readonly #settings: Settings;

  constructor(scope: Construct, id: string, props: WatchProps) {
    super(scope, id);
    this.#settings = props.settings;
    this.topic = new Topic(this, 'Alarms', { enforceSSL: true });
    const { alarmEmail } = props.settings;
    if (alarmEmail !== undefined) this.topic.addSubscription(new EmailSubscription(alarmEmail));
    const sealLag = this.#loggedMetric('SealLagSeconds', props.compactor.logGroup, {
      // The function's own metric has a series for each database; an alarm wants the worst of them.
      pattern: FilterPattern.numberValue('$.OldestWaitingSeconds', '>=', 0),
      value: '$.OldestWaitingSeconds',
      statistic: Stats.MAXIMUM,
    });
    const ingestErrors = this.#loggedMetric('IngestErrors', props.ingest.logGroup, {
      pattern: FilterPattern.numberValue('$.level', '>=', errorLevel),
      value: '1',
      statistic: Stats.SUM,
    });
    const hintAge = this.#loggedMetric('OldestHintSeconds', props.ingest.logGroup, {
      // Each node logs its own; the oldest of all is what matters.
      pattern: FilterPattern.numberValue('$.OldestHintSeconds', '>=', 0),
      value: '$.OldestHintSeconds',
      statistic: Stats.MAXIMUM,
    });
    const logged = { sealLag, hintAge, errors: ingestErrors };
    this.#addAlarms(props, logged);
    this.#addDashboard(props, logged);
  }

  #addAlarms({ stores, ingest, compactor, query }: WatchProps, logged: LoggedMetrics): void {
    const { sealLag, hintAge, errors } = logged;
    this.#alarm(
      'HintAge',
      'Batches that an ingest node could not be given wait for long: copies are missing',
      hintAge,
      { threshold: hintAgeSecondsMax, evaluationPeriods: 2 },
    );
    this.#alarm('SealLag', 'Settled history falls behind: a group that is due is not sealed', sealLag, {
      threshold: sealLagSecondsMax,
      evaluationPeriods: 2,
    });
    this.#alarm(
      'CompactorSilent',
      'The compactor does not run: nothing is sealed, and the hot tier fills',
      compactor.function.metricInvocations({ period: fiveMinutes }),
      {
        threshold: 1,
        evaluationPeriods: 2,
        comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
        treatMissingData: TreatMissingData.BREACHING,
      },
    );
    this.#alarm(
      'CompactorErrors',
      'Runs of the compactor fail',
      compactor.function.metricErrors({ period: fiveMinutes }),
      { threshold: 3, evaluationPeriods: 1 },
    );
    this.#alarm(
      'DeadLetters',
      'The compactor was not started, or its runs failed; the queue has the events',
      compactor.deadLetters.metricApproximateNumberOfMessagesVisible({ period: fiveMinutes }),
      { threshold: 1, evaluationPeriods: 1 },
    );
    this.#alarm('IngestErrors', 'The ingest node logged errors', errors, {
      threshold: 1,
      evaluationPeriods: 1,
    });
    const nodes = ingest.targets.metrics.healthyHostCount({ period: minute, statistic: Stats.MINIMUM });
    const fewer = {
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      treatMissingData: TreatMissingData.BREACHING,
    };
    this.#alarm('IngestDown', 'Fewer ingest nodes than a quorum: writes are refused', nodes, {
      ...fewer,
      threshold: quorum,
      evaluationPeriods: 3,
    });
    this.#alarm('IngestShort', 'Fewer ingest nodes than wanted, for longer than a replacement takes', nodes, {
      ...fewer,
      threshold: this.#settings.ingestTasks,
      evaluationPeriods: 15,
    });
    this.#alarm(
      'IngestFailures',
      'The ingest node answers with 5xx: stores out of reach, or a limit is met',
      ingest.targets.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT, { period: fiveMinutes }),
      { threshold: 10, evaluationPeriods: 1 },
    );
    this.#alarm(
      'IngestMemory',
      'The ingest node is short of memory',
      ingest.service.metricMemoryUtilization({ period: fiveMinutes, statistic: Stats.MAXIMUM }),
      { threshold: 90, evaluationPeriods: 2 },
    );
    this.#alarm(
      'QueryErrors',
      'The query function fails',
      query.function.metricErrors({ period: fiveMinutes }),
      { threshold: 5, evaluationPeriods: 1 },
    );
    this.#alarm(
      'CatalogThrottled',
      'DynamoDB throttles the catalog',
      stores.table.metric('ThrottledRequests', { period: fiveMinutes, statistic: Stats.SUM }),
      { threshold: 50, evaluationPeriods: 1 },
    );
  }

  #addDashboard({ stores, ingest, compactor, query }: WatchProps, logged: LoggedMetrics): void {
    const { sealLag, hintAge, errors } = logged;
    const { targets, service, loadBalancer } = ingest;
    const graph = (title: string, ...left: IMetric[]): GraphWidget =>
      new GraphWidget({ title, left, width: 8, height: 6 });
    const dashboard = new Dashboard(this, 'Dashboard', { dashboardName: `varve-${this.#settings.stage}` });
    dashboard.addWidgets(
      graph('Seal lag, seconds', sealLag),
      graph('Oldest hint, seconds', hintAge),
      graph('Ingest nodes', targets.metrics.healthyHostCount({ statistic: Stats.MINIMUM })),
      graph('Write requests', loadBalancer.metrics.requestCount()),
      graph(
        'Time to answer a write, seconds',
        targets.metrics.targetResponseTime({ statistic: Stats.percentile(50) }),
        targets.metrics.targetResponseTime({ statistic: Stats.percentile(99) }),
      ),
      graph(
        'Failed writes and logged errors',
        targets.metrics.httpCodeTarget(HttpCodeTarget.TARGET_4XX_COUNT),
        targets.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT),
        errors,
      ),
      graph(
        'Ingest: processor and memory, per cent',
        service.metricCpuUtilization(),
        service.metricMemoryUtilization(),
      ),
      graph(
        'Compactor: time of a run, milliseconds',
        compactor.function.metricDuration({ statistic: Stats.MAXIMUM }),
      ),
      graph(
        'Compactor: runs, failures, dead letters',
        compactor.function.metricInvocations(),
        compactor.function.metricErrors(),
        compactor.deadLetters.metricApproximateNumberOfMessagesVisible(),
      ),
      graph(
        'Queries: time, milliseconds',
        query.function.metricDuration({ statistic: Stats.percentile(50) }),
        query.function.metricDuration({ statistic: Stats.percentile(99) }),
      ),
      graph('Queries: count and failures', query.function.metricInvocations(), query.function.metricErrors()),
      graph(
        'Catalog: units read and written',
        stores.table.metricConsumedReadCapacityUnits(),
        stores.table.metricConsumedWriteCapacityUnits(),
      ),
    );
  }

  #loggedMetric(
    name: string,
    logGroup: LogGroup,
    filter: {
      readonly pattern: ReturnType<typeof FilterPattern.numberValue>;
      readonly value: string;
      readonly statistic: string;
    },
  ): IMetric {
    return new MetricFilter(this, `${name}Filter`, {
      logGroup,
      metricNamespace: `Varve/${this.#settings.stage}`,
      metricName: name,
      filterPattern: filter.pattern,
      metricValue: filter.value,
    }).metric({ statistic: filter.statistic, period: fiveMinutes });
  }

  #alarm(
    id: string,
    alarmDescription: string,
    metric: IMetric,
    props: Pick<AlarmProps, 'threshold' | 'evaluationPeriods' | 'comparisonOperator' | 'treatMissingData'>,
  ): void {
    const alarm = new Alarm(this, id, {
      alarmDescription,
      metric,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      ...props,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    alarm.addOkAction(new SnsAction(this.topic));
  }
}
