import { describe, expect, it } from 'vitest';
import { importsOf, type SourceFile, sourceFiles } from './source-files.js';

const files = sourceFiles();
const rooms = ['ingest', 'compactor', 'query'] as const;
/** What each room of core may import of core: the table in docs/ARCHITECTURE.md. All may import core/std. */
const coreImports: Readonly<Record<string, readonly string[]>> = {
  std: [],
  model: ['ports'],
  ports: ['model', 'catalog'],
  codec: ['model', 'ports', 'catalog'],
  catalog: ['model', 'ports'],
  parquet: ['model'],
  iceberg: ['model', 'ports', 'catalog', 'parquet'],
  adapters: ['model', 'ports', 'catalog', 'codec'],
  http: ['model', 'ports', 'catalog'],
};
/** Composition roots that live in the room they put together; all others are in cli. */
const lambdaHandlers: readonly string[] = ['compactor/lambda/handler.ts', 'query/lambda/handler.ts'];
/** What a thread starts with puts its parts together too. */
const threadEntries: readonly string[] = ['query/engine/engine-worker.ts'];

/** `file -> import` for each import of a file that the predicate forbids. */
function violations(forbidden: (file: SourceFile, imported: string) => boolean): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((imported) => forbidden(file, imported))
      .map((imported) => `${file.path} -> ${imported}`),
  );
}

const within = (path: string, ...folders: readonly string[]): boolean =>
  folders.some((folder) => path.startsWith(`${folder}/`));
const isPackage = (imported: string, ...names: readonly string[]): boolean =>
  names.some((name) => imported === name || imported.startsWith(`${name}/`));

describe('import rules', () => {
  it('sees the imports of the code, so that the rules below can fail', () => {
    expect(files.length).toBeGreaterThan(20);
    expect(files.flatMap(importsOf)).toContain('core/std/errors.ts');
  });

  it('core imports no room and no composition root', () => {
    expect(
      violations(
        (file, imported) => within(file.path, 'core') && within(imported, ...rooms, 'cli', 'test', 'bench'),
      ),
    ).toEqual([]);
  });

  it('the rooms of core import one another as ARCHITECTURE.md says', () => {
    const coreRoom = (path: string): string => (within(path, 'core') ? (path.split('/')[1] ?? '') : '');
    expect(
      violations((file, imported) => {
        const [from, to] = [coreRoom(file.path), coreRoom(imported)];
        if (from === '' || to === '' || to === from || to === 'std') return false;
        return coreImports[from]?.includes(to) !== true;
      }),
    ).toEqual([]);
  });

  it('ingest, compactor and query never import one another', () => {
    expect(
      violations((file, imported) =>
        rooms.some(
          (room) => within(file.path, room) && within(imported, ...rooms.filter((other) => other !== room)),
        ),
      ),
    ).toEqual([]);
  });

  it('adapters are imported by composition roots, benches and tests only', () => {
    const allowed = ['cli', 'test', 'bench', 'core/adapters'];
    expect(
      violations(
        (file, imported) =>
          within(imported, 'core/adapters') &&
          !within(file.path, ...allowed) &&
          !lambdaHandlers.includes(file.path) &&
          !threadEntries.includes(file.path),
      ),
    ).toEqual([]);
  });

  it('rooms never import the command, their Lambda handlers excepted', () => {
    expect(
      violations(
        (file, imported) =>
          within(imported, 'cli') && within(file.path, ...rooms) && !lambdaHandlers.includes(file.path),
      ),
    ).toEqual([]);
  });

  it('product code imports neither tests nor benches', () => {
    expect(
      violations(
        (file, imported) => !within(file.path, 'test', 'bench') && within(imported, 'test', 'bench'),
      ),
    ).toEqual([]);
  });

  it('DuckDB is at home in query/engine alone', () => {
    expect(
      violations(
        (file, imported) =>
          isPackage(imported, '@duckdb/node-api', '@duckdb/node-bindings') &&
          !within(file.path, 'query/engine', 'test', 'bench'),
      ),
    ).toEqual([]);
  });

  it('storage SDKs and the file system as storage are at home in core/adapters alone', () => {
    const sdks = ['lmdb', '@aws-sdk/client-s3', '@aws-sdk/client-dynamodb', 'undici'];
    expect(
      violations(
        (file, imported) =>
          isPackage(imported, ...sdks) && !within(file.path, 'core/adapters', 'cli', 'test', 'bench'),
      ),
    ).toEqual([]);
    expect(
      violations(
        (file, imported) =>
          isPackage(imported, 'node:fs', 'fs') &&
          within(file.path, 'core', 'ingest', 'compactor') &&
          !within(file.path, 'core/adapters'),
      ),
    ).toEqual([]);
  });

  it('prom-client and pino are bound in composition roots', () => {
    expect(
      violations(
        (file, imported) => isPackage(imported, 'prom-client', 'pino') && within(file.path, 'core', ...rooms),
      ),
    ).toEqual([]);
  });

  it('has no circles', () => {
    const graph = new Map(
      files.map((file) => [file.path, importsOf(file).filter((path) => path.endsWith('.ts'))]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
      if (done.has(path) || trail.includes(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
    expect(circles).toEqual([]);
  });
});
