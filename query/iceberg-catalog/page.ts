import { VarveError } from '../../core/std/errors.js';

/** Which part of a list a client asks for, in the terms of the Iceberg REST catalog specification. */
export interface PageRequest {
  /** The token of the page before; empty for the first page; null when the client wants the whole list at once. */
  readonly token: string | null;
  readonly namesMax: number;
}

/** Names in order, and the token of the next page; null when there is none. */
export interface Page {
  readonly names: readonly string[];
  readonly nextToken: string | null;
}

/** Names a page when the client asks for pages and does not say how large. */
const namesMaxDefault = 1000;

/** Reads `pageToken` and `pageSize` from the query string. `invalid` for a size that is no whole number from 1 up. */
export function readPageRequest(query: Readonly<Record<string, unknown>>): PageRequest {
  const { pageToken, pageSize } = query;
  const token = pageToken === undefined ? null : pageToken;
  if (token !== null && typeof token !== 'string') {
    throw new VarveError('invalid', `got pageToken ${JSON.stringify(token)}; want one text`);
  }
  return { token, namesMax: pageSize === undefined ? namesMaxDefault : sizeOf(pageSize) };
}

/**
 * The page of `names`, which come in any order. A token names the last name of its page, so tables made between two
 * pages neither repeat nor hide a name. Without a token the answer is the whole list, as the specification has it.
 */
export function pageOf(names: readonly string[], request: PageRequest): Page {
  const sorted = names.map((name) => Buffer.from(name)).sort(Buffer.compare);
  if (request.token === null) return { names: sorted.map(String), nextToken: null };
  const after = request.token === '' ? undefined : lastNameOf(request.token);
  const rest = after === undefined ? sorted : sorted.filter((name) => Buffer.compare(name, after) > 0);
  const page = rest.slice(0, request.namesMax);
  const last = page.at(-1);
  const isLast = page.length === rest.length || last === undefined;
  return {
    names: page.map(String),
    nextToken: isLast ? null : `${tokenVersion}${last.toString('base64url')}`,
  };
}

/** Begins every token, so that another kind of token can be told from it one day. */
const tokenVersion = '1.';

function lastNameOf(token: string): Buffer {
  const name = Buffer.from(token.slice(tokenVersion.length), 'base64url');
  if (token === `${tokenVersion}${name.toString('base64url')}` && name.length > 0) return name;
  throw new VarveError(
    'invalid',
    `got pageToken ${JSON.stringify(token.slice(0, 80))}; want the next-page-token of the answer before`,
  );
}

function sizeOf(value: unknown): number {
  const size = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : 0;
  if (size >= 1) return size;
  throw new VarveError('invalid', `got pageSize ${JSON.stringify(value)}; want a whole number from 1 up`);
}
