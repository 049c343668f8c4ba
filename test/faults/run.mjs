// Runs the tests with faults for as long as is asked: npm run test:faults -- --minutes 30 --seed 7 [--lines A_SECOND] [--report FILE].
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    lines: { type: 'string', default: '20000' },
    report: { type: 'string', default: join('.tmp', 'faults.md') },
  },
});
const report = resolve(root, values.report);
mkdirSync(dirname(report), { recursive: true });
console.log(`${values.minutes} minutes of faults, seed ${values.seed}; the report goes to ${report}`);
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/faults/faults.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    VARVE_TEST_MINUTES: values.minutes,
    VARVE_TEST_SEED: values.seed,
    VARVE_TEST_LINES: values.lines,
    VARVE_TEST_REPORT: report,
  },
});
process.exit(status ?? 1);
