import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { parseEcsContainer, readEcsTask } from '../../../cli/cluster/ecs-task.js';

/** The shape that the metadata endpoint answers with on Fargate, with addresses of documentation. */
const container = {
  DockerId: '0a1b2c3d4e5f-1234567890',
  Name: 'varve',
  Labels: {
    'com.amazonaws.ecs.cluster': 'arn:aws:ecs:eu-central-1:123456789012:cluster/varve',
    'com.amazonaws.ecs.container-name': 'varve',
    'com.amazonaws.ecs.task-arn': 'arn:aws:ecs:eu-central-1:123456789012:task/varve/0a1b2c3d4e5f',
  },
  DesiredStatus: 'RUNNING',
  Networks: [{ NetworkMode: 'awsvpc', IPv4Addresses: ['192.0.2.3'], IPv4SubnetCIDRBlock: '192.0.2.0/24' }],
};

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server = undefined;
});

/** An endpoint that answers with each of these in turn, and with the last one from then on. */
async function endpoint(...answers: readonly { readonly status: number; readonly body: string }[]) {
  let asked = 0;
  server = createServer((_request, response) => {
    const answer = answers[Math.min(asked++, answers.length - 1)];
    response.writeHead(answer?.status ?? 500).end(answer?.body);
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v4/0a1b`;
}

describe('the task of Amazon ECS', () => {
  it('is known by the last part of its ARN and its address', () => {
    expect(parseEcsContainer(container)).toEqual({ id: '0a1b2c3d4e5f', address: '192.0.2.3' });
  });

  it.each([
    ['no labels', { ...container, Labels: undefined }],
    ['no networks', { ...container, Networks: [] }],
    ['a network without an address', { ...container, Networks: [{ NetworkMode: 'awsvpc' }] }],
    ['nothing', null],
  ])('is refused with %s, naming what came', (_name, metadata) => {
    expect(() => parseEcsContainer(metadata)).toThrow(/metadata of the task: got ARN .* want both/);
  });

  it('is asked again while the endpoint is not up yet', async () => {
    const url = await endpoint({ status: 503, body: '' }, { status: 200, body: JSON.stringify(container) });
    expect(await readEcsTask(url)).toMatchObject({ id: '0a1b2c3d4e5f' });
  });

  it('cannot be read outside of a task', async () => {
    await expect(readEcsTask(undefined)).rejects.toMatchObject({
      kind: 'invalid',
      message: expect.stringContaining('no ECS_CONTAINER_METADATA_URI_V4'),
    });
  });
});
