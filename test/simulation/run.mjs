// Runs many seeds of the simulation, spread over the processors:
//   npm run test:sim -- [--seeds 2000] [--seed N] [--steps N] [--workers N]
// A failing seed is printed with the end of its trace and the command that runs it again.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '80' },
    workers: { type: 'string', default: String(availableParallelism()) },
  },
});
const first = wholeNumber('seed');
const seeds = wholeNumber('seeds');
const workers = Math.min(wholeNumber('workers'), seeds);
const startedMs = Date.now();
const parts = Array.from({ length: workers }, (_, index) => {
  const from = first + Math.floor((seeds * index) / workers);
  return { from, count: first + Math.floor((seeds * (index + 1)) / workers) - from };
});
const statuses = await Promise.all(parts.map(runPart));
const seconds = (Date.now() - startedMs) / 1000;
const outcome = statuses.every((status) => status === 0) ? 'all hold' : 'some FAILED, see above';
console.log(`${seeds} seeds from ${first} in ${seconds.toFixed(0)} s: ${outcome}`);
process.exit(statuses.some((status) => status !== 0) ? 1 : 0);

function wholeNumber(name) {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number > 0) return number;
  console.error(`got --${name} ${values[name]}; want a whole number from 1`);
  process.exit(2);
}

function runPart({ from, count }) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const child = spawn(
    process.execPath,
    [vitest, 'run', 'test/simulation/simulation.test.ts', '--reporter=dot', '--maxWorkers=1'],
    {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...process.env,
        VARVE_SIM_SEED: String(from),
        VARVE_SIM_SEEDS: String(count),
        VARVE_SIM_STEPS: values.steps,
      },
    },
  );
  return new Promise((resolve) => child.on('close', (status) => resolve(status ?? 1)));
}
