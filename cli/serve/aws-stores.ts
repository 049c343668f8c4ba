import { SystemClock } from '../../core/adapters/clock-system.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import type { MetaStore } from '../../core/ports/meta-store.js';
import type { ObjectStore } from '../../core/ports/object-store.js';
import type { StoreMetrics } from './store-metrics.js';

/**
 * The stores on AWS. Region, credentials and endpoint come from where every tool of AWS takes them: the environment
 * (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, …), the shared configuration files, the role of the machine. The SDK is
 * loaded here and only when it is wanted: it takes longer to load than all the rest.
 */

/** Opens the object store at `s3://bucket/prefix`. */
export async function openS3(url: string, pathStyle: boolean, metrics?: StoreMetrics): Promise<ObjectStore> {
  const { parseS3Location, S3ObjectStore } = await import('../../core/adapters/object-store-s3.js');
  return new S3ObjectStore({
    location: parseS3Location(url),
    clock: new SystemClock(),
    random: new SystemRandom(),
    pathStyle: pathStyle || hasEndpoint(),
    connection: metrics === undefined ? {} : { onAttempt: (operation) => metrics.attempt('s3', operation) },
  });
}

/** Opens the meta store at `dynamodb://table`. */
export async function openDynamoDb(url: string, metrics?: StoreMetrics): Promise<MetaStore> {
  const { DynamoDbMetaStore, parseDynamoDbTable } = await import(
    '../../core/adapters/meta-store-dynamodb.js'
  );
  return new DynamoDbMetaStore({
    table: parseDynamoDbTable(url),
    clock: new SystemClock(),
    random: new SystemRandom(),
    ...(metrics === undefined
      ? {}
      : {
          connection: { onAttempt: (operation) => metrics.attempt('dynamodb', operation) },
          onUnits: metrics.units,
        }),
  });
}

/** Emulators and compatible services seldom have a host name for each bucket. */
function hasEndpoint(): boolean {
  const { AWS_ENDPOINT_URL_S3: ofS3, AWS_ENDPOINT_URL: ofAll } = process.env;
  return (ofS3 ?? '') !== '' || (ofAll ?? '') !== '';
}
