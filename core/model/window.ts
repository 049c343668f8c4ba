/** Windows are half-open spans [start, end), aligned to the epoch. Times here are nanoseconds. */
export interface Window {
  readonly startNs: bigint;
  readonly endNs: bigint;
}

/** Nanoseconds a millisecond. */
export const nsPerMs = 1_000_000n;
/** Nanoseconds a day (UTC has no leap seconds here). */
export const nsPerDay = 86_400_000_000_000n;

/** The window of length `windowMs` that contains `timeNs`. */
export function windowOf(timeNs: bigint, windowMs: number): Window {
  const lengthNs = BigInt(windowMs) * nsPerMs;
  const startNs = floorTo(timeNs, lengthNs);
  return { startNs, endNs: startNs + lengthNs };
}

/** The greatest multiple of `step` that is not above `value`, for negative values too. */
export function floorTo(value: bigint, step: bigint): bigint {
  const rest = value % step;
  return rest < 0n ? value - rest - step : value - rest;
}

/** Days since the epoch of a time, as Iceberg's day transform counts them. */
export function dayOf(timeNs: bigint): number {
  return Number(floorTo(timeNs, nsPerDay) / nsPerDay);
}

/** RFC 3339 in UTC with as many fraction digits as needed (0, 3, 6 or 9). */
export function formatTimeNs(timeNs: bigint): string {
  const seconds = floorTo(timeNs, 1_000_000_000n) / 1_000_000_000n;
  const fraction = timeNs - seconds * 1_000_000_000n;
  const base = new Date(Number(seconds) * 1000).toISOString().slice(0, -5);
  if (fraction === 0n) return `${base}Z`;
  let digits = fraction.toString().padStart(9, '0');
  while (digits.endsWith('000')) digits = digits.slice(0, -3);
  return `${base}.${digits}Z`;
}
