import { type ErrorKind, errorMessage, errorTraits, isVarveError } from '../std/errors.js';

/** What a failed request is answered with. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object;
}

/** InfluxDB v2's names for the kinds of error. */
const v2Codes: Readonly<Record<ErrorKind, string>> = {
  invalid: 'invalid',
  unauthenticated: 'unauthorized',
  'not-found': 'not found',
  conflict: 'conflict',
  'too-large': 'request too large',
  fenced: 'unavailable',
  busy: 'too many requests',
  exhausted: 'unavailable',
  timeout: 'unavailable',
  cancelled: 'unavailable',
  unavailable: 'unavailable',
  corrupt: 'internal error',
  internal: 'internal error',
};

const kindsByStatus: Readonly<Record<number, ErrorKind>> = {
  401: 'unauthenticated',
  404: 'not-found',
  413: 'too-large',
  429: 'busy',
  503: 'unavailable',
};

/**
 * Turns whatever a handler threw into an answer: `{"error"}`, or `{"code", "message"}` on the paths of InfluxDB v2.
 * Errors that are not meant for callers become a plain 500 that names the request, so that it is found in the log.
 */
export function errorAnswer(error: unknown, path: string, requestId: string): ErrorAnswer {
  if (isVarveError(error)) {
    const { httpStatus } = errorTraits[error.kind];
    return {
      status: httpStatus,
      headers: headersOf(error.kind, error.retryAfterSeconds),
      body: errorBody(path, error.kind, error.message),
    };
  }
  const status = clientStatus(error);
  if (status !== undefined) {
    const kind = kindsByStatus[status] ?? 'invalid';
    return { status, headers: {}, body: errorBody(path, kind, errorMessage(error)) };
  }
  const message = `an internal error occurred; the server's log has it under request ${requestId}`;
  return { status: 500, headers: {}, body: errorBody(path, 'internal', message) };
}

/** The body of an error in the shape of the path's API. */
export function errorBody(path: string, kind: ErrorKind, message: string): object {
  return path.startsWith('/api/v2/') ? { code: v2Codes[kind], message } : { error: message };
}

function headersOf(kind: ErrorKind, retryAfterSeconds: number | undefined): Readonly<Record<string, string>> {
  if (kind === 'unauthenticated') return { 'www-authenticate': 'Bearer, Basic realm="varve"' };
  if (retryAfterSeconds === undefined) return {};
  return { 'retry-after': String(Math.max(1, Math.ceil(retryAfterSeconds))) };
}

/** The status of an error by which the HTTP library refuses a malformed request. */
function clientStatus(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  const { statusCode } = error;
  const known =
    typeof statusCode === 'number' && ((statusCode >= 400 && statusCode < 500) || statusCode === 503);
  return known ? statusCode : undefined;
}
