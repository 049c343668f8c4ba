// Processes of the Iceberg test: their lines, their end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Starts a program; what it says on standard error goes to ours. `ended` resolves with its status. */
export function start(command, args, { cwd, env = {} } = {}) {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve, reject) => {
    child.once('exit', (status, signal) => resolve(status ?? signal));
    child.once('error', reject);
  });
  return { child, ended, lines: createInterface({ input: child.stdout }) };
}

/** The lines of standard output, to the end. */
export function linesOf(program) {
  return program.lines;
}

/** Waits for a line that matches. Later lines are dropped, so that the program never waits for a reader. */
export async function firstLineWith(program, pattern) {
  return new Promise((resolve, reject) => {
    program.lines.on('line', (line) => {
      const match = pattern.exec(line);
      if (match !== null) resolve(match);
    });
    program.lines.once('close', () => reject(new Error(`the process ended before a line like ${pattern}`)));
  });
}

/** Ends the program and waits for it. */
export async function stop({ child }) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill();
  await exit;
}
