import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage, VarveError } from '../../core/std/errors.js';

/** Stands in for `--node-id` and for the URL of `--advertise`: what the task of Amazon ECS says. */
export const ofEcsTask = 'ecs:task';

/** A task of Amazon ECS, as its metadata endpoint tells it. */
export interface EcsTask {
  /** Last part of its ARN: no other task ever has it. */
  readonly id: string;
  /** IPv4 address of its network interface. */
  readonly address: string;
}

const taskArnLabel = 'com.amazonaws.ecs.task-arn';
const triesMax = 5;
const retryMs = 500;
const answerMsMax = 2000;

/**
 * Asks the metadata endpoint, version 4, for the container that this process runs in.
 *
 * Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
 *
 * @param endpoint content of ECS_CONTAINER_METADATA_URI_V4
 * Errors: `invalid` outside of a task, and for an answer without ARN or address; `unavailable` when nobody answers.
 */
export async function readEcsTask(endpoint: string | undefined): Promise<EcsTask> {
  if (endpoint === undefined || endpoint === '') {
    throw new VarveError(
      'invalid',
      `got "${ofEcsTask}" and no ECS_CONTAINER_METADATA_URI_V4 in the environment; want it in a task of Amazon ECS only, elsewhere a name and an address`,
    );
  }
  for (let tries = 1; ; tries++) {
    try {
      const response = await fetch(endpoint, { signal: AbortSignal.timeout(answerMsMax) });
      if (!response.ok) throw new Error(`status ${response.status}`);
      return parseEcsContainer(await response.json());
    } catch (error) {
      if (error instanceof VarveError) throw error;
      if (tries === triesMax) {
        throw new VarveError(
          'unavailable',
          `asking ${endpoint} for the task: ${errorMessage(error)}, ${tries} times`,
        );
      }
      await sleep(retryMs);
    }
  }
}

/** Reads the metadata of a container. Errors: `invalid` when there is no task ARN or no IPv4 address in it. */
export function parseEcsContainer(metadata: unknown): EcsTask {
  const arn = member(member(metadata, 'Labels'), taskArnLabel);
  const networks = member(metadata, 'Networks');
  const addresses = Array.isArray(networks)
    ? networks.flatMap((network: unknown) => member(network, 'IPv4Addresses') ?? [])
    : [];
  const id = typeof arn === 'string' ? arn.split('/').at(-1) : undefined;
  const address = addresses.find((each): each is string => typeof each === 'string');
  if (id !== undefined && /^[A-Za-z0-9-]{1,64}$/.test(id) && address !== undefined) return { id, address };
  throw new VarveError(
    'invalid',
    `metadata of the task: got ARN ${JSON.stringify(arn)} and addresses ${JSON.stringify(addresses)}; want both`,
  );
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
