import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import { SeededRandom } from '../../../core/adapters/random-seeded.js';
import { batchIdText } from '../../../core/model/batch.js';
import type { Random } from '../../../core/ports/random.js';
import type { Wal } from '../../../ingest/wal/wal.js';
import { database, groupNumber, makeBatch, openWal } from './harness.js';

/**
 * The log against a simple model over many lives of one process on one disk. A life ends by a kill or by the power
 * going at any changing operation of the disk, start() and release() included. After each end the next start must
 * replay, exactly once, every batch that was acknowledged and whose group was not released; what was appended and
 * not acknowledged may come or not; nothing else may come.
 */
type Step =
  | { readonly kind: 'append'; readonly sizes: readonly number[]; readonly group: number }
  | { readonly kind: 'release'; readonly group: number };

interface Life {
  readonly steps: readonly Step[];
  /** Changing operations after which the power goes. */
  readonly powerOffAfter: number;
  readonly end: 'kill' | 'none' | 'all' | { readonly seed: number };
}

interface Model {
  /** Appended, not released: whether it was acknowledged. By id. */
  readonly batches: Map<string, { readonly group: number; acknowledged: boolean }>;
  /** Released: a replay may still show them when the removal was not durable. */
  readonly released: Set<string>;
  sequence: number;
}

const segmentBytes = 32 * 1024;

async function live(disk: MemoryDisk, model: Model, life: Life, random: Random): Promise<void> {
  const { wal } = openWal(disk, { segmentBytes, blockBytesMax: 8192 }, Math.floor(random.next() * 2 ** 31));
  const seen: string[] = [];
  disk.losePowerAt(life.powerOffAfter);
  try {
    await wal.start((batch) => {
      const id = batchIdText(batch.id);
      seen.push(id);
      return model.batches.has(id) ? 'keep' : 'drop';
    });
    checkReplay(model, seen);
    await runSteps(wal, model, life.steps);
  } catch (error) {
    if (!disk.powerLost) throw error;
  }
  const stopped = wal.stop().catch(() => {});
  if (!disk.powerLost && random.next() < 0.3) await stopped;
  await settle();
  if (life.end === 'kill') disk.kill();
  else disk.crash(typeof life.end === 'string' ? life.end : new SeededRandom(life.end.seed));
  await stopped;
}

async function runSteps(wal: Wal, model: Model, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (step.kind === 'release') {
      for (const [id, batch] of model.batches) {
        if (batch.group !== step.group) continue;
        model.batches.delete(id);
        model.released.add(id);
      }
      await wal.release(database, groupNumber(step.group));
      continue;
    }
    const appends = step.sizes.map(async (size) => {
      model.sequence += 1;
      const batch = makeBatch(model.sequence, size, step.group);
      const entry = { group: step.group, acknowledged: false };
      model.batches.set(batchIdText(batch.id), entry);
      await wal.append(batch);
      entry.acknowledged = true;
    });
    const outcomes = await Promise.allSettled(appends);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

function checkReplay(model: Model, seen: readonly string[]): void {
  expect(new Set(seen).size).toBe(seen.length);
  const sequences = seen.map((id) => Number(id.split('/')[2]));
  expect(sequences).toEqual(sequences.toSorted((left, right) => left - right));
  for (const id of seen) expect(model.batches.has(id) || model.released.has(id)).toBe(true);
  for (const [id, { acknowledged }] of model.batches) {
    if (acknowledged) expect(seen).toContain(id);
    // What was not there after this start is not in the log, and no later start may bring it back.
    else if (!seen.includes(id)) model.batches.delete(id);
    else model.batches.set(id, { group: model.batches.get(id)!.group, acknowledged: true });
  }
}

/** Lets everything that can go on without I/O go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const group = fc.integer({ min: 1, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      sizes: fc.array(fc.oneof(fc.nat({ max: 300 }), fc.integer({ min: 1000, max: 20_000 })), {
        minLength: 1,
        maxLength: 6,
      }),
      group,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), group }) },
);
const life: fc.Arbitrary<Life> = fc.record({
  steps: fc.array(step, { maxLength: 12 }),
  powerOffAfter: fc.oneof(fc.integer({ min: 1, max: 120 }), fc.constant(1_000_000)),
  end: fc.oneof(
    fc.constantFrom('kill' as const, 'none' as const, 'all' as const),
    fc.record({ seed: fc.nat() }),
  ),
});

const newModel = (): Model => ({ batches: new Map(), released: new Set(), sequence: 0 });

async function liveAll(lives: readonly Life[], seed: number): Promise<void> {
  const disk = new MemoryDisk();
  const model = newModel();
  const random = new SeededRandom(seed);
  for (const each of lives) await live(disk, model, each, random);
  await live(disk, model, { steps: [], powerOffAfter: 1_000_000, end: 'none' }, random);
}

describe('the log after crashes', () => {
  it('replays exactly what was acknowledged and not released, life after life', async () => {
    await fc.assert(fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 6 }), fc.nat(), liveAll), {
      numRuns: Number(process.env['VARVE_WAL_RUNS'] ?? 250),
    });
  });

  it('survives the power going at every single operation of a busy life, whatever is kept', async () => {
    const appends = (sizes: readonly number[], number: number): Step => ({
      kind: 'append',
      sizes,
      group: number,
    });
    const steps: readonly Step[] = [
      appends([10, 5000, 12_000, 20], 1),
      appends([15_000, 3000], 2),
      { kind: 'release', group: 1 },
      appends([9000, 9000, 100], 3),
      { kind: 'release', group: 2 },
      appends([14_000, 50, 50], 4),
    ];
    const ends: readonly Life['end'][] = ['kill', 'none', 'all', { seed: 1 }, { seed: 2 }, { seed: 3 }];
    const rehearsal = new MemoryDisk();
    await live(rehearsal, newModel(), { steps, powerOffAfter: 1_000_000, end: 'kill' }, new SeededRandom(7));
    expect(rehearsal.operations).toBeGreaterThan(50);
    for (let powerOffAfter = 1; powerOffAfter <= rehearsal.operations; powerOffAfter++) {
      for (const end of ends) {
        const again: Life = { steps, powerOffAfter: 1_000_000, end: 'none' };
        await liveAll([{ steps, powerOffAfter, end }, again], powerOffAfter);
      }
    }
  });
});
