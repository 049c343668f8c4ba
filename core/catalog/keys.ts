import { VarveError } from '../std/errors.js';

/**
 * Keys of the catalog's items in the MetaStore, one prefix a kind. What belongs to a database is filed under its id,
 * so that a database made again under an old name never meets what the old one left.
 */
export const catalogPrefixes = {
  database: 'database/',
  dropped: 'dropped/',
  groups: 'groups/',
  table: 'table/',
  lease: 'lease/',
  node: 'node/',
} as const;

/** Key of a database that stands. */
export const databaseKey = (name: string): string => `${catalogPrefixes.database}${escapeName(name)}`;
/** Key of the tombstone of a database. */
export const droppedKey = (databaseId: string): string => `${catalogPrefixes.dropped}${databaseId}`;
/** Key of the group list of a database. */
export const groupsKey = (databaseId: string): string => `${catalogPrefixes.groups}${databaseId}`;
/** Prefix of the keys of all tables of a database. */
export const tablesPrefix = (databaseId: string): string => `${catalogPrefixes.table}${databaseId}/`;
/** Key of a table. */
export const tableKey = (databaseId: string, table: string): string =>
  `${tablesPrefix(databaseId)}${escapeName(table)}`;
/** Key of a lease. */
export const leaseKey = (name: string): string => `${catalogPrefixes.lease}${escapeName(name)}`;
/** Key of a node. */
export const nodeKey = (node: string): string => `${catalogPrefixes.node}${node}`;

/** Longest name of a database, table or column, in bytes of UTF-8; escaped it still fits a key. */
export const nameBytesMax = 256;

/** Printed ASCII of a fair length: nothing can be wrong with it. */
const plainName = /^[ -~]{1,256}$/;

/** What is wrong with a name; undefined when nothing is. Runs for each name of each new series. */
export function nameDefect(name: string): string | undefined {
  if (plainName.test(name)) return undefined;
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > nameBytesMax) return `got a name of ${bytes} bytes; want 1 to ${nameBytesMax}`;
  if (Buffer.from(name).toString() !== name) return 'got a name that is not well-formed Unicode';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(name)) return 'got a control character; want a name without';
  return undefined;
}

/** Refuses, as `invalid`, a name that the catalog cannot hold. */
export function checkName(kind: string, name: string): void {
  const defect = nameDefect(name);
  if (defect !== undefined) {
    throw new VarveError('invalid', `${kind} ${JSON.stringify(name.slice(0, 80))}: ${defect}`);
  }
}

/** A name as one segment of a key. */
function escapeName(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('/', '%2F');
}
