import { Stack } from 'aws-cdk-lib';
import {
  type GatewayVpcEndpoint,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { AnyPrincipal, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import type { Settings } from '../settings.js';
import type { Stores } from './stores.js';

/**
 * A network without a way to or from the internet: S3 and DynamoDB are reached by gateway endpoints, which cost
 * nothing, and what Fargate needs to start a task by interface endpoints, which cost about as much as a NAT gateway in
 * each zone and open no way out.
 */
export class Network extends Construct {
  readonly vpc: Vpc;

  constructor(scope: Construct, id: string, settings: Settings, stores: Stores) {
    super(scope, id);
    this.vpc = new Vpc(this, 'Vpc', {
      ipAddresses: IpAddresses.cidr(settings.networkCidr),
      maxAzs: settings.zones,
      natGateways: 0,
      // Nothing is in the default group; emptying it takes a function that may change every group.
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [{ name: 'varve', subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 24 }],
    });
    this.#addS3(stores);
    this.#addDynamoDb(stores);
    const services = {
      EcrApi: InterfaceVpcEndpointAwsService.ECR,
      EcrDocker: InterfaceVpcEndpointAwsService.ECR_DOCKER,
      Logs: InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
      Secrets: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
      ...(settings.fanOut ? { Lambda: InterfaceVpcEndpointAwsService.LAMBDA } : {}),
    };
    for (const [name, service] of Object.entries(services)) this.vpc.addInterfaceEndpoint(name, { service });
  }

  #addS3(stores: Stores): void {
    const endpoint = this.#gateway('S3', GatewayVpcEndpointAwsService.S3);
    const { region, partition } = Stack.of(this);
    endpoint.addToPolicy(
      new PolicyStatement({
        principals: [new AnyPrincipal()],
        actions: [
          's3:GetObject',
          's3:PutObject',
          's3:DeleteObject',
          's3:AbortMultipartUpload',
          's3:ListBucket',
        ],
        resources: [stores.bucket.bucketArn, stores.bucket.arnForObjects('*')],
      }),
    );
    // Amazon ECR keeps the layers of images in a bucket of its own.
    endpoint.addToPolicy(
      new PolicyStatement({
        principals: [new AnyPrincipal()],
        actions: ['s3:GetObject'],
        resources: [`arn:${partition}:s3:::prod-${region}-starport-layer-bucket/*`],
      }),
    );
  }

  #addDynamoDb(stores: Stores): void {
    this.#gateway('DynamoDb', GatewayVpcEndpointAwsService.DYNAMODB).addToPolicy(
      new PolicyStatement({
        principals: [new AnyPrincipal()],
        actions: ['dynamodb:GetItem', 'dynamodb:Query', 'dynamodb:UpdateItem', 'dynamodb:DescribeTable'],
        resources: [stores.table.tableArn],
      }),
    );
  }

  #gateway(name: string, service: GatewayVpcEndpointAwsService): GatewayVpcEndpoint {
    return this.vpc.addGatewayEndpoint(name, { service });
  }
}
