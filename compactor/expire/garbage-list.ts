import { createHash } from 'node:crypto';
import type { ObjectStore } from '../../core/ports/object-store.js';
import { VarveError } from '../../core/std/errors.js';

/**
 * Lists of objects that nothing named at some moment, kept beside the table as `<folder>/garbage/<ms>-<hash>.json`,
 * so that the two phases of deletion (seen unreferenced; unreferenced still, a grace later) outlive the process.
 * Losing a list loses nothing but time: its objects are found again.
 */
export interface GarbageList {
  readonly key: string;
  readonly firstSeenMs: number;
  readonly keys: readonly string[];
}

const formatVersion = 1;
/** Keys a list; more make several. */
const keysMax = 5000;

/** The folder of a table's garbage lists, with its last slash. */
export function garbageFolder(tableFolder: string): string {
  return `${tableFolder}/garbage/`;
}

/** Puts lists of the keys, dated `nowMs`. */
export async function writeGarbageLists(
  objects: ObjectStore,
  tableFolder: string,
  nowMs: number,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const sorted = [...keys].sort();
  for (let from = 0; from < sorted.length; from += keysMax) {
    const part = sorted.slice(from, from + keysMax);
    const text = JSON.stringify({ version: formatVersion, firstSeenMs: nowMs, keys: part });
    const hash = createHash('sha256').update(text).digest('hex').slice(0, 32);
    const key = `${garbageFolder(tableFolder)}${nowMs}-${hash}.json`;
    await objects.put(key, Buffer.from(text), signal);
  }
}

/** All lists of a table, oldest first by their date. */
export async function readGarbageLists(
  objects: ObjectStore,
  tableFolder: string,
  signal?: AbortSignal,
): Promise<GarbageList[]> {
  const lists: GarbageList[] = [];
  for await (const { key } of objects.list(garbageFolder(tableFolder), signal)) {
    const bytes = await objects.get(key, signal);
    lists.push(decodeGarbageList(key, tableFolder, Buffer.from(bytes).toString('utf8')));
  }
  return lists.sort((left, right) => left.firstSeenMs - right.firstSeenMs);
}

function decodeGarbageList(key: string, tableFolder: string, text: string): GarbageList {
  const fail = (got: string): VarveError =>
    new VarveError(
      'corrupt',
      `garbage list ${key}: got ${got}; want version ${formatVersion} with keys below ${tableFolder}`,
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw fail('no JSON');
  }
  if (typeof value !== 'object' || value === null) throw fail('no object');
  const { version, firstSeenMs, keys } = value as Record<string, unknown>;
  if (version !== formatVersion) throw fail(`version ${String(version)}`);
  if (typeof firstSeenMs !== 'number' || !Array.isArray(keys)) throw fail('no date or no keys');
  const known: string[] = [];
  for (const each of keys) {
    // What a list names is deleted: nothing beyond the table's own folder may be.
    if (typeof each !== 'string' || !each.startsWith(`${tableFolder}/`)) throw fail(`key ${String(each)}`);
    known.push(each);
  }
  return { key, firstSeenMs, keys: known };
}
