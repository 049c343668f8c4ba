import { ArnFormat, Duration, RemovalPolicy, Stack, Size as StorageSize } from 'aws-cdk-lib';
import { SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam';
import { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Schedule, ScheduleExpression, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import type { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { Settings } from '../settings.js';
import { lambdaBundle, lambdaRuntime } from './lambda-bundle.js';
import { lambdaRole } from './lambda-role.js';
import type { Network } from './network.js';
import { storeEnvironment } from './store-environment.js';
import type { Stores } from './stores.js';

export interface ClusterFunctionProps {
  readonly settings: Settings;
  readonly network: Network;
  readonly stores: Stores;
  readonly clusterSecret: Secret;
}

/** A function has to exist before its ARN is known, and its role before it: so it is allowed by the name it will have. */
function allowInvoke(role: Role, functionName: string): void {
  const resource = { service: 'lambda', resource: 'function', resourceName: functionName };
  const arn = Stack.of(role).formatArn({ ...resource, arnFormat: ArnFormat.COLON_RESOURCE_NAME });
  role.addToPolicy(new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [arn] }));
}

/**
 * The compactor: once a minute it closes, seals, merges and expires what is due. Runs that overlap do no harm, for one
 * of them holds the lease; a run that fails is not tried again, because the next one does its work.
 */
export class CompactorFunction extends Construct {
  readonly function: LambdaFunction;
  readonly deadLetters: Queue;
  readonly logGroup: LogGroup;
  readonly group: SecurityGroup;

  constructor(scope: Construct, id: string, props: ClusterFunctionProps) {
    super(scope, id);
    const { settings, network, stores, clusterSecret } = props;
    const { vpc } = network;
    this.deadLetters = new Queue(this, 'DeadLetters', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    this.logGroup = new LogGroup(this, 'Logs', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = lambdaRole(this, 'Role', this.logGroup);
    stores.grantCatalog(role);
    stores.grantHistoryWrite(role);
    this.group = new SecurityGroup(this, 'Group', { vpc, description: 'Varve compactor' });
    const { code, layers } = lambdaBundle(this, 'compactor', settings);
    const name = settings.fanOut ? `varve-${settings.stage}-compactor` : undefined;
    if (name !== undefined) allowInvoke(role, name);
    this.function = new LambdaFunction(this, 'Function', {
      ...lambdaRuntime,
      ...(name === undefined ? {} : { functionName: name }),
      description: 'Varve compactor: seals, merges and expires what is due',
      code,
      layers: [...layers],
      handler: 'index.handler',
      role,
      vpc,
      vpcSubnets: { subnets: vpc.isolatedSubnets },
      securityGroups: [this.group],
      memorySize: settings.size.compactorMemoryMiB,
      ephemeralStorageSize: StorageSize.gibibytes(2),
      timeout: Duration.minutes(15),
      logGroup: this.logGroup,
      environment: {
        ...storeEnvironment(stores),
        VARVE_DATA_DIR: '/tmp/varve',
        VARVE_LOG_FORMAT: 'json',
        ...(settings.fanOut ? { VARVE_FAN_OUT: 'true' } : {}),
        // Resolved when the stack is deployed: a function in this network would need an endpoint more to ask itself.
        VARVE_CLUSTER_SECRET: clusterSecret.secretValue.unsafeUnwrap(),
      },
      retryAttempts: 0,
      maxEventAge: Duration.minutes(1),
      onFailure: new SqsDestination(this.deadLetters),
    });
    new Schedule(this, 'EveryMinute', {
      schedule: ScheduleExpression.rate(Duration.minutes(1)),
      description: 'Runs the Varve compactor',
      target: new LambdaInvoke(this.function, {
        input: ScheduleTargetInput.fromObject({ source: 'varve.schedule' }),
        deadLetterQueue: this.deadLetters,
        retryAttempts: 0,
        maxEventAge: Duration.minutes(1),
      }),
    });
  }
}
