import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { SystemClock } from '../../core/adapters/clock-system.js';
import { textFlag } from '../flags.js';
import { ApiClient } from './api-client.js';
import { type Progress, terminalProgress } from './progress.js';

/** What a client command works with. */
export interface CommandContext {
  readonly client: ApiClient;
  readonly progress: Progress;
  readonly print: (text: string) => void;
  readonly sleep: (delayMs: number) => Promise<void>;
}

/** The flags of every command that talks to a running server. */
export interface ConnectionFlags {
  readonly url: string;
  readonly tokenFile?: string;
}

/** Adds the connection flags to a command. */
export function withConnection(command: Command): Command {
  return command
    .addOption(textFlag('--url <url>', 'where the server is', 'http://127.0.0.1:8086'))
    .addOption(textFlag('--token-file <path>', 'file whose first line is the token'));
}

/** The context of a command run from a shell. */
export function commandContext(flags: ConnectionFlags): CommandContext {
  const clock = new SystemClock();
  return {
    client: new ApiClient(flags),
    progress: terminalProgress(process.stderr, () => clock.monotonicMs()),
    print: (text) => process.stdout.write(text.endsWith('\n') ? text : `${text}\n`),
    sleep: (delayMs) => sleep(delayMs),
  };
}

const tickMs = 200;

/** Shows on a terminal that work goes on, and for how long, until it ends. */
export async function whileWorking<Result>(
  context: CommandContext,
  what: string,
  work: Promise<Result>,
): Promise<Result> {
  const clock = new SystemClock();
  const startedMs = clock.monotonicMs();
  const ended = new AbortController();
  const ticking = (async () => {
    while (!ended.signal.aborted) {
      const seconds = Math.floor((clock.monotonicMs() - startedMs) / 1000);
      context.progress.update(0, null, `${what}, ${seconds} s`);
      await clock.sleep(tickMs, ended.signal).catch(() => {});
    }
  })();
  try {
    return await work;
  } finally {
    ended.abort();
    await ticking;
    context.progress.finish();
  }
}
