import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatSizeBytes } from '../../core/std/units.js';
import { bundleFunction, unzippedBytes, unzippedBytesMax } from './bundle-lambda.js';

/** `npm run bundle:lambda`: makes dist-lambda/ and says what it takes. Runs from dist/infra/bundle. */
const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
for (const name of ['compactor', 'query'] as const) {
  const bundle = await bundleFunction(root, join(root, 'dist-lambda'), name);
  const parts = `code ${formatSizeBytes(bundle.codeBytes)}, layer ${formatSizeBytes(bundle.layerBytes)}`;
  process.stdout.write(
    `${relative(root, bundle.codeFolder)}: ${formatSizeBytes(unzippedBytes(bundle))} of ${formatSizeBytes(unzippedBytesMax)} unzipped (${parts})\n`,
  );
}
