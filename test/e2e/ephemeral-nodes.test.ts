import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from '../support/command.js';
import { clusterSecret } from '../support/peer-server.js';
import {
  makeDataDir,
  queryRows,
  removeDataDir,
  startTestProcess,
  type TestProcess,
  writeLines,
} from '../support/server-process.js';

const db = 'plant';
/** Nothing settles while a test runs: what is lost with a node would be missing. */
const spans = ['--window', '1h', '--deadline', '1h', '--late-delay', '1h', '--replication', '3'];

let folder = '';
let running: TestProcess[] = [];
let metadata: Server | undefined;

beforeEach(() => {
  folder = makeDataDir();
  running = [];
  writeFileSync(join(folder, 'secret'), `${clusterSecret}\n`);
});
afterEach(async () => {
  for (const each of running) await each.kill('SIGKILL');
  metadata?.close();
  metadata = undefined;
  removeDataDir(folder);
});

async function start(
  command: 'ingest' | 'compactor' | 'query',
  more: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<TestProcess> {
  const shared = [
    ...['--meta-store', `lmdb:${join(folder, 'meta')}`, '--cluster-secret-file', join(folder, 'secret')],
    ...(command === 'ingest' ? [] : ['--object-store', `file:${join(folder, 'objects')}`]),
    ...['--log-level', 'warn'],
  ];
  const started = await startTestProcess({ command, flags: [...shared, ...more], env });
  running.push(started);
  return started;
}

const ephemeral = [
  '--ephemeral',
  '--join-patience',
  '60s',
  '--heartbeat-interval',
  '200ms',
  ...spans,
  '--node-silence-max',
  '3s',
];
const startIngest = (node: string): Promise<TestProcess> =>
  start('ingest', [
    ...['--node-id', node, '--data-dir', join(folder, node), '--peer-port', '0'],
    ...ephemeral,
  ]);
const startCompactor = (): Promise<TestProcess> =>
  start('compactor', ['--compact-interval', '100ms', '--ephemeral-silence', '3s']);
const startQuerier = (): Promise<TestProcess> => start('query', ['--cache-dir', join(folder, 'cache')]);

/** Resolves once the node has joined; the test's own time limit ends it. */
async function joined(node: TestProcess): Promise<void> {
  for (;;) {
    const response = await fetch(`${node.url}/joined`);
    if (response.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function nodesOf(at: TestProcess): Promise<Record<string, string>> {
  const { stdout } = await runCommand(['nodes', '--json', '--url', at.url]);
  const { nodes } = JSON.parse(stdout) as { nodes: { node: string; state: string }[] };
  return Object.fromEntries(nodes.map(({ node, state }) => [node, state]));
}

async function countOf(querier: TestProcess): Promise<unknown> {
  const [row] = await queryRows(querier.client, db, 'SELECT count(*) AS n FROM motor');
  return row?.['n'];
}

/** Writes points one after the other until it is stopped, and remembers which were acknowledged. */
class Writer {
  readonly #acknowledged: number[] = [];
  readonly #loop: Promise<void>;
  #isStopping = false;

  constructor(nodes: () => readonly TestProcess[]) {
    this.#loop = this.#run(nodes);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#loop;
  }

  /** Every point that was acknowledged before this call is in the answer, once. */
  async checkAll(querier: TestProcess): Promise<void> {
    const wanted = [...this.#acknowledged];
    expect(wanted.length).toBeGreaterThan(10);
    const rows = await queryRows(querier.client, db, 'SELECT v FROM motor');
    const found = rows.map(({ v }) => Number(v));
    expect(new Set(found).size).toBe(found.length);
    const all = new Set(found);
    expect(wanted.filter((value) => !all.has(value))).toEqual([]);
  }

  async #run(nodes: () => readonly TestProcess[]): Promise<void> {
    const startNs = BigInt(Date.now()) * 1_000_000n;
    for (let value = 1; !this.#isStopping; value++) {
      const targets = nodes();
      const target = targets[value % targets.length];
      try {
        if (target === undefined) throw new Error('no node');
        await writeLines(target.client, db, `motor,m=m${value % 7} v=${value}i ${startNs + BigInt(value)}`);
        this.#acknowledged.push(value);
      } catch {
        // Not acknowledged: a node that is leaving refused the connection. It may stand or not.
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

describe('nodes whose disks go with them', () => {
  it('are replaced one after the other without losing a point, though none of the first is left', async () => {
    const first = await Promise.all(['task-1', 'task-2', 'task-3'].map(startIngest));
    const compactor = await startCompactor();
    const querier = await startQuerier();
    await Promise.all(first.map(joined));
    // Written all the while, through whichever nodes are there: what was acknowledged has to be found again.
    let nodes: readonly TestProcess[] = first;
    const writer = new Writer(() => nodes);
    for (const [number, old] of first.entries()) {
      const next = await startIngest(`task-${number + 4}`);
      await joined(next);
      nodes = [...nodes.filter((node) => node !== old), next];
      await old.kill('SIGTERM');
      expect(await old.ended).toEqual({ status: 0, signal: null });
      rmSync(join(folder, `task-${number + 1}`), { recursive: true });
      await writer.checkAll(querier);
    }
    await writer.stop();
    await writer.checkAll(querier);
    expect(await nodesOf(compactor)).toEqual({
      ...{ 'task-1': 'left', 'task-2': 'left', 'task-3': 'left' },
      ...{ 'task-4': 'live', 'task-5': 'live', 'task-6': 'live' },
    });
    // Ten processes, three of them handing over, took 80 s at a load of 25 on two cores.
  }, 240_000);

  it('are declared lost when they die, and what they held is copied again from the others', async () => {
    const first = await Promise.all(['task-1', 'task-2', 'task-3'].map(startIngest));
    const compactor = await startCompactor();
    const querier = await startQuerier();
    const [, second, third] = first;
    if (second === undefined || third === undefined) throw new Error('three were started');
    await writeLines(second.client, db, `motor,m=a v=1i\nmotor,m=b v=2i`);
    // One after the other: together they would be more than a quorum can spare.
    for (const [number, dying] of [second, third].entries()) {
      await dying.kill('SIGKILL');
      rmSync(join(folder, `task-${number + 2}`), { recursive: true });
      await joined(await startIngest(`task-${number + 4}`));
    }
    expect(await nodesOf(compactor)).toEqual({
      'task-1': 'live',
      ...{ 'task-2': 'lost', 'task-3': 'lost' },
      ...{ 'task-4': 'live', 'task-5': 'live' },
    });
    expect(await countOf(querier)).toBe(2);
  }, 120_000);

  it('take name and address from the task of Amazon ECS that they run in', async () => {
    const task = {
      Labels: { 'com.amazonaws.ecs.task-arn': 'arn:aws:ecs:eu-central-1:123456789012:task/varve/0a1b2c3d' },
      Networks: [{ NetworkMode: 'awsvpc', IPv4Addresses: ['127.0.0.1'] }],
    };
    metadata = createServer((_request, response) => response.end(JSON.stringify(task)));
    await new Promise<void>((resolve) => metadata?.listen(0, '127.0.0.1', resolve));
    const { port } = metadata.address() as AddressInfo;
    const peerPort = await freePort();
    const node = await start(
      'ingest',
      [
        ...['--node-id', 'ecs:task', '--advertise', 'ecs:task', '--data-dir', join(folder, 'data')],
        ...['--peer-host', '127.0.0.1', '--peer-port', String(peerPort), '--ephemeral'],
      ],
      { ECS_CONTAINER_METADATA_URI_V4: `http://127.0.0.1:${port}/v4/0a1b` },
    );
    const { nodes } = (await node.client.json('/api/v1/nodes')) as { nodes: object[] };
    expect(nodes).toMatchObject([{ node: '0a1b2c3d', address: `http://127.0.0.1:${peerPort}` }]);
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
