// Compiles the AssemblyScript kernel of the line-protocol decoder to dist/, unless what is there is newer than its
// source, its compiler and this file.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = 'ingest/protocols/line-protocol/kernel';
const source = join(root, folder, 'line-kernel.as.ts');
const sources = readdirSync(join(root, folder))
  .filter((name) => name.endsWith('.as.ts'))
  .map((name) => join(root, folder, name));
const target = join(root, 'dist', folder, 'line-kernel.wasm');
const compiler = join(root, 'node_modules', 'assemblyscript', 'package.json');

const isFresh =
  existsSync(target) &&
  [...sources, compiler, fileURLToPath(import.meta.url)].every(
    (file) => statSync(file).mtimeMs <= statSync(target).mtimeMs,
  );

if (!isFresh) {
  const { error, stderr } = await main([
    source,
    ...['--outFile', target, '--runtime', 'stub', '--enable', 'simd,bulk-memory', '--noAssert'],
    ...['-O3', '--converge'],
  ]);
  if (error !== null) {
    console.error(`building the line-protocol kernel: ${error.message}\n${stderr.toString()}`);
    process.exit(1);
  }
}
