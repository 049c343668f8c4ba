import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const entrypoint = fileURLToPath(new URL('../container/entrypoint.sh', import.meta.url));

/** Where node is, and the commands of every system: nothing of the environment of the test. */
const path = `${dirname(process.execPath)}:/usr/bin:/bin`;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'varve-entrypoint-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the entrypoint of the image with a program that tells what it was given. */
function run(args: readonly string[], more: Readonly<Record<string, string>>) {
  const program = join(folder, 'program.mjs');
  writeFileSync(
    program,
    'console.log(JSON.stringify({ args: process.argv.slice(2), pid: process.pid, env: process.env }));',
  );
  const child = spawnSync('/bin/sh', [entrypoint, ...args], {
    encoding: 'utf8',
    env: { PATH: path, VARVE_PROGRAM: program, ...more },
  });
  expect(child.status, child.stderr).toBe(0);
  const told = JSON.parse(child.stdout) as { args: string[]; pid: number; env: Record<string, string> };
  return { ...told, startedPid: child.pid };
}

describe('the entrypoint of the image', () => {
  it('makes files of the secrets that their owner alone can read, and keeps them from the process', () => {
    const files = {
      VARVE_TOKEN_FILE: join(folder, 'tokens'),
      VARVE_CLUSTER_SECRET_FILE: join(folder, 'secret'),
    };
    const { env } = run(['query'], {
      ...files,
      VARVE_TOKENS: 'a token',
      VARVE_CLUSTER_SECRET: 'a "secret" $x',
    });
    expect(env).not.toHaveProperty('VARVE_TOKENS');
    expect(env).not.toHaveProperty('VARVE_CLUSTER_SECRET');
    expect(readFileSync(files.VARVE_TOKEN_FILE, 'utf8')).toBe('a token\n');
    expect(readFileSync(files.VARVE_CLUSTER_SECRET_FILE, 'utf8')).toBe('a "secret" $x\n');
    for (const file of Object.values(files)) expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('is the process itself in the end, so that it gets the signals', () => {
    const { args, pid, startedPid } = run(['ingest', '--port', '8086'], { VARVE_ADVERTISE: 'http://a:1' });
    expect(args).toEqual(['ingest', '--port', '8086']);
    expect(pid).toBe(startedPid);
  });

  it('leaves to the process how it is reached where that is said', () => {
    expect(run(['ingest'], { VARVE_ADVERTISE: 'ecs:task' }).env['VARVE_ADVERTISE']).toBe('ecs:task');
    expect(run(['query'], {}).env).not.toHaveProperty('VARVE_ADVERTISE');
  });
});
