import { type ErrorKind, errorMessage, errorTraits, isVarveError, VarveError } from '../std/errors.js';

/** An error on its way from one process of a cluster to another. */
export interface WireError {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly retryAfterSeconds?: number | undefined;
}

/** The error as JSON carries it; what is no VarveError is `internal`. */
export function errorToWire(error: unknown): WireError {
  if (!isVarveError(error)) return { kind: 'internal', message: errorMessage(error) };
  return { kind: error.kind, message: error.message, retryAfterSeconds: error.retryAfterSeconds };
}

/** The error with its kind again. A body that is no such error is `unavailable`: something else answered. */
export function errorFromWire(body: unknown, otherwise = 'got an answer that names no error'): VarveError {
  if (!isWireError(body)) return new VarveError('unavailable', otherwise, { retryAfterSeconds: 1 });
  const { kind, message, retryAfterSeconds } = body;
  return new VarveError(kind, message, typeof retryAfterSeconds === 'number' ? { retryAfterSeconds } : {});
}

function isWireError(body: unknown): body is WireError {
  if (typeof body !== 'object' || body === null || !('kind' in body) || !('message' in body)) return false;
  return (
    typeof body.kind === 'string' && Object.hasOwn(errorTraits, body.kind) && typeof body.message === 'string'
  );
}
