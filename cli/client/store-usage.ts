import { formatSizeBytes } from '../../core/std/units.js';

/** What one kind of call on one store has added up to since the process started. */
export interface StoreUsage {
  /** `objects` or `meta`. */
  readonly store: string;
  /** Name of the port's call, such as `put`. */
  readonly operation: string;
  readonly requests: number;
  /** Content in both directions. */
  readonly bytes: number;
}

/** The threads of a process count under names of their own; here they are one. */
const requestsName = /^varve_(?:\w+_)?store_requests_total$/;
const bytesName = /^varve_(?:\w+_)?store_bytes_total$/;

/**
 * Adds up what a process reports of its stores.
 *
 * @param metrics answer of GET /metrics, in Prometheus' text format; other metrics in it are passed over
 * @returns by store and operation, the operations that were asked for most first
 */
export function storeUsage(metrics: string): StoreUsage[] {
  const usage = new Map<string, { store: string; operation: string; requests: number; bytes: number }>();
  for (const line of metrics.split('\n')) {
    const match = /^(\w+)\{([^}]*)\} (\S+)/.exec(line);
    if (match === null) continue;
    const [, name = '', labels = '', value = ''] = match;
    const counted = requestsName.test(name) ? 'requests' : bytesName.test(name) ? 'bytes' : undefined;
    if (counted === undefined) continue;
    const store = labelOf(labels, 'store');
    const operation = labelOf(labels, 'operation');
    const key = `${store} ${operation}`;
    const entry = usage.get(key) ?? { store, operation, requests: 0, bytes: 0 };
    entry[counted] += Number(value);
    usage.set(key, entry);
  }
  return [...usage.values()].sort(
    (left, right) =>
      (left.store < right.store ? 1 : left.store > right.store ? -1 : 0) || right.requests - left.requests,
  );
}

/** One line a store: `object store: 12 put (3.4 MiB), 5 get (1.0 MiB)`; nothing for a store that was not asked. */
export function storeUsageLines(usage: readonly StoreUsage[]): string[] {
  const names = { objects: 'object store', meta: 'meta store' };
  return Object.entries(names).flatMap(([store, name]) => {
    const calls = usage.filter((entry) => entry.store === store && entry.requests > 0);
    if (calls.length === 0) return [];
    const parts = calls.map(({ operation, requests, bytes }) =>
      bytes === 0 ? `${requests} ${operation}` : `${requests} ${operation} (${formatSizeBytes(bytes)})`,
    );
    return [`${name}, requests since the start: ${parts.join(', ')}`];
  });
}

function labelOf(labels: string, name: string): string {
  return new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
}
