import { Duration, RemovalPolicy, Size as StorageSize } from 'aws-cdk-lib';
import { SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import {
  type FunctionUrl,
  FunctionUrlAuthType,
  InvokeMode,
  Function as LambdaFunction,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { ClusterFunctionProps } from './compactor-function.js';
import { lambdaBundle, lambdaRuntime } from './lambda-bundle.js';
import { lambdaRole } from './lambda-role.js';
import { storeEnvironment } from './store-environment.js';

/** The querier: a function behind a URL that wants requests signed with IAM credentials. It only reads. */
export class QueryFunction extends Construct {
  readonly function: LambdaFunction;
  readonly url: FunctionUrl;
  readonly logGroup: LogGroup;
  readonly group: SecurityGroup;

  constructor(scope: Construct, id: string, props: ClusterFunctionProps) {
    super(scope, id);
    const { settings, network, stores, clusterSecret } = props;
    const { vpc } = network;
    this.logGroup = new LogGroup(this, 'Logs', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = lambdaRole(this, 'Role', this.logGroup);
    stores.grantCatalogRead(role);
    stores.grantHistoryRead(role);
    this.group = new SecurityGroup(this, 'Group', { vpc, description: 'Varve querier' });
    const { code, layers } = lambdaBundle(this, 'query', settings);
    const memoryMiB = settings.size.queryMemoryMiB;
    this.function = new LambdaFunction(this, 'Function', {
      ...lambdaRuntime,
      description: 'Varve querier: SQL over settled history and what is in flux',
      code,
      layers: [...layers],
      handler: 'index.handler',
      role,
      vpc,
      vpcSubnets: { subnets: vpc.isolatedSubnets },
      securityGroups: [this.group],
      memorySize: memoryMiB,
      // The cache of settled files and what DuckDB spills.
      ephemeralStorageSize: StorageSize.gibibytes(4),
      timeout: Duration.minutes(2),
      logGroup: this.logGroup,
      environment: {
        ...storeEnvironment(stores),
        VARVE_DATA_DIR: '/tmp/varve',
        VARVE_LOG_FORMAT: 'json',
        VARVE_CLUSTER_SECRET: clusterSecret.secretValue.unsafeUnwrap(),
        // Half for the engine; the rest is the runtime's, the decoder's and what is in flux.
        VARVE_QUERY_MEMORY: `${Math.floor(memoryMiB / 2)}MiB`,
      },
    });
    this.url = this.function.addFunctionUrl({
      authType: FunctionUrlAuthType.AWS_IAM,
      invokeMode: InvokeMode.RESPONSE_STREAM,
    });
  }
}
