import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCatalogs } from '../../cli/serve/catalogs.js';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { HttpPeer } from '../../core/adapters/http-peer.js';
import { LmdbMetaStore } from '../../core/adapters/meta-store-lmdb.js';
import { PeerClient } from '../../core/adapters/peer-client.js';
import { SystemRandom } from '../../core/adapters/random-system.js';
import { NodeDirectory } from '../../core/catalog/node-directory.js';
import type { NodeId } from '../../core/model/batch.js';
import { runCommand } from '../support/command.js';
import { clusterSecret } from '../support/peer-server.js';
import { makeDataDir, removeDataDir, startTestProcess, type TestProcess } from '../support/server-process.js';

const db = 'plant';
const names = ['node-1', 'node-2', 'node-3'] as const;

let folder = '';
let running: TestProcess[] = [];
let pointsWritten = 0;

beforeEach(() => {
  folder = makeDataDir();
  running = [];
  pointsWritten = 0;
  writeFileSync(join(folder, 'secret'), `${clusterSecret}\n`);
});
afterEach(async () => {
  for (const each of running) await each.kill('SIGKILL');
  removeDataDir(folder);
});

/** Nothing closes by itself, and a node that is gone stays an owner of new groups. */
async function start(node: string): Promise<TestProcess> {
  const started = await startTestProcess({
    command: 'ingest',
    flags: [
      ...['--meta-store', `lmdb:${join(folder, 'meta')}`, '--cluster-secret-file', join(folder, 'secret')],
      ...['--node-id', node, '--data-dir', join(folder, node), '--peer-port', '0', '--log-level', 'error'],
      ...['--window', '1h', '--deadline', '1h', '--late-delay', '1h', '--replication', '3'],
      ...['--write-timeout', '2s', '--node-silence-max', '1h', '--heartbeat-interval', '500ms'],
    ],
  });
  running.push(started);
  return started;
}

async function write(to: TestProcess, level: string): Promise<number> {
  pointsWritten += 1;
  const response = await fetch(`${to.url}/api/v3/write_lp?db=${db}&consistency=${level}`, {
    method: 'POST',
    body: `motor,m=${pointsWritten} point=${pointsWritten}i ${1_700_000_000 + pointsWritten}000000000`,
  });
  await response.arrayBuffer();
  return response.status;
}

interface Destination {
  readonly node: string;
  readonly hints: number;
  readonly replayed: number;
}

async function hintsOf(node: TestProcess): Promise<readonly Destination[]> {
  return ((await node.client.json('/api/v1/hints')) as { destinations: readonly Destination[] }).destinations;
}

async function hintCount(node: TestProcess): Promise<number> {
  return (await hintsOf(node)).reduce((sum, { hints }) => sum + hints, 0);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; !(await condition()); attempt++) {
    expect(attempt).toBeLessThan(400);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What each node holds of the only group, as its peers see it. */
async function reports(): Promise<{ digest: string; rows: number }[]> {
  const clock = new SystemClock();
  const meta = await LmdbMetaStore.open(join(folder, 'meta'));
  const catalogs = openCatalogs({ store: meta, clock, random: new SystemRandom() });
  const nodes = new NodeDirectory({ nodes: catalogs.nodes, clock });
  const client = new PeerClient({ nodes, secret: clusterSecret });
  try {
    const [database] = await catalogs.databases.list();
    if (database === undefined) throw new Error('there is no database');
    const { groups } = (await catalogs.groups.get(database)).value;
    expect(groups).toHaveLength(1);
    const ask = (node: NodeId) => new HttpPeer(node, client).reportGroup(database.id, groups[0]!.id);
    return (await Promise.all(names.map((node) => ask(node as NodeId)))).map(({ digest, chunks }) => ({
      digest,
      rows: chunks.reduce((sum, { rows }) => sum + rows, 0),
    }));
  } finally {
    client.close();
    await meta.close();
  }
}

describe('hints of ingest nodes', () => {
  it('grow while an owner is away, survive a crash, and drain once it is back: all hold the same', async () => {
    let one = await start('node-1');
    const two = await start('node-2');
    let three = await start('node-3');
    expect(await write(one, 'all')).toBe(204);
    expect(await hintsOf(one)).toEqual([]);

    await three.kill('SIGKILL');
    for (let i = 0; i < 20; i++) expect(await write(i % 2 === 0 ? one : two, 'quorum')).toBe(204);
    // An answer at quorum may come before the hint is kept.
    await until(async () => (await hintCount(one)) + (await hintCount(two)) === 20);
    expect(await hintsOf(one)).toMatchObject([
      { node: 'node-3', hints: 10, replayed: 0, oldest_age_seconds: expect.any(Number) },
    ]);
    const table = await runCommand(['hints', '--url', one.url]);
    expect(table.stdout).toMatch(/for node +state +hints[\s\S]*node-3 +(backing-off|waiting|replaying) +10 /);
    expect(table.stdout).toMatch(/node-3: .*cannot be reached/);

    // A level that a hint alone meets, on a node that loses its process right after.
    await two.kill('SIGKILL');
    expect(await write(one, 'any')).toBe(204);
    await until(async () => (await hintCount(one)) === 12);
    await one.kill('SIGKILL');
    one = await start('node-1');
    expect(await hintCount(one)).toBe(12);

    three = await start('node-3');
    const again = await start('node-2');
    await until(async () => (await hintCount(one)) + (await hintCount(again)) === 0);
    const metrics = await (await fetch(`${one.url}/metrics`)).text();
    expect(metrics).toMatch(/varve_hints_ended_total\{node="node-3",how="replayed"\} 11\n/);
    const [first, ...others] = await reports();
    expect(first?.rows).toBe(22);
    expect(others).toEqual([first, first]);
    expect(await write(three, 'all')).toBe(204);
  });
});
