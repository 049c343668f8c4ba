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
// Parts are short: the time that a test may take shall not depend on how many seeds are asked for.
const seedsAPart = Math.min(200, Math.ceil(seeds / workers));
const parts = [];
for (let from = first; from < first + seeds; from += seedsAPart) {
  parts.push({ from, count: Math.min(seedsAPart, first + seeds - from) });
}
const statuses = [];
const left = parts.values();
async function work() {
  for (const part of left) statuses.push(await runPart(part));
}
await Promise.all(Array.from({ length: workers }, work));
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
