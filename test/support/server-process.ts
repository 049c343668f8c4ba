import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient } from '../../cli/client/api-client.js';
import { root } from '../rules/source-files.js';

/** A `varve serve` of its own for a test, on a free loopback port. */
export interface TestServer extends TestProcess {
  readonly dataDir: string;
}

/** A process that a test started. */
export interface TestProcess {
  readonly url: string;
  readonly client: ApiClient;
  readonly pid: number;
  /** Resolves with what ended the process. */
  readonly ended: Promise<{ readonly status: number | null; readonly signal: NodeJS.Signals | null }>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** What it wrote to standard error so far, for messages. */
  log(): string;
}

/** Short spans, so that groups close, settle and are released within a test. */
export const shortSpans = [
  ...['--window', '1s', '--deadline', '300ms', '--late-delay', '300ms', '--release-grace', '500ms'],
  ...['--log-level', 'warn'],
];

/** A fresh folder for a server's data. */
export function makeDataDir(): string {
  return mkdtempSync(join(tmpdir(), 'varve-test-'));
}

/** Removes a server's data. */
export function removeDataDir(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** Starts the built server and waits until it listens; rejects with its log when it ends first. */
export async function startTestServer(options: {
  readonly dataDir: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory of the process; the test's own where it is left out. */
  readonly cwd?: string;
}): Promise<TestServer> {
  const flags = ['--data-dir', options.dataDir, ...(options.flags ?? shortSpans)];
  const started = await startTestProcess({ ...options, command: 'serve', flags });
  return { ...started, dataDir: options.dataDir };
}

/** Starts one of the built processes on a free loopback port and waits until it listens. */
export async function startTestProcess(options: {
  readonly command: 'serve' | 'ingest' | 'compactor' | 'query';
  readonly flags: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}): Promise<TestProcess> {
  const args = [join(root, 'dist/cli/main.js'), options.command, '--port', '0', ...options.flags];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let errors = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    errors = (errors + text).slice(-20_000);
  });
  const ended = new Promise<{ status: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once('exit', (status, signal) => resolve({ status, signal })),
  );
  const url = await Promise.race([listeningUrl(child), ended]);
  if (typeof url !== 'string')
    throw new Error(
      `varve ${options.command} ended (status ${url.status}, signal ${url.signal}) before it listened:\n${errors}`,
    );
  return {
    url,
    client: new ApiClient({ url }),
    pid: child.pid ?? 0,
    ended,
    log: () => errors,
    kill: async (signal = 'SIGTERM') => {
      child.kill(signal);
      await ended;
    },
  };
}

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

/** Writes line protocol; resolves when it was acknowledged, rejects with the server's words otherwise. */
export async function writeLines(
  client: ApiClient,
  db: string,
  lines: string,
  precision = 'nanosecond',
): Promise<void> {
  const response = await client.request('/api/v3/write_lp', {
    method: 'POST',
    query: { db, precision },
    body: new TextEncoder().encode(lines),
  });
  await response.arrayBuffer();
}

/** Rows of a query as JSON objects; integers past 2^53 would lose digits, so tests cast those to text. */
export async function queryRows(
  client: ApiClient,
  db: string,
  q: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>[]> {
  return (await client.json('/api/v3/query_sql', { query: { db, q, format: 'json', ...more } })) as Record<
    string,
    unknown
  >[];
}

/** Closes and seals everything of the database now. */
export async function sealAll(client: ApiClient, db: string): Promise<void> {
  await client.json('/api/v1/seal', {
    method: 'POST',
    body: { db, before: new Date(Date.now() + 3_600_000).toISOString() },
  });
}
