import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from '../rules/source-files.js';

/** How a command ended. */
export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stdoutBytes: Uint8Array;
  readonly stderr: string;
}

/** Runs the built `varve` command to its end. */
export function runCommand(
  args: readonly string[],
  options: { readonly input?: string | Uint8Array; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [join(root, 'dist/cli/main.js'), ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const pieces: Uint8Array[] = [];
  let stderr = '';
  child.stdout.on('data', (piece: Uint8Array) => pieces.push(piece));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // A command that ends before it has read its input is no failure of the test.
  child.stdin.on('error', () => {}).end(options.input ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      const stdoutBytes = Buffer.concat(pieces);
      resolve({ status, stdout: stdoutBytes.toString('utf8'), stdoutBytes, stderr });
    });
  });
}
