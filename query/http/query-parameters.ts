import { VarveError } from '../../core/std/errors.js';
import type { ResultFormat, SqlParameter, SqlParameters } from '../engine/query-engine.js';
import type { QueryRequest } from '../query-request.js';

const formats: readonly ResultFormat[] = ['json', 'jsonl', 'csv', 'pretty', 'parquet', 'arrow'];
const known: ReadonlySet<string> = new Set([
  ...['db', 'q', 'params', 'format', 'tier', 'snapshot', 'consistency', 'allow_partial'],
  ...['p', 'u'],
]);

const formatsByMediaType: ReadonlyMap<string, ResultFormat> = new Map([
  ['application/json', 'json'],
  ['application/jsonl', 'jsonl'],
  ['application/x-ndjson', 'jsonl'],
  ['application/ndjson', 'jsonl'],
  ['text/csv', 'csv'],
  ['text/plain', 'pretty'],
  ['application/vnd.apache.parquet', 'parquet'],
  ['application/vnd.apache.arrow.stream', 'arrow'],
]);

/** The parts of a request that say what is asked. */
export interface RawQueryRequest {
  /** Parameters of the query string. */
  readonly query: unknown;
  /** The parsed JSON body; undefined for GET. */
  readonly body: unknown;
  readonly accept: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

/** Reads the parameters of query_sql; those of the body stand before those of the query string. */
export function readQueryRequest(raw: RawQueryRequest): QueryRequest {
  const values = { ...record(raw.query, 'the query string'), ...record(raw.body, 'the body') };
  const stranger = Object.keys(values).find((name) => !known.has(name));
  if (stranger !== undefined) {
    throw invalid(
      `got the parameter ${JSON.stringify(stranger)}; want db, q, params, format, tier, snapshot, consistency, allow_partial`,
    );
  }
  const tier = text(values, 'tier') ?? 'all';
  if (tier !== 'all' && tier !== 'settled') throw invalid(`got tier "${tier}"; want all or settled`);
  const consistency = text(values, 'consistency') ?? 'quorum';
  if (consistency !== 'one' && consistency !== 'quorum') {
    throw invalid(`got consistency "${consistency}"; want one or quorum`);
  }
  return {
    database: required(values, 'db'),
    sql: required(values, 'q'),
    parameters: readParameters(values['params']),
    format: readFormat(text(values, 'format'), raw.accept),
    tier,
    snapshot: text(values, 'snapshot') ?? null,
    consistency,
    allowPartial: readFlag(values, 'allow_partial'),
    ifNoneMatch: raw.ifNoneMatch ?? null,
  };
}

function record(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid(`got ${where} as no JSON object`);
  return value as Record<string, unknown>;
}

function text(values: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = values[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw invalid(`got ${name} as ${JSON.stringify(value)}; want one text`);
  return value;
}

/** In a query string a flag is text, in a body it may be JSON's own true or false. */
function readFlag(values: Readonly<Record<string, unknown>>, name: string): boolean {
  const value = values[name];
  if (typeof value === 'boolean') return value;
  const word = text(values, name) ?? 'false';
  if (word !== 'true' && word !== 'false') throw invalid(`got ${name} "${word}"; want true or false`);
  return word === 'true';
}

function required(values: Readonly<Record<string, unknown>>, name: string): string {
  const value = text(values, name);
  if (value === undefined)
    throw invalid(`got no ${name}; want ${name}=${name === 'db' ? '<database>' : '<SQL>'}`);
  return value;
}

/** In a query string `params` is JSON text, in a body JSON itself. */
function readParameters(value: unknown): SqlParameters {
  if (value === undefined || value === null || value === '') return {};
  let parsed = value;
  if (typeof value === 'string') {
    try {
      parsed = JSON.parse(value);
    } catch {
      throw invalid('got params that are no JSON; want an object, such as {"host": "a"}');
    }
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw invalid('got params that are no JSON object; want names and values, such as {"host": "a"}');
  }
  const entries = Object.entries(parsed).map(([name, item]) => [name, readParameter(name, item)] as const);
  return Object.fromEntries(entries);
}

function readParameter(name: string, value: unknown): SqlParameter {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value !== 'number') {
    throw invalid(
      `got ${JSON.stringify(value)?.slice(0, 80)} for $${name}; want text, a number, true, false or null`,
    );
  }
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw invalid(
      `got ${value} for $${name}, which JSON cannot carry exactly; want it as text with a cast in the SQL`,
    );
  }
  return value;
}

function readFormat(format: string | undefined, accept: string | undefined): ResultFormat {
  if (format === undefined) return acceptedFormat(accept) ?? 'json';
  const known = formats.find((candidate) => candidate === format);
  if (known === undefined) throw invalid(`got format "${format}"; want one of ${formats.join(', ')}`);
  return known;
}

/** The format that the header Accept prefers; undefined where it leaves the choice to us. */
function acceptedFormat(accept: string | undefined): ResultFormat | undefined {
  const wanted = (accept ?? '').split(',').map((part, index) => {
    const [type = '', ...options] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const quality = options.find((option) => option.startsWith('q='));
    return { type, weight: quality === undefined ? 1 : Number(quality.slice(2)), index };
  });
  const best = wanted
    .filter(({ type, weight }) => weight > 0 && (formatsByMediaType.has(type) || type === '*/*'))
    .sort((left, right) => right.weight - left.weight || left.index - right.index)[0];
  return best === undefined ? undefined : formatsByMediaType.get(best.type);
}

function invalid(message: string): VarveError {
  return new VarveError('invalid', `query: ${message}`);
}
