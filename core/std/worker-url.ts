/**
 * Where the compiled form of a worker module is. Worker threads need JavaScript; when the caller itself runs
 * from TypeScript source (as under the test runner) the compiled twin under dist/ is taken.
 *
 * @param moduleUrl `import.meta.url` of the caller
 * @param relative path of the worker from the caller, ending in `.js`
 */
export function workerUrl(moduleUrl: string, relative: string): URL {
  const url = new URL(relative, moduleUrl);
  if (!moduleUrl.endsWith('.ts')) return url;
  const root = new URL('../../', import.meta.url).href;
  return new URL(url.href.replace(root, `${root}dist/`));
}
