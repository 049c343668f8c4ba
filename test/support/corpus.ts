import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { root } from '../rules/source-files.js';

/** Where real input lies: beside the checkout. Tests that need it say so where it is absent. */
export const corpusFolder = join(dirname(root), 'shared', 'corpus');
export const corpusPresent = existsSync(corpusFolder);
/** For the names of tests that are skipped without it. */
export const corpusNotice = corpusPresent ? '' : ' (skipped: ../shared/corpus is not here)';

/** A corpus file of line protocol, unzipped. */
export function corpusText(path: string): string {
  return gunzipSync(readFileSync(join(corpusFolder, path))).toString('utf8');
}

/** One point as an independent reading of a line gives it: no code shared with the product. */
export interface ReadPoint {
  readonly table: string;
  /** `tag=value` pairs, sorted. */
  readonly tags: readonly string[];
  readonly fields: ReadonlyMap<string, string>;
  readonly time: bigint;
}

/** Reads the plain lines of the corpus (no escapes, no quotes) by splitting. */
export function readPlainLines(text: string): ReadPoint[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [key = '', fields = '', time = '0'] = line.split(' ');
      const [table = '', ...tags] = key.split(',');
      const pairs = fields.split(',').map((pair): [string, string] => {
        const at = pair.indexOf('=');
        return [pair.slice(0, at), pair.slice(at + 1)];
      });
      return { table, tags: tags.sort(), fields: new Map(pairs), time: BigInt(time) };
    });
}

/** The points after the merge rule: same table, tags and time are one point, later lines win field by field. */
export function mergePoints(points: readonly ReadPoint[]): Map<string, Map<string, ReadPoint>> {
  const tables = new Map<string, Map<string, ReadPoint>>();
  for (const point of points) {
    const table = tables.get(point.table) ?? new Map<string, ReadPoint>();
    tables.set(point.table, table);
    const key = `${point.tags.join(',')} ${point.time}`;
    const before = table.get(key);
    table.set(
      key,
      before === undefined ? point : { ...point, fields: new Map([...before.fields, ...point.fields]) },
    );
  }
  return tables;
}
