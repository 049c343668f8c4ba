// Makes a fresh checkout ready: installs the locked dependencies if they are missing or stale, and with
// --build compiles to dist/. Plain JavaScript, because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const quiet = process.argv.includes('--quiet');
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 15)) {
  console.error(`varve: got Node.js ${process.versions.node}; want 20.15 or newer`);
  process.exit(1);
}

function run(command, args) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: quiet ? ['ignore', 'ignore', 'inherit'] : 'inherit',
    shell: process.platform === 'win32',
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** npm writes node_modules/.package-lock.json last, so a lock file newer than it means the install is stale. */
function installed() {
  const marker = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(marker)) return false;
  if (statSync(marker).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs) return true;
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(marker, 'utf8')).packages;
  return (
    Object.entries(present).every(([path, entry]) => locked[path]?.version === entry.version) &&
    Object.entries(locked).every(
      ([path, entry]) => path === '' || entry.optional || entry.peer || present[path] !== undefined,
    )
  );
}

// Not `npm ci`: it refuses a lock file that lacks the optional packages of platforms other than the one it was made
// on. `--no-save` keeps the locked versions and leaves the lock file as it is.
if (!installed()) run('npm', ['install', '--no-save', '--no-audit', '--no-fund']);
if (process.argv.includes('--build')) {
  run(process.execPath, [
    join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
    '-p',
    'tsconfig.build.json',
  ]);
  run(process.execPath, [join(root, 'scripts', 'build-kernel.mjs')]);
}
