import { describe, expect, it } from 'vitest';
import { storeUsage, storeUsageLines } from '../../../cli/client/store-usage.js';

const metrics = `# HELP varve_store_requests_total Calls on the object store and the meta store.
# TYPE varve_store_requests_total counter
varve_store_requests_total{store="meta",operation="get"} 7
varve_store_requests_total{store="objects",operation="put"} 2
varve_store_requests_total{store="objects",operation="list"} 0
varve_store_bytes_total{store="meta",operation="get",direction="received"} 100
varve_store_bytes_total{store="objects",operation="put",direction="sent"} 1024
varve_compactor_store_requests_total{store="objects",operation="put"} 40
varve_compactor_store_bytes_total{store="objects",operation="put",direction="sent"} 1048576
varve_compactor_store_requests_total{store="objects",operation="getRange"} 3
varve_hot_bytes 5
varve_other_total{store="objects",operation="put"} 1000
`;

describe('what stores were asked', () => {
  it('adds up the threads of a process, by store and operation, and passes over other metrics', () => {
    expect(storeUsage(metrics)).toEqual([
      { store: 'objects', operation: 'put', requests: 42, bytes: 1024 + 1048576 },
      { store: 'objects', operation: 'getRange', requests: 3, bytes: 0 },
      { store: 'objects', operation: 'list', requests: 0, bytes: 0 },
      { store: 'meta', operation: 'get', requests: 7, bytes: 100 },
    ]);
  });

  it('is one line a store that was asked', () => {
    expect(storeUsageLines(storeUsage(metrics))).toEqual([
      'object store, requests since the start: 42 put (1.0 MiB), 3 getRange',
      'meta store, requests since the start: 7 get (100 B)',
    ]);
    expect(storeUsageLines(storeUsage(''))).toEqual([]);
  });
});
