import type { Stores } from './stores.js';

/** What names the stores in the environment of a process. */
export type StoreEnvironment = Record<'VARVE_OBJECT_STORE' | 'VARVE_META_STORE', string>;

/** The environment that names the stores to a process of varve; the region comes from the platform. */
export function storeEnvironment(stores: Stores): StoreEnvironment {
  return {
    VARVE_OBJECT_STORE: `s3://${stores.bucket.bucketName}/history`,
    VARVE_META_STORE: `dynamodb://${stores.table.tableName}`,
  };
}
