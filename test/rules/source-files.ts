import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const codeFolders = ['bench', 'cli', 'compactor', 'core', 'infra', 'ingest', 'localstack', 'query', 'test'];

export interface SourceFile {
  /** Path from the root of the checkout, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** Every TypeScript file of the project. */
export function sourceFiles(): SourceFile[] {
  return codeFolders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
        .filter(
          (entry) =>
            entry.isFile() && entry.name.endsWith('.ts') && !entry.parentPath.includes('node_modules'),
        )
        .map((entry) => {
          const path = relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/');
          return { path, text: readFileSync(join(root, path), 'utf8') };
        }),
    );
}

/** What a file imports: package names, or paths from the root for relative imports. Type imports count. */
export function importsOf(file: SourceFile): string[] {
  const specifiers = [
    ...file.text.matchAll(/^\s*(?:import|export)\s[^'";]*?from\s+'([^']+)'/gm),
    ...file.text.matchAll(/^\s*import\s+'([^']+)'/gm),
    ...file.text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g),
  ].map((match) => match[1] ?? '');
  return specifiers.map((specifier) =>
    specifier.startsWith('.')
      ? posix.normalize(posix.join(posix.dirname(file.path), specifier)).replace(/\.js$/, '.ts')
      : specifier,
  );
}

/** The text with comments and string contents blanked, so that a rule sees code only. Line numbers stay. */
export function codeOnly(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, (match) =>
    match.replace(/[^\n]/g, ' '),
  );
}
