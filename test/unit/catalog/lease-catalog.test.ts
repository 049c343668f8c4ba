import { describe, expect, it } from 'vitest';
import { type LeaseResult, leaseSkewMs } from '../../../core/catalog/lease-catalog.js';
import type { Lease } from '../../../core/catalog/types.js';
import { VarveError } from '../../../core/std/errors.js';
import { openCatalog, startMs } from './fixture.js';

const held = (result: LeaseResult): Lease => {
  if (result.kind !== 'held') throw new Error(`taken by ${result.by}`);
  return result.lease;
};
const ttlMs = 10_000;

describe('leases', () => {
  it('are held by one at a time', async () => {
    const { leases } = openCatalog();
    const lease = held(await leases.acquire('compactor', 'a', { ttlMs }));
    expect(lease).toEqual({ name: 'compactor', holder: 'a', epoch: 1, expiresMs: startMs + ttlMs });
    expect(await leases.acquire('compactor', 'b', { ttlMs })).toEqual({
      kind: 'taken',
      by: 'a',
      expiresMs: startMs + ttlMs,
    });
    expect(held(await leases.acquire('other', 'b', { ttlMs })).epoch).toBe(1);
    expect(await leases.get('compactor')).toEqual(lease);
    expect(await leases.get('none')).toBeUndefined();
  });

  it('go to one of many that ask at once', async () => {
    const { leases } = openCatalog();
    const asked = ['a', 'b', 'c', 'd'].map((holder) => leases.acquire('compactor', holder, { ttlMs }));
    const kinds = (await Promise.all(asked)).map((result) => result.kind);
    expect(kinds.filter((kind) => kind === 'held')).toHaveLength(1);
  });

  it('pass on when they have run out, a margin for clocks later, under a higher epoch', async () => {
    const { leases, clock } = openCatalog();
    const first = held(await leases.acquire('compactor', 'a', { ttlMs }));
    await clock.advance(ttlMs + leaseSkewMs - 1);
    expect((await leases.acquire('compactor', 'b', { ttlMs })).kind).toBe('taken');
    await clock.advance(1);
    expect(held(await leases.acquire('compactor', 'b', { ttlMs })).epoch).toBe(2);
    expect(await leases.renew(first, ttlMs)).toMatchObject({ kind: 'taken', by: 'b' });
    await leases.release(first);
    expect(await leases.get('compactor')).toMatchObject({ holder: 'b', epoch: 2 });
    expect(held(await leases.acquire('compactor', 'b', { ttlMs })).epoch).toBe(2);
  });

  it('stay with a holder that renews in time, or late but before anyone else', async () => {
    const { leases, clock } = openCatalog();
    const lease = held(await leases.acquire('compactor', 'a', { ttlMs }));
    await clock.advance(ttlMs - 1);
    expect(held(await leases.renew(lease, ttlMs)).expiresMs).toBe(startMs + 2 * ttlMs - 1);
    await clock.advance(10 * ttlMs);
    expect(held(await leases.renew(lease, ttlMs))).toMatchObject({ epoch: 1 });
  });

  it('are free at once when they are given back', async () => {
    const { leases } = openCatalog();
    await leases.release(held(await leases.acquire('compactor', 'a', { ttlMs })));
    expect(held(await leases.acquire('compactor', 'b', { ttlMs })).epoch).toBe(2);
  });

  it('are taken at once from a holder that is known to be gone', async () => {
    const { leases } = openCatalog();
    await leases.acquire('compactor', 'n1/6', { ttlMs });
    const isGone = (holder: string): boolean => holder.startsWith('n1/');
    expect(held(await leases.acquire('compactor', 'n1/7', { ttlMs, isGone })).epoch).toBe(2);
    expect((await leases.acquire('compactor', 'n2/1', { ttlMs, isGone: () => false })).kind).toBe('taken');
  });

  it('are held by whoever asks again after a lost answer', async () => {
    let losing = true;
    const error = new VarveError('unavailable', 'injected');
    const { leases } = openCatalog({
      fail: (call) => (losing && call.operation === 'put' ? { kind: 'answer-lost', error } : undefined),
    });
    await expect(leases.acquire('compactor', 'a', { ttlMs })).rejects.toBe(error);
    losing = false;
    expect(held(await leases.acquire('compactor', 'a', { ttlMs })).epoch).toBe(1);
  });
});
