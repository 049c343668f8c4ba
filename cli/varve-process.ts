import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { VarveError } from '../core/std/errors.js';

/** One of the servers run as a process of its own, as a user would run it. */
export interface VarveProcess {
  readonly url: string;
  readonly pid: number;
  /** Resolves with the exit status when the process has ended; null when a signal ended it. */
  readonly ended: Promise<number | null>;
  /** Asks it to stop cleanly and waits until it has. */
  stop(): Promise<void>;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

/** How a process is started. */
export interface VarveProcessOptions {
  readonly command: 'serve' | 'ingest' | 'compactor' | 'query';
  readonly flags: readonly string[];
  /** Ctrl-C on the terminal does not reach it: whoever started it stops it. */
  readonly apart?: boolean;
  /** Takes what it writes to standard error. */
  readonly onLog?: (text: string) => void;
}

/** Starts `varve COMMAND` with the given flags and waits until it says where it listens. */
export async function startVarve(options: VarveProcessOptions): Promise<VarveProcess> {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(process.execPath, [main, options.command, ...options.flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.apart === true,
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', (status) => resolve(status)));
  let errors = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    errors = (errors + text).slice(-4000);
    options.onLog?.(text);
  });
  const url = await Promise.race([listeningUrl(child), ended.then(() => undefined)]);
  if (url === undefined || child.pid === undefined) {
    const said = errors.trim() || 'it said nothing';
    throw new VarveError('unavailable', `varve ${options.command} did not start: ${said}`);
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ended;
  };
  return { url, pid: child.pid, ended, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') };
}

/** The port if it is free on loopback, else 0 for any. */
export async function freePort(wanted: number): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(0));
    probe.listen(wanted, '127.0.0.1', () => probe.close(() => resolve(wanted)));
  });
}

/** A server prints `listening on http://HOST:PORT` on standard output once it can be reached. */
function listeningUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout?.setEncoding('utf8');
    child.stdout?.on('data', (piece: string) => {
      text = (text + piece).slice(-4000);
      const url = /listening on (http:\/\/\S+)/.exec(text)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
}
