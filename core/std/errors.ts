/**
 * The kinds of error Varve knows. Every failure that may reach a caller is one of them; each has one HTTP
 * status and one answer to "may the same request be sent again".
 */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'not-found'
  | 'conflict'
  | 'too-large'
  | 'fenced'
  | 'busy'
  | 'exhausted'
  | 'timeout'
  | 'cancelled'
  | 'unavailable'
  | 'corrupt'
  | 'internal';

interface ErrorTraits {
  readonly httpStatus: number;
  /** True when sending the same request again later can succeed. */
  readonly mayRetry: boolean;
}

/** Total map from kind to what a caller over HTTP is told. */
export const errorTraits: Readonly<Record<ErrorKind, ErrorTraits>> = {
  invalid: { httpStatus: 400, mayRetry: false },
  unauthenticated: { httpStatus: 401, mayRetry: false },
  'not-found': { httpStatus: 404, mayRetry: false },
  conflict: { httpStatus: 409, mayRetry: false },
  'too-large': { httpStatus: 413, mayRetry: false },
  fenced: { httpStatus: 503, mayRetry: true },
  busy: { httpStatus: 429, mayRetry: true },
  exhausted: { httpStatus: 507, mayRetry: true },
  timeout: { httpStatus: 504, mayRetry: true },
  cancelled: { httpStatus: 499, mayRetry: true },
  unavailable: { httpStatus: 503, mayRetry: true },
  corrupt: { httpStatus: 500, mayRetry: false },
  internal: { httpStatus: 500, mayRetry: false },
};

export interface ErrorDetails {
  /** Seconds after which a retry makes sense; sent as Retry-After. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** An error with a kind. The message says what was being done, what was got and what was wanted. */
export class VarveError extends Error {
  readonly kind: ErrorKind;
  readonly retryAfterSeconds: number | undefined;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'VarveError';
    this.kind = kind;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}

/** Narrows an unknown thrown value to a VarveError of one of the given kinds (any kind when none is given). */
export function isVarveError(error: unknown, ...kinds: readonly ErrorKind[]): error is VarveError {
  return error instanceof VarveError && (kinds.length === 0 || kinds.includes(error.kind));
}

/** The text of whatever was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
