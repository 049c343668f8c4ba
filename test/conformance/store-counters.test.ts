import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../core/adapters/clock-simulated.js';
import { MemoryMetaStore } from '../../core/adapters/meta-store-memory.js';
import { MemoryObjectStore } from '../../core/adapters/object-store-memory.js';
import { countingMetaStore, countingObjectStore, StoreTallies } from '../../core/adapters/store-counters.js';
import { describeMetaStore } from './meta-store.js';
import { describeObjectStore } from './object-store.js';

describeObjectStore('memory, counted', async () => ({
  store: countingObjectStore(new MemoryObjectStore({ clock: new SimulatedClock() }), new StoreTallies()),
  close: async () => {},
}));

describeMetaStore('memory, counted', async () => {
  const store = countingMetaStore(new MemoryMetaStore(), new StoreTallies());
  return { store, close: () => store.close() };
});

describe('store counters', () => {
  it('count requests and bytes of an object store by operation', async () => {
    const tallies = new StoreTallies();
    const store = countingObjectStore(new MemoryObjectStore({ clock: new SimulatedClock() }), tallies);
    const keys = Array.from({ length: 2001 }, (_, index) => `k/${index}`);
    for (const key of keys) await store.put(key, new Uint8Array(3));
    await store.get('k/1');
    await store.getRange('k/1', 1, 100);
    await expect(store.head('none')).rejects.toThrow();
    let listed = 0;
    for await (const _ of store.list('k/')) listed++;
    await store.deleteMany(keys);
    expect(listed).toBe(2001);
    expect(tallies.requests()).toEqual({ put: 2001, get: 1, getRange: 1, head: 1, list: 3, deleteMany: 3 });
    expect(tallies.of('put')).toEqual({ requests: 2001, bytesSent: 6003, bytesReceived: 0 });
    expect(tallies.of('getRange')).toEqual({ requests: 1, bytesSent: 0, bytesReceived: 2 });
  });

  it('count requests and bytes of a meta store by operation', async () => {
    const tallies = new StoreTallies();
    const store = countingMetaStore(new MemoryMetaStore(), tallies);
    await store.put('k/a', 'é', null);
    await store.put('k/b', 'xyz', null);
    await store.put('k/b', 'lost', null);
    await store.get('k/a');
    await store.get('k/none');
    await store.range('k/');
    await store.delete('k/a', 1);
    expect(tallies.requests()).toEqual({ put: 3, get: 2, range: 1, delete: 1 });
    expect(tallies.of('put').bytesSent).toBe(9);
    expect(tallies.of('get').bytesReceived).toBe(2);
    expect(tallies.of('range').bytesReceived).toBe(5);
  });
});
