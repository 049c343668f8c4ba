import type { Option } from 'commander';
import { switchFlag, textFlag } from '../flags.js';

/** What every process of a cluster is told. */
export interface ClusterFlags {
  readonly metaStore: string;
  readonly clusterSecretFile: string;
}

/** Where the object store is, for processes that read or write history. */
export interface HistoryFlags {
  readonly objectStore: string;
  readonly s3PathStyle: boolean;
}

/** The catalog and the secret: every process of a cluster shares them, so there is no default. */
export function clusterOptions(): readonly Option[] {
  return [
    textFlag(
      '--meta-store <url>',
      'lmdb:PATH or dynamodb://table; the same for every process',
    ).makeOptionMandatory(),
    textFlag(
      '--cluster-secret-file <path>',
      'file of the secret by which processes know one another, 16 bytes or more',
    ).makeOptionMandatory(),
  ];
}

/** The object store, which compactors and queriers share. */
export function historyOptions(): readonly Option[] {
  return [
    textFlag(
      '--object-store <url>',
      'file:PATH or s3://bucket/prefix; the same for every process',
    ).makeOptionMandatory(),
    switchFlag('--s3-path-style', 'the bucket in the path of URLs; always so with AWS_ENDPOINT_URL'),
  ];
}
