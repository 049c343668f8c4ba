import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A server in a process of its own with a fresh folder, and what the system says of it. Linux only: it reads /proc. */
export interface ChildServer {
  readonly directory: string;
  /** CPU seconds that the process has used so far. */
  cpuSeconds(): number;
  /** Highest resident memory so far, bytes. */
  peakBytes(): number;
  /** Ends the process, which this one started, and removes its folder. */
  stop(): Promise<void>;
}

/** How to start one. */
export interface ChildServerOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory: string;
  /** Resolves once the server takes requests. */
  readonly ready: (child: ChildProcess) => Promise<void>;
}

const stopPatienceMs = 60_000;
const running = new Set<ChildProcess>();
// Load ends with the bench, however the bench ends.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** A fresh folder for a system's files. */
export function makeDirectory(name: string): string {
  return mkdtempSync(join(tmpdir(), `varve-bench-${name}-`));
}

/** Starts a server; rejects with the end of its log when it ends before it is ready. */
export async function startChildServer(options: ChildServerOptions): Promise<ChildServer> {
  const { command, args, directory } = options;
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: directory });
  running.add(child);
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-4000);
    });
  }
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      log += String(error);
      resolve();
    });
    child.once('exit', () => resolve());
  });
  void ended.then(() => running.delete(child));
  const outcome = await Promise.race([options.ready(child).then(() => 'ready'), ended.then(() => 'ended')]);
  if (outcome === 'ended') throw new Error(`${command} ended before it took requests:\n${log}`);
  return {
    directory,
    cpuSeconds: () => {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    peakBytes: () =>
      Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    stop: async () => {
      child.kill('SIGTERM');
      const patience = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs);
      await ended;
      clearTimeout(patience);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A port of the loopback that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Resolves when GET answers 2xx. */
export async function answersAt(port: number, path: string): Promise<void> {
  while (!(await isUp(port, path))) await sleep(50);
}

function isUp(port: number, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume();
      resolve((response.statusCode ?? 500) < 300);
    });
    request.on('error', () => resolve(false));
  });
}

/** Bytes of all files below a folder; files that vanish meanwhile do not count. */
export function folderBytes(path: string): number {
  let sum = 0;
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    sum += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return sum;
}

/** What a command prints, or undefined where there is no such command. */
export function outputOf(command: string, args: readonly string[]): string | undefined {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  return error === undefined ? `${stdout}${stderr}`.trim() : undefined;
}
