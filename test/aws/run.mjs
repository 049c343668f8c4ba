// Runs the tests of the AWS adapters and of a server on them against the service that AWS_ENDPOINT_URL names; without
// one against MiniStack, which the first run installs with pip into .venv/aws. Without Python or a package index there
// is nothing to run against, which is said and is no failure. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start, stop } from '../iceberg/processes.mjs';

const ministack = 'ministack==1.5.33';
const attemptsMax = 150;
const attemptEveryMs = 200;

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const suites = ['test/aws', 'test/conformance/object-store-s3', 'test/conformance/meta-store-dynamodb'];

if (process.env.AWS_ENDPOINT_URL) process.exit(test(process.env.AWS_ENDPOINT_URL));

const python = preparePython(join(root, '.venv', 'aws'));
if (python.problem !== undefined) {
  console.log(`skipped the tests on MiniStack: ${python.problem}`);
  process.exit(0);
}
const port = await freePort();
const emulator = start(python.path, ['-m', 'ministack'], {
  env: {
    SERVICES: 's3,dynamodb',
    BIND_HOST: '127.0.0.1',
    GATEWAY_PORT: String(port),
    LOG_LEVEL: 'ERROR',
  },
});
// Its words are read and dropped, so that it never waits for a reader.
emulator.lines.on('line', () => {});
const endpoint = `http://127.0.0.1:${port}`;
await untilItAnswers(endpoint);
const status = test(endpoint);
await stop(emulator);
process.exit(status);

/** The exit status of vitest. */
function test(url) {
  console.log(`testing against ${url}`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const args = [vitest, 'run', ...suites, ...process.argv.slice(2)];
  const environment = { ...process.env, AWS_ENDPOINT_URL: url };
  const { status: ended } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: environment,
  });
  return ended ?? 1;
}

/** The path of a Python that has MiniStack, or what is in the way. */
function preparePython(environment) {
  const path = join(environment, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  const check = spawnSync(path, ['-m', 'pip', 'show', '--quiet', ministack.split('==')[0]]);
  if (check.status === 0) return { path };
  mkdirSync(dirname(environment), { recursive: true });
  if (!existsSync(path) && spawnSync('python3', ['-m', 'venv', environment]).status !== 0)
    return { problem: 'python3 -m venv failed; want Python 3.10 or newer' };
  const install = spawnSync(
    path,
    ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ministack],
    {
      encoding: 'utf8',
    },
  );
  if (install.status === 0) return { path };
  return { problem: `pip could not install ${ministack}: ${install.stderr.trim().split('\n').at(-1)}` };
}

async function untilItAnswers(url) {
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    if (emulator.child.exitCode !== null) break;
    const answered = await fetch(url).then(
      () => true,
      () => false,
    );
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, attemptEveryMs));
  }
  await stop(emulator);
  throw new Error(`MiniStack does not answer at ${url}`);
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = server.address();
      server.close(() => resolve(free));
    });
  });
}
