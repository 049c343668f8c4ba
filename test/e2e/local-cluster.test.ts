import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../rules/source-files.js';
import { makeDataDir, removeDataDir } from '../support/server-process.js';

/** Runs the command; `onText` sees all it printed so far and may end it. */
function runCluster(
  flags: readonly string[],
  onText: (text: string, interrupt: () => void) => void = () => {},
): Promise<{ status: number | null; text: string }> {
  const child = spawn(process.execPath, [join(root, 'dist/cli/local-cluster/main.js'), ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    onText(text, () => child.kill('SIGINT'));
  });
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, text })));
}

it('a cluster on this machine checks itself: it loses a node, goes on, and settles everything once', async () => {
  const { status, text } = await runCluster(['--exit', '--port', '18086']);
  expect(text).toContain('5 of 5 checks held.');
  expect(status, text).toBe(0);
});

it('a cluster on this machine keeps its secret to this user, and stops as a whole', async () => {
  const directory = makeDataDir();
  const pids: number[] = [];
  try {
    const { status, text } = await runCluster(
      ['--data-dir', directory, '--port', '18086'],
      (printed, interrupt) => {
        if (!printed.includes('Ctrl-C here stops all.') || pids.length > 0) return;
        pids.push(...[...printed.matchAll(/ pid (\d+)/g)].map((match) => Number(match[1])));
        interrupt();
      },
    );
    expect(status, text).toBe(0);
    expect(text).toContain('Stopping all');
    expect(statSync(join(directory, 'secret')).mode & 0o777).toBe(0o600);
    expect(pids).toHaveLength(5);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  } finally {
    removeDataDir(directory);
  }
});
