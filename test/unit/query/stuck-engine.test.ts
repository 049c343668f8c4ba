import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root } from '../../rules/source-files.js';

const directory = mkdtempSync(join(tmpdir(), 'varve-stuck-'));
let child: ChildProcess | undefined;
afterAll(() => {
  child?.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/**
 * Two engines get stuck, one after the other, by a statement that the engine can only answer if it is gathered; in a
 * process of its own, which has to be killed. What it says, line by line. Should the engine one day answer that
 * statement, gathering has lost its reason: docs/adr/0015-gathered-answers.md.
 */
function runStuck(): Promise<readonly string[]> {
  const script = join(root, 'test/unit/query/stuck-engine-process.mjs');
  const started = spawn(process.execPath, [script, join(root, 'dist'), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child = started;
  let text = '';
  started.stdout.setEncoding('utf8');
  started.stdout.on('data', (piece: string) => {
    text += piece;
    if (text.endsWith('end\n')) started.kill('SIGKILL');
  });
  return new Promise((resolve) => started.once('exit', () => resolve(text.trim().split('\n'))));
}

test('an engine that is stuck is replaced, until its threads are too many', async () => {
  expect(await runStuck()).toEqual([
    'left: cancelled',
    'logged: the query engine does not let go of a query that was left; the next query gets another engine, a thread is lost',
    String.raw`answered: a\n1\n`,
    'left: cancelled',
    'logged: the query engine does not let go of a query that was left; the next query gets another engine, a thread is lost',
    'refused: unavailable query: the engine got stuck 2 times; want this process to be started anew',
    'end',
  ]);
});
