// The virtual environment of the Iceberg test.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Files of requirements: the first one is needed, what the others bring is skipped where it is missing. */
const requirementFiles = ['requirements.txt', 'requirements-chdb.txt', 'requirements-s3.txt'];

/** Makes the environment as the requirements want it. Gives the path of its Python, or what is in the way. */
export function preparePython(environment, here) {
  const path = join(environment, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  const wanted = requirementFiles.map((name) => readFileSync(join(here, name), 'utf8')).join('');
  const marker = join(environment, 'varve-requirements.txt');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return { path };

  const version = spawnSync('python3', ['-c', 'import sys; print(sys.version_info >= (3, 10))'], {
    encoding: 'utf8',
  });
  if (version.stdout?.trim() !== 'True') return { problem: 'got no python3; want Python 3.10 or newer' };
  if (!existsSync(path)) {
    mkdirSync(dirname(environment), { recursive: true });
    const made = spawnSync('python3', ['-m', 'venv', environment], { encoding: 'utf8' });
    if (made.status !== 0) return { problem: `python3 -m venv failed: ${lastLine(made)}` };
  }
  console.log('# installing PyIceberg, DuckDB, chdb and MiniStack into .venv/iceberg');
  const results = requirementFiles.map((name) => install(path, join(here, name)));
  const [needed] = results;
  if (needed.status !== 0) return { problem: `pip could not install PyIceberg: ${lastLine(needed)}` };
  // Without the marker the next run tries again to install what is missing.
  if (results.every(({ status }) => status === 0)) writeFileSync(marker, wanted);
  return { path };
}

function install(python, requirements) {
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements];
  return spawnSync(python, args, { encoding: 'utf8' });
}

function lastLine({ stdout, stderr, error }) {
  return error?.message ?? `${stdout}\n${stderr}`.trim().split('\n').at(-1);
}
