import { VarveError } from '../../core/std/errors.js';

const pattern = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/;

/** Nanoseconds since the epoch of an RFC 3339 time with up to nine fraction digits. Errors: `invalid`. */
export function parseTimeNs(text: string): bigint {
  const match = pattern.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}${match[3]}`);
  if (match === null || Number.isNaN(ms)) {
    throw new VarveError('invalid', `got time "${text}"; want RFC 3339, such as 2026-01-01T00:00:00Z`);
  }
  return BigInt(ms) * 1_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'));
}
