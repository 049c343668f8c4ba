import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Architecture, Code, LayerVersion, Runtime } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import type { Settings } from '../settings.js';

/** The functions that `npm run bundle:lambda` bundles, each a folder of its own. */
export type LambdaName = 'compactor' | 'query';

/** What runs the bundles. DuckDB's and LMDB's native bindings are those of this architecture. */
export const lambdaRuntime = { runtime: Runtime.NODEJS_22_X, architecture: Architecture.X86_64 } as const;

/** A module that says what is missing: in place of code that was not bundled. */
const placeholder = Code.fromInline(
  `exports.handler = async () => { throw new Error('deployed without code: npm run bundle:lambda, then deploy again'); };`,
);

/** The code of a function and the layers that it wants. */
export interface LambdaBundle {
  readonly code: Code;
  readonly layers: readonly LayerVersion[];
}

/** Reads the bundled code. Errors: one that says how to make it when it is not there. */
export function lambdaBundle(scope: Construct, name: LambdaName, settings: Settings): LambdaBundle {
  if (settings.placeholderCode) return { code: placeholder, layers: [] };
  const folder = resolve(settings.lambdaBundle, name);
  if (!existsSync(folder))
    throw new Error(
      `no code for the ${name} function: got no folder ${folder}; make it with "npm run bundle:lambda" at the root`,
    );
  return { code: Code.fromAsset(folder), layers: name === 'query' ? [engineLayer(scope, settings)] : [] };
}

/** DuckDB's native binding, for the processor that the functions run on. */
function engineLayer(scope: Construct, settings: Settings): LayerVersion {
  const folder = resolve(settings.lambdaBundle, 'layer');
  const binding = join(folder, 'nodejs/node_modules/@duckdb/node-bindings-linux-x64');
  if (!existsSync(binding))
    throw new Error(
      `no layer for the query function: got no folder ${binding}; make it with "npm run bundle:lambda" on Linux on x64`,
    );
  return new LayerVersion(scope, 'Layer', {
    code: Code.fromAsset(folder),
    compatibleRuntimes: [lambdaRuntime.runtime],
    compatibleArchitectures: [lambdaRuntime.architecture],
    description: 'native binding of DuckDB',
  });
}
