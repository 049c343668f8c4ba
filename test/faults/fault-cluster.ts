import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { HttpPeer } from '../../core/adapters/http-peer.js';
import { PeerClient } from '../../core/adapters/peer-client.js';
import type { NodeId } from '../../core/model/batch.js';
import type { Peer } from '../../core/ports/peer.js';
import { clusterSecret } from '../support/peer-server.js';
import { makeDataDir, removeDataDir, startTestProcess, type TestProcess } from '../support/server-process.js';
import { socketOwner } from '../support/socket-owner.js';
import { type LinkState, TcpProxy } from '../support/tcp-proxy.js';

/** How the processes are started. */
export interface FaultClusterOptions {
  readonly nodes: readonly string[];
  readonly queriers: readonly string[];
  readonly ingestFlags: readonly string[];
  readonly compactorFlags: readonly string[];
  /** Each node's data on a file system of its own of this size, which can be filled; null for a plain folder. */
  readonly volumeBytes: number | null;
}

/** Whether a volume of limited size can be mounted here: that takes Linux and its superuser. */
export const canMountVolumes = process.platform === 'linux' && process.getuid?.() === 0 && canMount();

const started = new Set<FaultCluster>();

/** Stops what a test has left: one that runs out of time gets to no end of its own. For `afterAll`. */
export async function stopClusters(): Promise<void> {
  for (const cluster of started) await cluster.stop();
}

/**
 * Ingest nodes behind proxies, a compactor and queriers, all real processes. Every process reaches a node through the
 * node's proxy, which has a link for each of them. The catalog is shared on this machine and cannot be cut off.
 */
export class FaultCluster {
  readonly directory: string;
  readonly #options: FaultClusterOptions;
  readonly #running = new Map<string, TestProcess>();
  readonly #proxies = new Map<string, { readonly proxy: TcpProxy; readonly peerPort: number }>();
  readonly #volumes: string[] = [];
  readonly #client: PeerClient;

