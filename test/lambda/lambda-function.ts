import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FunctionBundle } from '../../infra/bundle/bundle-lambda.js';

/** What Lambda makes of an invocation. */
export type Invocation =
  | { readonly kind: 'value'; readonly value: unknown }
  | {
      readonly kind: 'stream';
      readonly contentType: string;
      readonly pieces: number;
      readonly base64: string;
    }
  | { readonly kind: 'error'; readonly errorType: string; readonly errorMessage: string };

type Notice = Invocation | { readonly kind: 'ready' };

/** An execution environment of a function: a process of its own, with the bundle and nothing else on its disk. */
export interface LambdaFunction {
  invoke(event: unknown, remainingMs?: number): Promise<Invocation>;
  /** What it wrote to its log. */
  log(): string;
  stop(): Promise<void>;
}

/** Starts an execution environment; resolves when Lambda would send it the first event. Rejects with the log of one that fails to start. */
export async function startFunction(
  bundle: FunctionBundle,
  options: { readonly environment: Readonly<Record<string, string>>; readonly streaming?: boolean },
): Promise<LambdaFunction> {
  const runtime = join(bundle.codeFolder, '..', 'runtime.mjs');
  copyFileSync(fileURLToPath(new URL('./runtime.mjs', import.meta.url)), runtime);
  const args = [runtime, bundle.codeFolder, options.streaming === true ? 'streaming' : 'buffered'];
  const child = spawn(process.execPath, args, {
    cwd: bundle.codeFolder,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: {
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '1769',
      ...(bundle.layerFolder === undefined
        ? {}
        : { NODE_PATH: join(bundle.layerFolder, 'nodejs/node_modules') }),
      ...options.environment,
    },
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
  const ended = new Promise<never>((_, reject) =>
    child.once('exit', (status, signal) =>
      reject(new Error(`the function ended (status ${status}, signal ${signal}):\n${log}`)),
    ),
  );
  // It is looked at while an answer is awaited; an end that was asked for is no failure.
  ended.catch(() => undefined);
  await Promise.race([nextNotice(child), ended]);
  return {
    invoke: async (event, remainingMs = 60_000) => {
      const answer = nextNotice(child);
      child.send({ event, remainingMs });
      return (await Promise.race([answer, ended])) as Invocation;
    },
    log: () => log,
    stop: async () => {
      child.kill('SIGKILL');
      await ended.catch(() => undefined);
    },
  };
}

function nextNotice(child: ChildProcess): Promise<Notice> {
  return new Promise((resolve) => child.once('message', (message) => resolve(message as Notice)));
}
