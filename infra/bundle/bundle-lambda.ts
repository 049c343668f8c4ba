import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';

/** The functions on AWS Lambda, each with the layer it is deployed with. */
export type FunctionName = 'compactor' | 'query';

/** What was made for one function. */
export interface FunctionBundle {
  readonly name: FunctionName;
  /** Folder of the function's code; the handler is `index.handler`. */
  readonly codeFolder: string;
  /** Folder of the function's layer, which Lambda puts under /opt; undefined for a function that needs none. */
  readonly layerFolder: string | undefined;
  readonly codeBytes: number;
  readonly layerBytes: number;
}

/** A package that is not bundled, because it loads files of its own, and what of it a function needs. */
interface NativePackage {
  readonly name: string;
  /** Packages that it loads. */
  readonly needs: readonly string[];
  /** Lambda finds the packages of a layer for `require` only; what is imported lies beside the code. */
  readonly place: 'code' | 'layer';
  readonly keep: (path: string) => boolean;
}

/** What Lambda allows a function and its layers to take, unzipped. */
export const unzippedBytesMax = 250 * 2 ** 20;

const platform = `linux-${process.arch}`;
const natives: readonly NativePackage[] = [
  {
    name: '@cloudpss/zstd',
    needs: ['node-gyp-build'],
    place: 'code',
    // The package brings the binaries of all platforms and the sources in C.
    keep: (path) =>
      /^(package\.json|LICENSE|dist(\/.*\.js)?|prebuilds(\/zstd\.js)?)$/.test(path) ||
      (path.startsWith(`prebuilds/${platform}`) && !path.includes('musl')),
  },
  {
    name: 'node-gyp-build',
    needs: [],
    place: 'code',
    keep: (path) => /^(package\.json|LICENSE|index\.js|node-gyp-build\.js)$/.test(path),
  },
  {
    name: '@duckdb/node-bindings',
    needs: [`@duckdb/node-bindings-${platform}`],
    place: 'layer',
    keep: (path) => !path.endsWith('.d.ts'),
  },
  { name: `@duckdb/node-bindings-${platform}`, needs: [], place: 'layer', keep: () => true },
];

/** Bundled CommonJS packages ask for Node's modules by `require`, and so does `requireFromLayer`. */
const requireBanner =
  "import { createRequire as varveCreateRequire } from 'node:module'; const require = varveCreateRequire(import.meta.url);";

/**
 * Makes one function ready to deploy: `<out>/<name>` holds its code, `<out>/layer` what goes into a layer
 * if it needs one, for the processor that this runs on. Throws when the two are larger than Lambda allows.
 *
 * @param root of the checkout, with its dependencies installed
 */
export async function bundleFunction(root: string, out: string, name: FunctionName): Promise<FunctionBundle> {
  const codeFolder = join(out, name);
  rmSync(codeFolder, { recursive: true, force: true });
  mkdirSync(codeFolder, { recursive: true });
  writeFileSync(join(codeFolder, 'package.json'), '{ "type": "module" }\n');
  const imported = await bundleCode(join(root, name, 'lambda', 'handler.ts'), join(codeFolder, 'index.js'));
  const wanted = withNeeds(imported);
  for (const native of wanted.filter(({ place }) => place === 'code')) copyPackage(root, native, codeFolder);
  const layerFolder = copyLayer(
    root,
    out,
    wanted.filter(({ place }) => place === 'layer'),
  );
  const bundle: FunctionBundle = {
    name,
    codeFolder,
    layerFolder,
    codeBytes: folderBytes(codeFolder),
    layerBytes: layerFolder === undefined ? 0 : folderBytes(layerFolder),
  };
  checkSize(bundle);
  return bundle;
}

/** Bundles a handler into one file; gives the native packages that it asks for. */
async function bundleCode(handler: string, outfile: string): Promise<readonly string[]> {
  const { metafile } = await build({
    entryPoints: [handler],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    // Not made small: Node.js prints the source line of what it throws, and a log wants readable names and lines.
    legalComments: 'none',
    logLevel: 'warning',
    banner: { js: requireBanner },
    external: natives.map((native) => native.name),
    plugins: [requireFromLayer],
    metafile: true,
  });
  const asked = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
  return natives.map((native) => native.name).filter((name) => asked.includes(name));
}

/** Turns imports of packages in the layer into `require`. */
const requireFromLayer: Plugin = {
  name: 'require-from-layer',
  setup(bundler) {
    const namespace = 'layer';
    bundler.onResolve({ filter: /^@/ }, ({ path, kind }) => {
      const inLayer = natives.some((native) => native.place === 'layer' && native.name === path);
      return inLayer && kind === 'import-statement' ? { path, namespace } : undefined;
    });
    bundler.onLoad({ filter: /.*/, namespace }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
      loader: 'js',
    }));
  },
};

function withNeeds(names: readonly string[]): NativePackage[] {
  const found = natives.filter((native) => names.includes(native.name));
  return found.flatMap((native) => [native, ...withNeeds(native.needs)]);
}

/** Bytes that the function takes on Lambda, unzipped. */
export function unzippedBytes(bundle: FunctionBundle): number {
  return bundle.codeBytes + bundle.layerBytes;
}

function checkSize(bundle: FunctionBundle): void {
  const bytes = unzippedBytes(bundle);
  if (bytes <= unzippedBytesMax) return;
  throw new Error(
    `bundling ${bundle.name}: got ${bytes} bytes unzipped; want at most ${unzippedBytesMax}, which Lambda allows`,
  );
}

function copyLayer(root: string, out: string, packages: readonly NativePackage[]): string | undefined {
  if (packages.length === 0) return undefined;
  const layerFolder = join(out, 'layer');
  rmSync(layerFolder, { recursive: true, force: true });
  for (const native of packages) copyPackage(root, native, join(layerFolder, 'nodejs'));
  return layerFolder;
}

/** Copies an installed package into the `node_modules` of a folder. */
function copyPackage(root: string, { name, keep }: NativePackage, folder: string): void {
  const source = join(root, 'node_modules', name);
  if (!existsSync(source)) {
    throw new Error(
      `bundling for Lambda: ${name} is not installed; want to be run on Linux, on the processor that the functions are to use`,
    );
  }
  cpSync(source, join(folder, 'node_modules', name), {
    recursive: true,
    filter: (path) => path === source || keep(path.slice(source.length + 1).replaceAll('\\', '/')),
  });
}

function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((bytes, entry) => bytes + statSync(join(entry.parentPath, entry.name)).size, 0);
}
