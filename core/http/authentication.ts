import { createHash, timingSafeEqual } from 'node:crypto';
import { VarveError } from '../std/errors.js';

/** The parts of a request that may carry a token. */
export interface Credentials {
  /** The Authorization header. */
  readonly authorization: string | undefined;
  /** The query parameter `p` of InfluxDB v1; its `u` is not looked at. */
  readonly password: string | undefined;
}

/** Decides who may talk to the server. `none` is for loopback and for `--insecure`. */
export type Authentication =
  | { readonly kind: 'none' }
  | { readonly kind: 'tokens'; readonly digests: readonly Uint8Array[] };

/** Everyone may do everything. */
export const noAuthentication: Authentication = { kind: 'none' };

const tokenBytesMin = 8;

/**
 * Reads the content of a token file: one token a line; blank lines and lines that begin with # are skipped. Only
 * digests are kept. `invalid` when there is no token, or one that is short enough to guess.
 */
export function readTokenFile(content: string): Authentication {
  const tokens = content
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (tokens.length === 0)
    throw new VarveError('invalid', 'got a token file without a token; want one a line');
  const short = tokens.findIndex((token) => Buffer.byteLength(token) < tokenBytesMin);
  if (short !== -1) {
    throw new VarveError(
      'invalid',
      `got a token of ${Buffer.byteLength(tokens[short] ?? '')} bytes as number ${short + 1} of the token file; want at least ${tokenBytesMin}`,
    );
  }
  return { kind: 'tokens', digests: tokens.map(digestOf) };
}

/**
 * Throws `unauthenticated` unless the request carries a token: as `Authorization: Bearer …` or `Token …`, as the
 * password of Basic, or as the parameter `p`. The time it takes tells nothing about the tokens.
 */
export function authenticate(authentication: Authentication, credentials: Credentials): void {
  if (authentication.kind === 'none') return;
  const presented = presentedToken(credentials);
  if (presented === undefined) {
    throw new VarveError(
      'unauthenticated',
      'got a request without a token; want "Authorization: Bearer <token>", "Token <token>" or Basic with the token as the password',
    );
  }
  const digest = digestOf(presented);
  let matches = false;
  for (const known of authentication.digests) matches = timingSafeEqual(known, digest) || matches;
  if (!matches) throw new VarveError('unauthenticated', 'got a token that is not one of this server');
}

function presentedToken({ authorization, password }: Credentials): string | undefined {
  const [, scheme = '', rest = ''] = /^\s*(\S+)\s+(.*?)\s*$/.exec(authorization ?? '') ?? [];
  switch (scheme.toLowerCase()) {
    case 'bearer':
    case 'token':
      return rest;
    case 'basic': {
      const pair = Buffer.from(rest, 'base64').toString('utf8');
      const colon = pair.indexOf(':');
      return colon === -1 ? undefined : pair.slice(colon + 1);
    }
    default:
      return password;
  }
}

function digestOf(token: string): Uint8Array {
  return createHash('sha256').update(token, 'utf8').digest();
}
