import { VarveError } from '../../core/std/errors.js';

/** What a `varve-snapshot` names: the snapshot of every table that a query pinned. */
export interface SnapshotToken {
  /** Id of the database, so that a token of a deleted one does not fit the one made again under its name. */
  readonly databaseId: string;
  readonly tables: Readonly<Record<string, string>>;
}

const version = 1;

/** The token as text, opaque to callers. */
export function encodeSnapshotToken(token: SnapshotToken): string {
  const json = JSON.stringify({ v: version, db: token.databaseId, tables: token.tables });
  return Buffer.from(json, 'utf8').toString('base64url');
}

/** Reads a token that encodeSnapshotToken made; `invalid` for anything else, naming what is wrong. */
export function decodeSnapshotToken(text: string): SnapshotToken {
  const parsed = parse(text);
  if (parsed['v'] !== version) {
    throw malformed(`got a token of version ${JSON.stringify(parsed['v'])}; want version ${version}`);
  }
  const { db, tables } = parsed;
  if (typeof db !== 'string' || typeof tables !== 'object' || tables === null || Array.isArray(tables)) {
    throw malformed('got a token without database or tables');
  }
  const entries = Object.entries(tables);
  for (const [table, id] of entries) {
    if (!(typeof id === 'string' && /^\d{1,19}$/.test(id))) {
      throw malformed(`got no snapshot id for table "${table}"`);
    }
  }
  return { databaseId: db, tables: Object.fromEntries(entries) as Record<string, string> };
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below: a token that is no JSON is as wrong as one that is no object.
  }
  throw malformed('got text that is no token');
}

function malformed(what: string): VarveError {
  return new VarveError('invalid', `snapshot: ${what}; want the varve-snapshot header of an earlier answer`);
}
