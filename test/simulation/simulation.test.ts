import { describe, expect, it } from 'vitest';
import { type Mutant, mutants } from './mutants.js';
import { runSimulation, type SimulationResult } from './run-simulation.js';

const firstSeed = Number(process.env['VARVE_SIM_SEED'] ?? 1);
const seeds = Number(process.env['VARVE_SIM_SEEDS'] ?? 50);
const steps = Number(process.env['VARVE_SIM_STEPS'] ?? 50);
/** What many seeds together must have been through. */
const wanted = [
  'append duplicate',
  'append closed',
  'append failed',
  'batch re-routed',
  'call delivered twice',
  'catch-up ok',
  'hint kept',
  'joined node owns',
  'group sealed by a quorum alone',
  'late group sealed',
  'ahead group sealed',
  'node left',
  'node lost for ever',
  'owners compared',
  'owners replaced',
];
/** Seeds tried for a mutant before it counts as not caught. */
const mutantSeedsMax = 60;
const isAlone = process.env['VARVE_SIM_SEEDS'] !== undefined;

function report({ seed, profile, violation, tail }: SimulationResult): string {
  return [
    `seed ${seed} (${profile}): ${violation}`,
    `again: npm run test:sim -- --seed ${seed} --seeds 1 --steps ${steps}`,
    ...tail,
  ].join('\n');
}

describe('a simulated cluster', () => {
  it(`keeps its promises under seeds ${firstSeed} to ${firstSeed + seeds - 1}`, async () => {
    const failed: string[] = [];
    const total = { writes: 0, acknowledged: 0, reads: 0, answered: 0 };
    const counts = new Map<string, number>();
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const result = await runSimulation({ seed, steps });
      if (result.violation !== null) {
        failed.push(`${seed}`);
        console.error(report(result));
      }
      for (const [what, count] of result.counts) counts.set(what, (counts.get(what) ?? 0) + count);
      total.writes += result.writes;
      total.acknowledged += result.acknowledged;
      total.reads += result.reads;
      total.answered += result.answered;
      if (isAlone && (seed - firstSeed + 1) % 100 === 0) console.log(`${seed - firstSeed + 1} seeds`, total);
    }
    expect(failed).toEqual([]);
    // A simulation in which nothing works would find nothing either.
    expect(total.acknowledged).toBeGreaterThan(total.writes / 2);
    expect(total.answered).toBeGreaterThan(total.reads / 3);
    if (seeds >= 50) expect(wanted.filter((what) => !counts.has(what))).toEqual([]);
  }, 3_600_000);

  it.skipIf(isAlone)('runs a seed again exactly', async () => {
    for (const seed of [4, 8, 15]) {
      const [first, second] = [await runSimulation({ seed }), await runSimulation({ seed })];
      expect(second).toEqual(first);
      expect(first.events).toBeGreaterThan(200);
    }
  });

  it.skipIf(isAlone)('runs other seeds otherwise', async () => {
    const hashes = [await runSimulation({ seed: 1, steps: 20 }), await runSimulation({ seed: 2, steps: 20 })];
    expect(new Set(hashes.map(({ traceHash }) => traceHash)).size).toBe(2);
  });

  for (const mutant of mutants) {
    it.skipIf(isAlone)(`catches ${mutant.name}: ${mutant.breaks}`, async () => {
      expect(await firstCaught(mutant)).not.toBeNull();
    });
  }
});

/** The first seed from the mutant's own on that catches it; null when none of many does. */
async function firstCaught({ seed, mutations }: Mutant): Promise<number | null> {
  for (let next = seed; next < seed + mutantSeedsMax; next++) {
    if ((await runSimulation({ seed: next, mutations: mutations() })).violation !== null) return next;
  }
  return null;
}
