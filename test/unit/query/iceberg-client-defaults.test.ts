import { describe, expect, it } from 'vitest';
import { icebergClientDefaults } from '../../../cli/serve/iceberg-client-defaults.js';

describe('defaults for clients of the Iceberg catalog', () => {
  const s3 = { objectStore: 's3://bucket/prefix', metaStore: '', dataDir: '/d' };
  const secrets = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret', AWS_SESSION_TOKEN: 'token' };

  it('names region, endpoint and style of URLs, and no credential', () => {
    const environment = { AWS_REGION: 'eu-west-1', AWS_ENDPOINT_URL: 'http://127.0.0.1:4566', ...secrets };
    expect(icebergClientDefaults(s3, environment)).toEqual({
      's3.region': 'eu-west-1',
      'client.region': 'eu-west-1',
      's3.endpoint': 'http://127.0.0.1:4566',
      's3.path-style-access': 'true',
    });
  });

  it('prefers what is said of S3 alone, and takes an empty variable for none', () => {
    const environment = { AWS_REGION: '', AWS_DEFAULT_REGION: 'us-east-2', AWS_ENDPOINT_URL_S3: 'http://s3' };
    expect(icebergClientDefaults(s3, { ...environment, AWS_ENDPOINT_URL: 'http://all' })).toMatchObject({
      's3.region': 'us-east-2',
      's3.endpoint': 'http://s3',
    });
    expect(icebergClientDefaults(s3, { AWS_ENDPOINT_URL: '' })).toEqual({});
    expect(icebergClientDefaults({ ...s3, s3PathStyle: true }, {})).toEqual({
      's3.path-style-access': 'true',
    });
  });

  it('says nothing of files on this machine', () => {
    expect(icebergClientDefaults({ ...s3, objectStore: 'file:/d' }, { AWS_REGION: 'eu-west-1' })).toEqual({});
  });
});
