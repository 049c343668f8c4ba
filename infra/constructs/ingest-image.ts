import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Arn, ArnFormat, IgnoreMode, Stack } from 'aws-cdk-lib';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { Platform } from 'aws-cdk-lib/aws-ecr-assets';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import type { Construct } from 'constructs';
import type { Settings } from '../settings.js';

/** The checkout: this file is infra/dist/constructs/ingest-image.js once it is compiled, infra/constructs/… in tests. */
const infraFolder = fileURLToPath(import.meta.url).replace(/(\/dist)?\/constructs\/[^/]+$/, '');

/**
 * The image of the ingest task: the one that the settings name, which must be in Amazon ECR because the network has no
 * way to other registries, or one that the deployment builds from the Dockerfile.
 */
export function ingestImage(scope: Construct, { image }: Settings): ContainerImage {
  if (image === undefined) {
    return ContainerImage.fromAsset(dirname(infraFolder), {
      platform: Platform.LINUX_AMD64,
      ignoreMode: IgnoreMode.DOCKER,
    });
  }
  const match = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com\/([a-z0-9/_.-]+):([\w.-]+)$/.exec(image);
  const [, account, region, repositoryName, tag] = match ?? [];
  if (account === undefined || region === undefined || repositoryName === undefined || tag === undefined)
    throw new Error(`context "image": got ${image}; want ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG`);
  const repositoryArn = Arn.format({
    partition: Stack.of(scope).partition,
    service: 'ecr',
    account,
    region,
    resource: 'repository',
    resourceName: repositoryName,
    arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
  });
  const repository = Repository.fromRepositoryAttributes(scope, 'Image', { repositoryArn, repositoryName });
  return ContainerImage.fromEcrRepository(repository, tag);
}
