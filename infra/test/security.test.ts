import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { actionsOf, type Statement, statementsOf, synthesize } from './templates.js';

const template = synthesize();
const roles = ['IngestTaskTaskRole', 'CompactorRole', 'QueryRole'] as const;
const catalogRead = ['dynamodb:DescribeTable', 'dynamodb:GetItem', 'dynamodb:Query'];
const isAll = (resource: unknown): boolean => resource === '*';

describe('stores', () => {
  it('keeps history encrypted, private, behind TLS, unversioned, and after the stack is gone', () => {
    template.resourceCountIs('AWS::S3::Bucket', 1);
    template.hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        BucketEncryption: Match.objectLike({ ServerSideEncryptionConfiguration: Match.anyValue() }),
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        VersioningConfiguration: Match.absent(),
        LifecycleConfiguration: {
          Rules: [
            Match.objectLike({
              AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
              ExpirationInDays: Match.absent(),
              Status: 'Enabled',
            }),
          ],
        },
      },
    });
    const denied = bucketStatements().filter(({ Effect }) => Effect === 'Deny');
    expect(denied.map(({ Condition }) => Condition)).toEqual([
      { Bool: { 'aws:SecureTransport': 'false' } },
      { NumericLessThan: { 's3:TlsVersion': 1.2 } },
    ]);
    expect(bucketStatements().filter(({ Effect }) => Effect === 'Allow')).toEqual([]);
  });

  it('keeps the catalog on demand, recoverable, protected, and after the stack is gone', () => {
    template.hasResource('AWS::DynamoDB::GlobalTable', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        TimeToLiveSpecification: { AttributeName: 'expires', Enabled: true },
        Replicas: [
          Match.objectLike({
            DeletionProtectionEnabled: true,
            PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
          }),
        ],
      },
    });
  });

  function bucketStatements(): readonly Statement[] {
    return Object.values(template.findResources('AWS::S3::BucketPolicy')).flatMap(
      (policy) => policy['Properties'].PolicyDocument.Statement as Statement[],
    );
  }
});

describe('roles', () => {
  it('lets the ingest node change the catalog, and nothing of history', () => {
    expect(actionsOf(template, 'IngestTaskTaskRole')).toEqual([...catalogRead, 'dynamodb:UpdateItem']);
  });

  it('lets the compactor alone write and delete history', () => {
    const writers = roles.filter((role) =>
      actionsOf(template, role).some((action) => /^s3:(Put|Delete)/.test(action)),
    );
    expect(writers).toEqual(['CompactorRole']);
    expect(actionsOf(template, 'CompactorRole').filter((action) => /^(s3|dynamodb):/.test(action))).toEqual([
      ...catalogRead,
      'dynamodb:UpdateItem',
      's3:AbortMultipartUpload',
      's3:DeleteObject',
      's3:GetObject',
      's3:ListBucket',
      's3:PutObject',
    ]);
  });

  it('lets the compactor invoke itself where it fans out, and no other function ever', () => {
    expect(actionsOf(template, 'CompactorRole')).not.toContain('lambda:InvokeFunction');
    const fanned = synthesize({ fanOut: 'true', stage: 'test' });
    const invoke = statementsOf(fanned, 'CompactorRole').filter(
      ({ Action }) => Action === 'lambda:InvokeFunction',
    );
    expect(invoke).toHaveLength(1);
    expect(JSON.stringify(invoke[0]?.Resource)).toMatch(/:function:varve-test-compactor"/);
    fanned.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'varve-test-compactor',
      Environment: { Variables: Match.objectLike({ VARVE_FAN_OUT: 'true' }) },
    });
    expect(actionsOf(fanned, 'QueryRole')).not.toContain('lambda:InvokeFunction');
  });

  it('lets the querier read and do nothing else', () => {
    expect(actionsOf(template, 'QueryRole').filter((action) => /^(s3|dynamodb):/.test(action))).toEqual([
      ...catalogRead,
      's3:GetObject',
      's3:ListBucket',
    ]);
  });

  it('gives no role a wildcard action, nor a wildcard resource where one can be named', () => {
    const statements = Object.values(template.findResources('AWS::IAM::Policy')).flatMap(
      (policy) => policy['Properties'].PolicyDocument.Statement as Statement[],
    );
    expect(statements.length).toBeGreaterThan(8);
    const allowed = statements.filter(({ Effect }) => Effect === 'Allow');
    expect(allowed.flatMap(({ Action }) => Action).filter((action) => action.endsWith('*'))).toEqual([]);
    const onAll = allowed.filter(({ Resource }) => isAll(Resource)).flatMap(({ Action }) => Action);
    expect(onAll.filter((action) => !/^ec2:|^ecr:GetAuthorizationToken$/.test(action))).toEqual([]);
  });

  it('takes from the code of functions what Lambda itself needs for network interfaces', () => {
    for (const role of ['CompactorRole', 'QueryRole']) {
      const denied = statementsOf(template, role).find(({ Effect }) => Effect === 'Deny');
      expect(denied?.Action).toContain('ec2:CreateNetworkInterface');
      expect(denied?.Condition).toMatchObject({ ArnLike: { 'lambda:SourceFunctionArn': expect.anything() } });
    }
  });

  it('uses no managed policy', () => {
    const managed = Object.values(template.findResources('AWS::IAM::Role')).flatMap(
      (role) => role['Properties'].ManagedPolicyArns ?? [],
    );
    expect(managed).toEqual([]);
  });
});

