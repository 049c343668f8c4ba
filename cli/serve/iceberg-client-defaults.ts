import type { StoreFlags } from './stores.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where the objects are, for clients of the Iceberg catalog that have not been told: region, endpoint and style of
 * URLs, under the names that PyIceberg and the Java clients read. Never a credential: whoever reads the files has
 * rights of their own.
 */
export function icebergClientDefaults(
  stores: StoreFlags,
  environment: Environment = process.env,
): Readonly<Record<string, string>> {
  if (!stores.objectStore.startsWith('s3://')) return {};
  const region = environment['AWS_REGION'] || environment['AWS_DEFAULT_REGION'];
  const endpoint = environment['AWS_ENDPOINT_URL_S3'] || environment['AWS_ENDPOINT_URL'];
  return {
    ...(region ? { 's3.region': region, 'client.region': region } : {}),
    ...(endpoint ? { 's3.endpoint': endpoint } : {}),
    ...(endpoint || stores.s3PathStyle === true ? { 's3.path-style-access': 'true' } : {}),
  };
}
