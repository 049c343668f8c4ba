import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import type { NodeId } from '../../../core/model/batch.js';
import { ClockOffsets } from '../../../ingest/clock-offsets.js';

function withOffsets(offsetsMs: readonly number[], uncertaintyMs = 1): ClockOffsets {
  const offsets = new ClockOffsets({ clock: new SimulatedClock(), skewMsMax: 500 });
  for (const [index, offsetMs] of offsetsMs.entries()) {
    offsets.note(`other-${index}` as NodeId, { offsetMs, uncertaintyMs });
  }
  return offsets;
}

describe('clock offsets', () => {
  it.each([
    { others: [], wrong: false },
    { others: [60_000], wrong: false },
    { others: [60_000, 60_000], wrong: true },
    { others: [-60_000, 60_000], wrong: false },
    { others: [10, 60_000], wrong: false },
    { others: [10, 60_000, 60_000], wrong: false },
    { others: [60_000, 60_100, 60_200], wrong: true },
    { others: [400, 499], wrong: false },
    { others: [-700, -800, 3, -900], wrong: true },
  ])('find this node’s clock wrong only where most nodes agree on it: $others', ({ others, wrong }) => {
    expect(withOffsets(others).problems()).toHaveLength(wrong ? 1 : 0);
  });

  it('say on which side and by how much', () => {
    expect(withOffsets([1500, 1600]).problems()[0]).toBe(
      'the clock of this node is 1500 ms behind that of the majority of nodes; want at most 500ms (--clock-skew-max)',
    );
    expect(withOffsets([-1500, -1600]).problems()[0]).toMatch(/1500 ms ahead of/);
  });

  it('give slow messages the benefit of the doubt', () => {
    expect(withOffsets([1500, 1600], 1001).problems()).toEqual([]);
  });

  it('go by the exchange that took the shortest time, and forget old ones', async () => {
    const clock = new SimulatedClock();
    const offsets = new ClockOffsets({ clock, skewMsMax: 500 });
    const node = 'other' as NodeId;
    offsets.note(node, { offsetMs: 5, uncertaintyMs: 1 });
    offsets.note(node, { offsetMs: 900, uncertaintyMs: 1000 });
    expect(offsets.others().get(node)?.offsetMs).toBe(5);
    await clock.advance(20_000);
    offsets.note(node, { offsetMs: 70, uncertaintyMs: 3 });
    expect(offsets.others().get(node)?.offsetMs).toBe(5);
    await clock.advance(20_000);
    expect(offsets.others().get(node)?.offsetMs).toBe(70);
    await clock.advance(20_000);
    expect(offsets.others().size).toBe(0);
    for (let i = 0; i < 100; i++) offsets.note(node, { offsetMs: i, uncertaintyMs: 1 });
    expect(offsets.others().get(node)?.offsetMs).toBe(99);
  });
});
