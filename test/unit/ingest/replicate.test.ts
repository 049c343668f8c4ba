import { describe, expect, it } from 'vitest';
import { requiredCopies } from '../../../ingest/replicate/levels.js';
import { OwnerGates } from '../../../ingest/replicate/owner-gates.js';
import { Sequences } from '../../../ingest/replicate/sequences.js';

describe('requiredCopies', () => {
  it('is one for any and one, a majority for quorum, every owner for all', () => {
    const table = [1, 2, 3, 4, 5].map((owners) => [
      requiredCopies('any', owners),
      requiredCopies('one', owners),
      requiredCopies('quorum', owners),
      requiredCopies('all', owners),
    ]);
    expect(table).toEqual([
      [1, 1, 1, 1],
      [1, 1, 2, 2],
      [1, 1, 2, 3],
      [1, 1, 3, 4],
      [1, 1, 3, 5],
    ]);
  });
});

describe('Sequences', () => {
  it('never hands out a number twice and keeps those of a shard together', () => {
    const sequences = new Sequences();
    const a = [1, 2, 3].map(() => sequences.next('a', 0));
    const b = [1, 2, 3].map(() => sequences.next('b', 0));
    const more = sequences.next('a', 0);
    expect(a).toEqual([1, 2, 3]);
    expect(more).toBe(4);
    expect(b[1]).toBe((b[0] ?? 0) + 1);
    sequences.forget('a');
    const again = sequences.next('a', 0);
    expect(new Set([...a, ...b, more, again]).size).toBe(8);
  });

  it('goes on in a fresh block when one is used up', () => {
    const sequences = new Sequences();
    const seen = new Set<number>();
    for (let i = 0; i < 2 ** 20 + 5; i++) seen.add(sequences.next('a', 0));
    seen.add(sequences.next('b', 0));
    expect(seen.size).toBe(2 ** 20 + 6);
  });

  it('forgets shards that take no more, and goes on in those that do', () => {
    const sequences = new Sequences();
    const minuteMs = 60_000;
    const seen = new Set<number>();
    const always: number[] = [];
    for (let minute = 0; minute < 1000; minute++) {
      always.push(sequences.next('always', minute * minuteMs));
      seen.add(sequences.next(`once-${minute}`, minute * minuteMs));
      expect(sequences.size).toBeLessThanOrEqual(122);
    }
    expect(always).toEqual(Array.from(always, (_, index) => (always[0] ?? 0) + index));
    expect(new Set([...always, ...seen]).size).toBe(2000);
  });
});

describe('OwnerGates', () => {
  it('closes only after the appends that were let in have left, and lets in none after', async () => {
    const gates = new OwnerGates();
    gates.open('g');
    expect([gates.enter('g'), gates.enter('g')]).toEqual([true, true]);
    let closed = false;
    const closing = gates.close('g').then(() => {
      closed = true;
    });
    expect(gates.enter('g')).toBe(false);
    gates.leave('g');
    await Promise.resolve();
    expect(closed).toBe(false);
    gates.leave('g');
    await closing;
    expect(closed).toBe(true);
  });

  it('keeps a group closed that was closed while it was looked up', async () => {
    const gates = new OwnerGates();
    await gates.close('g');
    gates.open('g');
    expect(gates.state('g')).toBe('closed');
    expect(gates.enter('g')).toBe(false);
    gates.forget('g');
    expect(gates.state('g')).toBe('unknown');
  });
});
