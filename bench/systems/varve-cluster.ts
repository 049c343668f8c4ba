import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { workerUrl } from '../../core/std/worker-url.js';
import { LoopbackClient } from '../measure/http-exchange.js';
import type { WriteTarget } from '../measure/load.js';
import { type ChildServer, makeDirectory, startChildServer } from './child-server.js';

const database = 'bench';
const command = fileURLToPath(workerUrl(import.meta.url, '../../cli/main.js'));
/** Nothing closes while lines come in: what is measured is writing. */
const inFlux = ['--late-delay', '12h', '--late-bytes-max', '16GiB', '--hot-bytes-max', '16GiB'];

interface RunningPart {
  readonly child: ChildServer;
  readonly port: number;
}

/** Three `varve ingest` and a `varve query` on this machine, over an LMDB catalog. */
export class VarveCluster {
  readonly #folder = makeDirectory('cluster');
  readonly #parts = new Map<string, RunningPart>();
  /** CPU seconds of processes that have ended. */
  #endedCpuSeconds = 0;

  /** Starts the processes and makes a database with so many owners a shard, which writes at quorum. */
  static async start(replication: number): Promise<VarveCluster> {
    const cluster = new VarveCluster();
    writeFileSync(join(cluster.#folder, 'secret'), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
    try {
      for (const node of cluster.nodes) await cluster.startNode(node);
      await cluster.#start('query', [
        ...['query', '--object-store', `file:${join(cluster.#folder, 'objects')}`],
        ...['--cache-dir', join(cluster.#folder, 'cache'), '--query-hot-bytes', '8GiB'],
      ]);
      const body = Buffer.from(JSON.stringify({ db: database, replication, shards: 3 }));
      const request = { method: 'POST', path: '/api/v3/configure/database', contentType: 'application/json' };
      await cluster.#exchange('node-1', { ...request, method: 'POST', body });
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get nodes(): readonly string[] {
    return ['node-1', 'node-2', 'node-3'];
  }

  /** Where lines for a node go. */
  write(node: string): WriteTarget {
    return {
      port: this.#part(node).port,
      path: `/api/v3/write_lp?db=${database}&precision=nanosecond&consistency=quorum`,
    };
  }

  /** Starts a node with the data that it had. Resolves when it takes writes. */
  async startNode(node: string): Promise<void> {
    await this.#start(node, [
      ...['ingest', '--node-id', node, '--data-dir', join(this.#folder, node), '--peer-port', '0'],
      ...['--heartbeat-interval', '500ms', '--node-silence-max', '12h', '--hint-replay-rate', '16GiB'],
      ...['--hint-bytes-max', '16GiB', ...inFlux],
    ]);
  }

  /** Stops a node; its data stays. */
  async stopNode(node: string): Promise<void> {
    const { child } = this.#part(node);
    this.#endedCpuSeconds += child.cpuSeconds();
    this.#parts.delete(node);
    await child.stop();
  }

  /** Hints kept by all nodes that run. */
  async hints(): Promise<{ readonly count: number; readonly bytes: number }> {
    const total = { count: 0, bytes: 0 };
    for (const node of this.nodes) {
      if (!this.#parts.has(node)) continue;
      const answer = await this.#exchange(node, { method: 'GET', path: '/api/v1/hints' });
      const { destinations } = JSON.parse(answer.toString()) as {
        readonly destinations: readonly { readonly hints: number; readonly bytes: number }[];
      };
      for (const { hints, bytes } of destinations) {
        total.count += hints;
        total.bytes += bytes;
      }
    }
    return total;
  }

  /** Rows of a table, as a quorum of owners has them. */
  async rows(table: string): Promise<number> {
    const q = encodeURIComponent(`SELECT count(*) AS n FROM ${table}`);
    const path = `/api/v3/query_sql?db=${database}&consistency=quorum&q=${q}`;
    const [row] = JSON.parse((await this.#exchange('query', { method: 'GET', path })).toString()) as {
      readonly n: number;
    }[];
    return row?.n ?? 0;
  }

  /** Of the ingest nodes. */
  cpuSeconds(): number {
    const running = this.nodes.flatMap((node) => this.#parts.get(node)?.child.cpuSeconds() ?? []);
    return running.reduce((sum, seconds) => sum + seconds, this.#endedCpuSeconds);
  }

  async stop(): Promise<void> {
    for (const { child } of this.#parts.values()) await child.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #part(name: string): RunningPart {
    const found = this.#parts.get(name);
    if (found === undefined) throw new Error(`${name} does not run`);
    return found;
  }

  async #exchange(
    part: string,
    request: { method: 'GET' | 'POST'; path: string; body?: Buffer; contentType?: string },
  ): Promise<Buffer> {
    const client = new LoopbackClient(this.#part(part).port, 1);
    try {
      return await client.expect(request);
    } finally {
      client.close();
    }
  }

  async #start(name: string, args: readonly string[]): Promise<void> {
    let port = 0;
    const shared = [
      ...['--port', '0', '--log-level', 'error', '--meta-store', `lmdb:${join(this.#folder, 'meta')}`],
      ...['--cluster-secret-file', join(this.#folder, 'secret')],
    ];
    const child = await startChildServer({
      command: process.execPath,
      args: [command, ...args, ...shared],
      // Its working folder, which goes when it stops; its data stays.
      directory: makeDirectory(name),
      ready: async (process) => {
        port = await listeningPort(process);
      },
    });
    this.#parts.set(name, { child, port });
  }
}

function listeningPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout?.on('data', (piece: string) => {
      text = (text + piece).slice(-4000);
      const match = /listening on http:\/\/[^:]+:(\d+)/.exec(text);
      if (match !== null) resolve(Number(match[1]));
    });
  });
}
