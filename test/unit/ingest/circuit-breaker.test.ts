import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { CircuitBreaker } from '../../../ingest/replicate/circuit-breaker.js';

function breaker(): { clock: SimulatedClock; breaker: CircuitBreaker; changes: string[] } {
  const clock = new SimulatedClock();
  const changes: string[] = [];
  const random = new SeededRandom(1);
  return {
    clock,
    changes,
    breaker: new CircuitBreaker({ clock, random, onChange: (state) => changes.push(state) }),
  };
}

describe('the circuit breaker', () => {
  it('opens after failures in a row, and not while successes come between them', () => {
    const { breaker: circuit } = breaker();
    for (let i = 0; i < 5; i++) {
      circuit.failed();
      circuit.failed();
      circuit.succeeded();
    }
    expect(circuit.state).toBe('closed');
    for (let i = 0; i < 3; i++) {
      expect(circuit.admit()).toBe(true);
      circuit.failed();
    }
    expect(circuit.state).toBe('open');
    expect(circuit.admit()).toBe(false);
  });

  it('lets one probe through after the back-off, and closes once it succeeds', async () => {
    const { clock, breaker: circuit, changes } = breaker();
    for (let i = 0; i < 3; i++) circuit.failed();
    await clock.advance(499);
    expect(circuit.admit()).toBe(false);
    await clock.advance(501);
    expect([circuit.admit(), circuit.admit(), circuit.admit()]).toEqual([true, false, false]);
    circuit.succeeded();
    expect([circuit.admit(), circuit.admit()]).toEqual([true, true]);
    expect(changes).toEqual(['open', 'half-open', 'closed']);
  });

  it('waits twice as long after each probe that fails, up to the bound, and from the start after a success', async () => {
    const { clock, breaker: circuit } = breaker();
    const waits: number[] = [];
    for (let i = 0; i < 3; i++) circuit.failed();
    for (let probe = 0; probe < 8; probe++) {
      waits.push(circuit.waitMs);
      await clock.advance(circuit.waitMs);
      expect(circuit.admit()).toBe(true);
      circuit.failed();
    }
    const longest = [1, 2, 4, 8, 16, 30, 30, 30].map((seconds) => seconds * 1000);
    waits.forEach((wait, index) => {
      expect(wait).toBeLessThanOrEqual(longest[index] ?? 0);
      expect(wait).toBeGreaterThanOrEqual((longest[index] ?? 0) / 2);
    });
    await clock.advance(30_000);
    circuit.admit();
    circuit.succeeded();
    for (let i = 0; i < 3; i++) circuit.failed();
    expect(circuit.waitMs).toBeLessThanOrEqual(1000);
  });

  it('lets a probe through at once when it is told that the destination is back, and waits from the start if that fails', async () => {
    const { clock, breaker: circuit } = breaker();
    for (let i = 0; i < 3; i++) circuit.failed();
    for (let probe = 0; probe < 6; probe++) {
      await clock.advance(circuit.waitMs);
      circuit.admit();
      circuit.failed();
    }
    expect(circuit.waitMs).toBeGreaterThan(10_000);
    circuit.tryNow();
    expect([circuit.waitMs, circuit.admit(), circuit.admit()]).toEqual([0, true, false]);
    // One probe is under way already.
    circuit.tryNow();
    expect(circuit.admit()).toBe(false);
    circuit.failed();
    expect(circuit.waitMs).toBeGreaterThan(0);
    expect(circuit.waitMs).toBeLessThanOrEqual(2000);
  });

  it('takes no account of failures of calls that went out before it opened', () => {
    const { breaker: circuit } = breaker();
    for (let i = 0; i < 3; i++) circuit.failed();
    const wait = circuit.waitMs;
    for (let i = 0; i < 50; i++) circuit.failed();
    expect(circuit.waitMs).toBe(wait);
  });
});