describe('network', () => {
  it('has no way to or from the internet', () => {
    for (const type of ['AWS::EC2::InternetGateway', 'AWS::EC2::NatGateway', 'AWS::EC2::EIP'])
      template.resourceCountIs(type, 0);
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', { Scheme: 'internal' });
  });

  it('reaches S3 and DynamoDB by gateway endpoints that open the bucket and the table of this stack only', () => {
    const gateways = Object.values(
      template.findResources('AWS::EC2::VPCEndpoint', { Properties: { VpcEndpointType: 'Gateway' } }),
    );
    expect(gateways).toHaveLength(2);
    for (const gateway of gateways) {
      const statements = gateway['Properties'].PolicyDocument.Statement as readonly Statement[];
      expect(statements.some(({ Resource }) => isAll(Resource))).toBe(false);
    }
  });

  it('lets in to the load balancer the networks that were named, never everyone', () => {
    const open = (of: Template): unknown[] =>
      Object.values(of.findResources('AWS::EC2::SecurityGroup')).flatMap((group) =>
        ((group['Properties'].SecurityGroupIngress ?? []) as { CidrIp?: string }[]).map(
          ({ CidrIp }) => CidrIp,
        ),
      );
    expect(open(template)).not.toContain('0.0.0.0/0');
    expect(open(template)).toContain('10.86.0.0/16');
    expect(open(synthesize({ clients: '10.1.0.0/16,10.2.0.0/16' }))).toEqual(
      expect.arrayContaining(['10.1.0.0/16', '10.2.0.0/16']),
    );
  });

  it('speaks TLS 1.3 where there is a certificate', () => {
    const secured = synthesize({
      certificateArn:
        'arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000',
    });
    secured.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Port: 443,
      Protocol: 'HTTPS',
      SslPolicy: Match.stringLikeRegexp('TLS13'),
    });
  });
});

describe('the ingest task', () => {
  it('runs as a user without rights on a root that it cannot write', () => {
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      ContainerDefinitions: [
        Match.objectLike({
          User: '1000',
          ReadonlyRootFilesystem: true,
          Privileged: Match.absent(),
          StopTimeout: 120,
        }),
      ],
    });
  });

  it('gets its secrets from Secrets Manager and none in its environment', () => {
    const [task] = Object.values(template.findResources('AWS::ECS::TaskDefinition'));
    const [container] = task!['Properties'].ContainerDefinitions;
    expect(container.Secrets.map(({ Name }: { Name: string }) => Name)).toEqual([
      'VARVE_TOKENS',
      'VARVE_CLUSTER_SECRET',
    ]);
    expect(JSON.stringify(container.Environment)).not.toContain('resolve:secretsmanager');
  });
});