  private constructor(options: FaultClusterOptions) {
    this.#options = options;
    this.directory = makeDataDir();
    writeFileSync(join(this.directory, 'secret'), `${clusterSecret}\n`, { mode: 0o600 });
    // The checks themselves go past the proxies.
    this.#client = new PeerClient({
      nodes: {
        locate: async (node) => `http://127.0.0.1:${this.#proxies.get(node)?.peerPort ?? 0}`,
        forget: () => {},
      },
      secret: clusterSecret,
    });
  }

  /** Starts everything; the folder is removed again by stop(). */
  static async start(options: FaultClusterOptions): Promise<FaultCluster> {
    const cluster = new FaultCluster(options);
    started.add(cluster);
    try {
      for (const node of options.nodes) {
        const peerPort = await freePort();
        const proxy = await TcpProxy.start(peerPort, (port, proxyPort) => cluster.#nameOf(port, proxyPort));
        cluster.#proxies.set(node, { proxy, peerPort });
        cluster.#makeVolume(node);
        await cluster.startNode(node);
      }
      await cluster.startCompactor();
      for (const name of options.queriers) await cluster.#startQuerier(name);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get nodes(): readonly string[] {
    return this.#options.nodes;
  }

  /** Every process that may call a node. */
  get callers(): readonly string[] {
    return [...this.#options.nodes, 'compactor', ...this.#options.queriers];
  }

  process(name: string): TestProcess {
    const found = this.#running.get(name);
    if (found === undefined) throw new Error(`${name} does not run`);
    return found;
  }

  isRunning(name: string): boolean {
    return this.#running.has(name);
  }

  /** The node's peer API, past the proxies. */
  peer(node: string): Peer {
    return new HttpPeer(node as NodeId, this.#client);
  }

  /** Starts a node, with the data that it had. */
  async startNode(node: string): Promise<void> {
    const found = this.#proxies.get(node);
    if (found === undefined) throw new Error(`${node} has no proxy`);
    await this.#start(node, 'ingest', [
      ...['--node-id', node, '--data-dir', join(this.directory, node), '--peer-port', `${found.peerPort}`],
      ...['--advertise', `http://127.0.0.1:${found.proxy.port}`, ...this.#options.ingestFlags],
    ]);
  }

  startCompactor(): Promise<void> {
    return this.#start('compactor', 'compactor', [...this.#objects(), ...this.#options.compactorFlags]);
  }

  /** Ends a process with a signal and waits until it is gone. */
  async end(name: string, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const found = this.process(name);
    this.#running.delete(name);
    await found.kill(signal);
  }

  /** Stops a process in its tracks, or lets it go on. */
  pause(name: string, isPaused: boolean): void {
    process.kill(this.process(name).pid, isPaused ? 'SIGSTOP' : 'SIGCONT');
  }

  /** Changes how a caller reaches a node. */
  setLink(caller: string, node: string, state: Partial<LinkState>): void {
    this.#proxies.get(node)?.proxy.set(caller, state);
  }

  healLinks(): void {
    for (const { proxy } of this.#proxies.values()) proxy.heal();
  }

  /** Fills the node's volume to the last block, or frees it again. */
  fillVolume(node: string, isFull: boolean): void {
    const filler = join(this.directory, node, 'filler');
    if (!isFull) {
      rmSync(filler, { force: true });
      return;
    }
    // The node goes on writing, so the last bit is filled block by block, until there is no more.
    const { bavail, bsize } = statfsSync(join(this.directory, node));
    execFileSync('fallocate', ['--length', `${Math.floor((bavail * bsize * 9) / 10)}`, filler]);
    const block = Buffer.alloc(64 * 1024);
    try {
      for (;;) appendFileSync(filler, block);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    }
  }

  /** The most memory that each running process has held, by name; only Linux tells. */
  memoryBytesMax(): Record<string, number> {
    if (process.platform !== 'linux') return {};
    const peaks = [...this.#running].map(([name, { pid }]): [string, number] => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return [name, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024];
    });
    return Object.fromEntries(peaks);
  }

  /** Ends all processes and removes what they kept. */
  async stop(): Promise<void> {
    if (!started.delete(this)) return;
    this.#client.close();
    for (const each of this.#running.values()) await each.kill('SIGKILL');
    for (const { proxy } of this.#proxies.values()) await proxy.stop();
    for (const volume of this.#volumes) execFileSync('umount', [volume]);
    removeDataDir(this.directory);
  }

  #startQuerier(name: string): Promise<void> {
    return this.#start(name, 'query', [
      ...this.#objects(),
      '--cache-dir',
      join(this.directory, `cache-${name}`),
    ]);
  }

  #objects(): string[] {
    return ['--object-store', `file:${join(this.directory, 'objects')}`];
  }

  async #start(
    name: string,
    command: 'ingest' | 'compactor' | 'query',
    flags: readonly string[],
  ): Promise<void> {
    const shared = [
      ...['--meta-store', `lmdb:${join(this.directory, 'meta')}`],
      ...['--cluster-secret-file', join(this.directory, 'secret'), '--log-level', 'warn'],
    ];
    const started = await startTestProcess({ command, flags: [...shared, ...flags] });
    this.#running.set(name, started);
    void started.ended.then(({ status }) => {
      // Nobody ended it: it is one that gave up by itself, which the run must tell.
      if (this.#running.get(name) === started && status !== null) {
        this.#running.delete(name);
        this.onEnded(name, status, started.log());
      }
    });
  }

  /** Told of a process that ended by itself. */
  onEnded: (name: string, status: number, log: string) => void = () => {};

  #nameOf(port: number, proxyPort: number): string | undefined {
    const names = new Map([...this.#running].map(([name, { pid }]) => [pid, name]));
    const pid = socketOwner(port, proxyPort, names.keys());
    return pid === undefined ? undefined : names.get(pid);
  }

  #makeVolume(node: string): void {
    const { volumeBytes } = this.#options;
    const path = join(this.directory, node);
    mkdirSync(path, { recursive: true });
    if (volumeBytes === null) return;
    mount(path, volumeBytes);
    this.#volumes.push(path);
  }
}

function mount(path: string, bytes: number): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'varve-test', path], { stdio: 'pipe' });
}

function canMount(): boolean {
  const path = makeDataDir();
  try {
    mount(path, 2 ** 20);
    execFileSync('umount', [path]);
    execFileSync('fallocate', ['--version'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  } finally {
    removeDataDir(path);
  }
}

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
