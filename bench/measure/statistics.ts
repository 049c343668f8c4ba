/** Least, middle, 99th percentile and greatest of some measurements. */
export interface Spread {
  readonly count: number;
  readonly min: number;
  readonly median: number;
  readonly p99: number;
  readonly max: number;
}

/** The spread of at least one measurement. Percentiles are the nearest rank: always a value that was measured. */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error('spread of measurements: got none; want at least one');
  const sorted = [...values].sort((left, right) => left - right);
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
  return { count: sorted.length, min: rank(0), median: rank(0.5), p99: rank(0.99), max: rank(1) };
}

/** Whether two figures are the same but for the rounding of sums in different orders. */
export function isClose(left: number, right: number): boolean {
  return left === right || Math.abs(left - right) <= 1e-9 * Math.max(Math.abs(left), Math.abs(right), 1);
}
