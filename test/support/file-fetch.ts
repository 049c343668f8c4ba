import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Lets code that fetches read `file:` URLs, whole or by range, until the answered function is called. Iceberg metadata
 * names its files by URI; a reader made for the web knows `fetch` only.
 */
export function serveFileUrls(): () => void {
  const original = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    if (!url.startsWith('file:')) return original(input, init);
    const bytes = readFileSync(fileURLToPath(url));
    const length = { 'content-length': String(bytes.length) };
    if (init?.method === 'HEAD') return new Response(null, { headers: length });
    const range = /^bytes=(\d+)-(\d*)$/.exec(new Headers(init?.headers).get('range') ?? '');
    if (range === null) return new Response(bytes, { headers: length });
    const end = range[2] === '' ? bytes.length : Number(range[2]) + 1;
    return new Response(bytes.subarray(Number(range[1]), end), { status: 206 });
  };
  return () => {
    globalThis.fetch = original;
  };
}