describe('functions', () => {
  it('opens the URL of the querier to signed requests only', () => {
    template.hasResourceProperties('AWS::Lambda::Url', {
      AuthType: 'AWS_IAM',
      InvokeMode: 'RESPONSE_STREAM',
    });
    const open = Object.values(template.findResources('AWS::Lambda::Permission')).filter(
      (permission) => permission['Properties'].Principal === '*',
    );
    expect(open).toEqual([]);
  });

  it('starts the compactor every minute, without tries that the next run makes anyway', () => {
    template.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'rate(1 minute)',
      Target: Match.objectLike({
        DeadLetterConfig: Match.anyValue(),
        RetryPolicy: { MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 0 },
      }),
    });
    template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
      MaximumRetryAttempts: 0,
      DestinationConfig: { OnFailure: Match.anyValue() },
    });
  });

  it('deploys what was bundled, the engine for the querier alone', () => {
    const bundle = mkdtempSync(join(tmpdir(), 'varve-bundle-'));
    try {
      for (const name of [
        'compactor',
        'query',
        'layer/nodejs/node_modules/@duckdb/node-bindings-linux-x64',
      ]) {
        mkdirSync(join(bundle, name), { recursive: true });
        writeFileSync(join(bundle, name, 'index.js'), `export const name = '${name}';\n`);
      }
      const bundled = synthesize({ placeholderCode: 'false', lambdaBundle: bundle });
      bundled.resourceCountIs('AWS::Lambda::LayerVersion', 1);
      const layersOf = (description: RegExp): number[] =>
        Object.values(bundled.findResources('AWS::Lambda::Function'))
          .filter((found) => description.test(found['Properties'].Description))
          .map((found) => (found['Properties'].Layers ?? []).length);
      expect(layersOf(/compactor/)).toEqual([0]);
      expect(layersOf(/querier/)).toEqual([1]);
      rmSync(join(bundle, 'layer'), { recursive: true });
      expect(() => synthesize({ placeholderCode: 'false', lambdaBundle: bundle })).toThrow(
        /no layer for the query function: .*npm run bundle:lambda/,
      );
    } finally {
      rmSync(bundle, { recursive: true });
    }
  });

  it('does not synthesise without their code', () => {
    expect(() => synthesize({ placeholderCode: 'false', lambdaBundle: '/nowhere' })).toThrow(
      /no code for the compactor function: got no folder .*npm run bundle:lambda/,
    );
  });
});

describe('watching', () => {
  it('sends every alarm to the topic', () => {
    const alarms = Object.values(template.findResources('AWS::CloudWatch::Alarm'));
    expect(alarms.length).toBeGreaterThanOrEqual(9);
    for (const alarm of alarms) expect(alarm['Properties'].AlarmActions).toHaveLength(1);
  });

  it.each([
    ['SealLagSeconds', '$.OldestWaitingSeconds', 'compactor/lambda/embedded-metrics.ts', 600],
    ['OldestHintSeconds', '$.OldestHintSeconds', 'cli/cluster/figure-log.ts', 2400],
  ])('makes %s of what is logged, alarms on it and shows it', (metric, field, source, threshold) => {
    template.hasResourceProperties('AWS::Logs::MetricFilter', {
      FilterPattern: `{ ${field} >= 0 }`,
      MetricTransformations: [{ MetricName: metric, MetricNamespace: 'Varve/dev', MetricValue: field }],
    });
    expect(readFileSync(new URL(`../../${source}`, import.meta.url), 'utf8')).toContain(field.slice(2));
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: metric,
      Namespace: 'Varve/dev',
      Statistic: 'Maximum',
      Threshold: threshold,
    });
    const [dashboard] = Object.values(template.findResources('AWS::CloudWatch::Dashboard'));
    expect(JSON.stringify(dashboard)).toContain(metric);
  });

  it('alarms on logged errors of nodes, and when fewer of them than a quorum are there', () => {
    template.hasResourceProperties('AWS::Logs::MetricFilter', { FilterPattern: '{ $.level >= 50 }' });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'IngestErrors', Threshold: 1 });
    for (const threshold of [2, 3])
      template.hasResourceProperties('AWS::CloudWatch::Alarm', {
        MetricName: 'HealthyHostCount',
        ComparisonOperator: 'LessThanThreshold',
        TreatMissingData: 'breaching',
        Threshold: threshold,
      });
  });

  it('has the nodes log their figures', () => {
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      ContainerDefinitions: [
        Match.objectLike({
          Environment: Match.arrayWith([{ Name: 'VARVE_FIGURES_INTERVAL', Value: '1m' }]),
        }),
      ],
    });
  });

  it('refuses queue and topic without TLS', () => {
    for (const type of ['AWS::SQS::QueuePolicy', 'AWS::SNS::TopicPolicy'])
      template.hasResourceProperties(type, {
        PolicyDocument: Match.objectLike({
          Statement: Match.arrayWith([
            Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
          ]),
        }),
      });
  });
});
