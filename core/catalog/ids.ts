import type { Random } from '../ports/random.js';

/** A new id for a database: 12 hex digits of milliseconds, so that ids sort by age, and 20 random ones. */
export function newDatabaseId(nowMs: number, random: Random): string {
  const time = Math.floor(nowMs).toString(16).padStart(12, '0');
  return time + Buffer.from(random.bytes(10)).toString('hex');
}

/** A random UUID (version 4, RFC 9562). */
export function newUuid(random: Random): string {
  const bytes = Buffer.from(random.bytes(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
