import { expect, it } from 'vitest';
import { DoublingWait } from '../../../ingest/replicate/doubling-wait.js';

/** A Random that draws one number only. */
const always = (value: number) => ({ next: () => value, bytes: (length: number) => new Uint8Array(length) });

it('doubles each wait up to the limit, and begins anew after a success', () => {
  const wait = new DoublingWait({ minMs: 100, maxMs: 300, random: always(0) });
  expect([wait.take(), wait.take(), wait.take(), wait.take()]).toEqual([100, 200, 300, 300]);
  wait.reset();
  expect(wait.take()).toBe(100);
});

it('shortens a wait by chance, by a half at the most', () => {
  const wait = new DoublingWait({ minMs: 100, maxMs: 300, random: always(0.5) });
  expect([wait.take(), wait.take()]).toEqual([75, 150]);
});
