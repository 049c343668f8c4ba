// Reads settled tables with engines that are none of ours, through the Iceberg REST catalog of a real server, and
// compares every row with Varve's own answer: once from files, once from S3 (MiniStack, or what AWS_ENDPOINT_URL
// names). An extra: it needs Python 3.10 or newer and, the first time, a package index. What is missing is skipped
// with a notice. Ends with `N passed, N failed, N skipped`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { firstLineWith, linesOf, start, stop } from './processes.mjs';
import { preparePython } from './python.mjs';
import { startS3 } from './s3.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const counts = { passed: 0, failed: 0, skipped: 0 };

const python = preparePython(join(root, '.venv', 'iceberg'), here);
if (python.problem !== undefined) count(`skip everything: ${python.problem}`);
else {
  await onFiles();
  await onS3();
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed === 0 ? 0 : 1);

async function onFiles() {
  console.log('# tables on the file system');
  await inFolder((folder) => runScenario(folder, [], {}));
}

async function onS3() {
  console.log('# tables on S3');
  await inFolder(async (folder) => {
    const s3 = await startS3(python.path);
    if (s3.problem !== undefined) return count(`skip S3: ${s3.problem}`);
    try {
      await runScenario(folder, ['--object-store', `s3://${s3.bucket}/varve`], s3.environment);
    } finally {
      await s3.stop();
    }
  });
}

async function inFolder(run) {
  const folder = mkdtempSync(join(tmpdir(), 'varve-iceberg-'));
  try {
    await run(folder);
  } catch (error) {
    count(`FAIL ${error.message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts a server on the stores and lets the scenario read from it; `environment` is for both. */
async function runScenario(folder, storeFlags, environment) {
  const token = 'token-of-the-iceberg-test';
  // Nothing settles by itself: the scenario says when.
  const spans = ['--window', '1h', '--late-delay', '1h', '--release-grace', '500ms'];
  const flags = [
    '--port',
    '0',
    '--data-dir',
    join(folder, 'data'),
    '--log-level',
    'error',
    ...spans,
    ...storeFlags,
  ];
  const args = [join(root, 'dist/cli/main.js'), 'serve', ...flags];
  const server = start(process.execPath, args, {
    env: { ...environment, VARVE_TOKEN_FILE: tokenFile(folder, token) },
  });
  try {
    const [, url] = await firstLineWith(server, /listening on (http:\/\/\S+)/);
    // ClickHouse in a process reads files below its working directory only.
    const scenario = start(python.path, ['-B', '-u', join(here, 'scenario.py'), url, token], {
      cwd: folder,
      env: environment,
    });
    for await (const line of linesOf(scenario)) count(line);
    const status = await scenario.ended;
    if (status !== 0) count(`FAIL the scenario ended with status ${status}; want 0`);
  } finally {
    await stop(server);
  }
}

function tokenFile(folder, token) {
  const path = join(folder, 'tokens');
  writeFileSync(path, `${token}\n`);
  return path;
}

function count(line) {
  console.log(line);
  if (line.startsWith('ok ')) counts.passed += 1;
  else if (line.startsWith('FAIL ')) counts.failed += 1;
  else if (line.startsWith('skip ')) counts.skipped += 1;
}
