// Synthesises the CDK app, for `npm run infra:synth`: offline once its packages are installed. What follows the command is
// handed to `cdk synth`, as `-- -c size=medium`. With `--test` it runs the tests of the app instead.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const infra = dirname(fileURLToPath(import.meta.url));
const [first, ...rest] = process.argv.slice(2);
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: infra,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (error !== undefined) console.error(`infra: could not run ${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

const installed = join(infra, 'node_modules', '.package-lock.json');
const changedMs = statSync(join(infra, 'package-lock.json')).mtimeMs;
if (!existsSync(installed) || statSync(installed).mtimeMs < changedMs) {
  console.log('infra: installing the packages of infra/ (260 MB, once)');
  run(npm, ['install', '--no-save', '--no-audit', '--no-fund']);
}
run(npm, ['run', '--silent', 'build']);

if (first === '--test') {
  run(npm, ['test', '--silent', '--', ...rest]);
} else {
  const args = first === undefined ? rest : [first, ...rest];
  const bundled = ['compactor', 'query'].every((name) => existsSync(join(infra, '..', 'dist-lambda', name)));
  if (!bundled)
    console.log(
      'infra: no code in dist-lambda/ (npm run bundle:lambda): placeholders stand in for it, do not deploy this',
    );
  const placeholder = bundled ? [] : ['-c', 'placeholderCode=true'];
  run(npm, ['exec', '--offline', '--', 'cdk', 'synth', '--quiet', ...placeholder, ...args]);
  console.log(`infra: the templates are in ${join(infra, '..', '.tmp', 'cdk.out')}`);
}
