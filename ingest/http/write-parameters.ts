import type { ConsistencyLevel } from '../../core/catalog/types.js';
import { VarveError } from '../../core/std/errors.js';
import { parsePrecision, type TimePrecision, type WriteApi } from '../protocols/line-protocol/precision.js';
import type { WriteRequest } from '../write-contract.js';

/** What a write request asks for in its query string. */
export interface WriteParameters {
  readonly request: WriteRequest;
  readonly precision: TimePrecision;
  /** False: if any line is bad none is written. */
  readonly acceptPartial: boolean;
}

const levels: readonly ConsistencyLevel[] = ['any', 'one', 'quorum', 'all'];

/**
 * Reads the query string of a write endpoint. Parameters that it does not know are ignored, as InfluxDB does:
 * clients send `org`, `u`, `p`, `no_sync`. `invalid` names what is missing or wrong.
 */
export function parseWriteParameters(api: WriteApi, query: unknown): WriteParameters {
  const database =
    api === 'v2'
      ? bucketDatabase(required(query, 'bucket'))
      : withPolicy(required(query, 'db'), api === 'v1' ? optional(query, 'rp') : undefined);
  const level = parseLevel(optional(query, 'consistency'));
  return {
    request: level === undefined ? { database } : { database, level },
    precision: parsePrecision(api, optional(query, 'precision')),
    acceptPartial: api !== 'v3' || parseBoolean(query, 'accept_partial', true),
  };
}

/** A bucket is `name` or `name/rp`. */
function bucketDatabase(bucket: string): string {
  const slash = bucket.indexOf('/');
  return slash === -1 ? bucket : withPolicy(bucket.slice(0, slash), bucket.slice(slash + 1));
}

/** InfluxDB v1's retention policies are databases of their own here; its default one is the database itself. */
function withPolicy(database: string, policy: string | undefined): string {
  return policy === undefined || policy === '' || policy === 'autogen' ? database : `${database}/${policy}`;
}

function parseLevel(text: string | undefined): ConsistencyLevel | undefined {
  if (text === undefined || text === '') return undefined;
  const level = levels.find((known) => known === text);
  if (level === undefined) {
    throw new VarveError('invalid', `got consistency "${text}"; want one of ${levels.join(', ')}`);
  }
  return level;
}

function parseBoolean(query: unknown, name: string, otherwise: boolean): boolean {
  const text = optional(query, name);
  if (text === undefined || text === '') return otherwise;
  if (text === 'true' || text === 'false') return text === 'true';
  throw new VarveError('invalid', `got ${name} "${text}"; want true or false`);
}

function required(query: unknown, name: string): string {
  const text = optional(query, name);
  if (text === undefined || text === '') {
    throw new VarveError('invalid', `got a write without "${name}"; want it as a query parameter`);
  }
  return text;
}

function optional(query: unknown, name: string): string | undefined {
  const values = new Map(Object.entries(query ?? {}));
  const value: unknown = values.get(name);
  if (Array.isArray(value))
    throw new VarveError('invalid', `got query parameter "${name}" twice; want it once`);
  return typeof value === 'string' ? value : undefined;
}
