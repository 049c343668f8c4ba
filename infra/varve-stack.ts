import { CfnOutput, Fn, Stack, type StackProps } from 'aws-cdk-lib';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { CompactorFunction } from './constructs/compactor-function.js';
import { IngestService } from './constructs/ingest-service.js';
import { Network } from './constructs/network.js';
import { QueryFunction } from './constructs/query-function.js';
import { Stores } from './constructs/stores.js';
import { Watch } from './constructs/watch.js';
import type { Settings } from './settings.js';

export interface VarveStackProps extends StackProps {
  readonly settings: Settings;
}

/** One deployment of Varve. */
export class VarveStack extends Stack {
  readonly #zones: number;

  constructor(scope: Construct, id: string, props: VarveStackProps) {
    super(scope, id, props);
    const { settings } = props;
    this.#zones = settings.zones;
    const stores = new Stores(this, 'Stores');
    const network = new Network(this, 'Network', settings, stores);
    const tokens = generatedSecret(this, 'Tokens', 'What clients show to write to Varve');
    const clusterSecret = generatedSecret(
      this,
      'ClusterSecret',
      'What processes of Varve show to one another',
    );
    const ingest = new IngestService(this, 'Ingest', { settings, network, stores, tokens, clusterSecret });
    const functions = { settings, network, stores, clusterSecret };
    const compactor = new CompactorFunction(this, 'Compactor', functions);
    const query = new QueryFunction(this, 'Query', functions);
    ingest.allowPeer(compactor.group);
    ingest.allowPeer(query.group);
    const watch = new Watch(this, 'Watch', { settings, stores, ingest, compactor, query });

    const scheme = settings.certificateArn === undefined ? 'http' : 'https';
    const outputs = {
      WriteUrl: `${scheme}://${ingest.loadBalancer.loadBalancerDnsName}`,
      QueryUrl: query.url.url,
      TokensSecret: tokens.secretArn,
      Bucket: stores.bucket.bucketName,
      Table: stores.table.tableName,
      AlarmTopic: watch.topic.topicArn,
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }

  /** The first zones of the region, whichever these are there: without an account to ask the CDK takes two. */
  override get availabilityZones(): string[] {
    return Array.from({ length: this.#zones }, (_, zone) => Fn.select(zone, Fn.getAzs()));
  }
}

function generatedSecret(scope: Construct, id: string, description: string): Secret {
  return new Secret(scope, id, {
    description,
    generateSecretString: { passwordLength: 48, excludePunctuation: true },
  });
}
