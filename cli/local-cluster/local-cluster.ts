import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../../core/std/errors.js';
import { freePort, startVarve, type VarveProcess } from '../varve-process.js';

/** What a cluster on this machine is made of. */
export interface LocalClusterOptions {
  /** Everything the processes keep; made when it is missing. */
  readonly directory: string;
  readonly ingestNodes: number;
  /** Flags of every ingest node, such as `--window`. */
  readonly ingestFlags: readonly string[];
  readonly compactorFlags: readonly string[];
  /** Clients find the first node at this port, the others a hundred further each; any where one is taken. */
  readonly basePort: number;
  readonly onLog: (process: string, text: string) => void;
  /** A process ended that nobody stopped. */
  readonly onEnded: (process: string, status: number | null) => void;
}

const compactorPort = 8088;
const querierPort = 8089;

/** Ingest nodes, a compactor and a querier as processes of their own over an LMDB catalog and a folder of objects. */
export class LocalCluster {
  readonly #options: LocalClusterOptions;
  readonly #running = new Map<string, VarveProcess>();
  readonly #expected = new Set<VarveProcess>();

  private constructor(options: LocalClusterOptions) {
    this.#options = options;
  }

  /** Starts all of them; when one does not start, stops the others. */
  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    mkdirSync(options.directory, { recursive: true });
    makeSecret(secretPath(options.directory));
    const cluster = new LocalCluster(options);
    try {
      // One after the other: the first makes the stores that the others open.
      for (const node of cluster.nodeNames) await cluster.startNode(node);
      await cluster.#start('compactor', [
        ...cluster.#historyFlags(),
        ...(await listenFlags(compactorPort)),
        ...options.compactorFlags,
      ]);
      await cluster.#start('query', [
        ...cluster.#historyFlags(),
        ...(await listenFlags(querierPort)),
        ...['--cache-dir', join(options.directory, 'cache')],
      ]);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get nodeNames(): string[] {
    return Array.from({ length: this.#options.ingestNodes }, (_, index) => `node-${index + 1}`);
  }

  /** The process of a node, or `compactor` or `query`. Errors: `not-found` when it does not run. */
  process(name: string): VarveProcess {
    const found = this.#running.get(name);
    if (found !== undefined) return found;
    throw new VarveError(
      'not-found',
      `got process "${name}"; want one of ${[...this.#running.keys()].join(', ')}`,
    );
  }

  /** Starts an ingest node, anew or for the first time. */
  async startNode(node: string): Promise<void> {
    const { directory, ingestFlags, basePort } = this.#options;
    const port = basePort + 100 * Math.max(0, this.nodeNames.indexOf(node));
    await this.#start(node, [
      ...this.#sharedFlags(),
      ...(await listenFlags(port)),
      ...['--node-id', node, '--data-dir', join(directory, node), '--peer-port', '0'],
      ...ingestFlags,
    ]);
  }

  /** Ends a process at once, as a crash would. */
  async kill(name: string): Promise<void> {
    const found = this.process(name);
    this.#expected.add(found);
    await found.kill();
  }

  /** Stops all cleanly: the querier and the compactor first, since they ask the nodes. */
  async stop(): Promise<void> {
    const all = [...this.#running.values()];
    for (const each of all) this.#expected.add(each);
    for (const each of all.reverse()) await each.stop();
    this.#running.clear();
  }

  async #start(name: string, flags: readonly string[]): Promise<void> {
    const { onLog, onEnded } = this.#options;
    const command = name === 'compactor' || name === 'query' ? name : 'ingest';
    const started = await startVarve({ command, flags, apart: true, onLog: (text) => onLog(name, text) });
    this.#running.set(name, started);
    void started.ended.then((status) => {
      if (this.#running.get(name) === started) this.#running.delete(name);
      if (!this.#expected.has(started)) onEnded(name, status);
    });
  }

  #sharedFlags(): string[] {
    const { directory } = this.#options;
    return [
      ...['--meta-store', `lmdb:${join(directory, 'meta')}`],
      ...['--cluster-secret-file', secretPath(directory), '--log-level', 'warn'],
    ];
  }

  #historyFlags(): string[] {
    return [...this.#sharedFlags(), '--object-store', `file:${join(this.#options.directory, 'objects')}`];
  }
}

function secretPath(directory: string): string {
  return join(directory, 'secret');
}

/** A secret of this cluster alone, that only this user can read; the one of an earlier start stays. */
function makeSecret(path: string): void {
  if (existsSync(path)) return;
  writeFileSync(path, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
}

async function listenFlags(port: number): Promise<string[]> {
  return ['--port', String(await freePort(port))];
}
