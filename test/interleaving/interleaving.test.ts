import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nsPerMs } from '../../core/model/window.js';
import { isVarveError } from '../../core/std/errors.js';
import { type PlainPoint, rowsOf } from '../support/rows.js';
import { database, makeWholeWorld, type WholeWorld, windowMs } from './world.js';

const runs = Number(process.env['VARVE_TEST_INTERLEAVINGS'] ?? 120);
const seed = Number(process.env['VARVE_TEST_SEED'] ?? 20_261_120);

/** Something that happens to the system. Times of points are relative to now, in steps that make points meet. */
type Step =
  | { readonly kind: 'write'; readonly points: readonly StepPoint[] }
  | { readonly kind: 'pass'; readonly ms: number }
  | {
      readonly kind:
        | 'seal'
        | 'upkeep'
        | 'ask'
        | 'ask-while-sealing'
        | 'ask-while-merging'
        | 'pin'
        | 'crash'
        | 'take-over'
        | 'truncate'
        | 'truncate-untold'
        | 'seal-now';
    };

interface StepPoint {
  readonly host: 'h1' | 'host-two-with-a-long-name';
  readonly offsetMs: number;
  readonly a: boolean;
  readonly b: boolean;
}

const stepPoint = fc
  .record({
    host: fc.constantFrom('h1' as const, 'host-two-with-a-long-name' as const),
    // Now, late by a little, by days, by years (negative), or ahead of every open window.
    offsetMs: fc.oneof(
      { weight: 5, arbitrary: fc.integer({ min: -12, max: 6 }).map((steps) => steps * 1000) },
      { weight: 2, arbitrary: fc.integer({ min: -3, max: 3 }).map((steps) => steps * windowMs) },
      { weight: 2, arbitrary: fc.constantFrom(-86_400_000, -86_400_000 * 2, -86_400_000 * 900) },
      { weight: 1, arbitrary: fc.constantFrom(25_000, 45_000) },
    ),
    a: fc.boolean(),
    b: fc.boolean(),
  })
  .map((point) => (point.a || point.b ? point : { ...point, a: true }));

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .array(stepPoint, { minLength: 1, maxLength: 5 })
      .map((points): Step => ({ kind: 'write', points })),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(500, 2000, 4000, 11_000, 70_000).map((ms): Step => ({ kind: 'pass', ms })),
  },
  { weight: 4, arbitrary: fc.constant<Step>({ kind: 'seal' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'upkeep' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'ask' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'ask-while-sealing' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'ask-while-merging' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'pin' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'crash' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'take-over' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'seal-now' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'truncate' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'truncate-untold' }) },
);

/** What is right: every point once, each field with the value written last. */
type Model = Map<string, Record<string, number>>;

interface Pinned {
  readonly snapshot: string;
  readonly answer: string;
}

class Run {
  readonly world: WholeWorld;
  readonly model: Model = new Map();
  readonly pinned: Pinned[] = [];
  #nextValue = 1;
  #settledThroughNs = -(2n ** 63n);

  constructor(world: WholeWorld) {
    this.world = world;
  }

  async take(happening: Step): Promise<void> {
    const { world } = this;
    switch (happening.kind) {
      case 'write':
        return this.#write(happening.points);
      case 'pass':
        await world.clock.advance(happening.ms);
        return world.compactor.keepLease();
      case 'seal':
        await world.compactor.sealTick();
        return this.#checkWatermark();
      case 'seal-now':
        if (this.model.size === 0) return undefined;
        await world.compactor.sealBefore(database, BigInt(world.clock.nowMs()) * nsPerMs);
        return this.#checkWatermark();
      case 'truncate':
        await world.compactor.truncateShards(null);
        return undefined;
      case 'truncate-untold':
        return this.#truncateUntold();
      case 'upkeep':
        return world.compactor.upkeepTick();
      case 'ask':
        return this.#ask();
      case 'ask-while-sealing':
        await Promise.all([this.#ask(), world.compactor.sealTick(), this.#ask()]);
        return undefined;
      case 'ask-while-merging':
        await Promise.all([this.#ask(), world.compactor.upkeepTick(), this.#ask()]);
        return undefined;
      case 'pin':
        return this.#pin();
      case 'crash':
        return world.crashAndRestart();
      case 'take-over':
        return world.replaceCompactor();
    }
  }

  async #write(stepPoints: readonly StepPoint[]): Promise<void> {
    const { world, model } = this;
    const baseMs = Math.floor(world.clock.nowMs() / 1000) * 1000;
    const points = stepPoints.map((point): PlainPoint => {
      const fields: Record<string, number> = {};
      if (point.a) fields['a'] = this.#nextValue++;
      if (point.b) fields['b'] = this.#nextValue++;
      return { tags: { host: point.host }, timeNs: BigInt(baseMs + point.offsetMs) * nsPerMs, fields };
    });
    const session = await world.current.node.writes.begin({ database });
    const lineNumbers = Int32Array.from(points, (_, index) => index + 1);
    const report = await session.commit([{ rows: rowsOf('t', points), lineNumbers }], {
      acceptPartial: true,
    });
    expect(report.rejected).toEqual([]);
    for (const point of points) {
      const key = `${point.tags['host']} ${point.timeNs}`;
      model.set(key, { ...model.get(key), ...(point.fields as Record<string, number>) });
    }
  }

  /** The catalog has the cut; the node goes on writing to the group that was cut until sealing tells it. */
  async #truncateUntold(): Promise<void> {
    const { catalogs, clock } = this.world;
    const db = await catalogs.databases.get(database);
    if (db === undefined) return;
    const { fencingEpoch } = (await catalogs.groups.get(db)).value;
    await catalogs.groups.truncate(db, { nowMs: clock.nowMs(), epoch: fencingEpoch });
  }

  /** The whole answer must be the model: nothing missing, nothing twice, every value the last. */
  async #ask(): Promise<void> {
    if (this.model.size === 0) return;
    const want = [...this.model]
      .map(([key, fields]) => `${key} ${fields['a'] ?? null} ${fields['b'] ?? null}`)
      .sort();
    expect(await this.#rows('all', null)).toEqual(want);
  }

  /** Everything pinned before is still as it was, or has expired; then the present is pinned. */
  async #pin(): Promise<void> {
    if (this.model.size === 0) return;
    for (const { snapshot, answer } of this.pinned) {
      try {
        expect((await this.#rows('settled', snapshot)).join('\n')).toBe(answer);
      } catch (error) {
        if (!isVarveError(error, 'not-found')) throw error;
      }
    }
    const answer = await this.world.query.query(this.#request('settled', null));
    if (answer.kind !== 'answer') throw new Error('got 304 without asking for it');
    this.pinned.push({ snapshot: answer.facts.snapshot, answer: (await readRows(answer.body)).join('\n') });
  }

  #request(tier: 'all' | 'settled', snapshot: string | null) {
    // All columns, whatever they are: a past snapshot has the columns of its time.
    const sql = 'SELECT *, epoch_ns(time)::VARCHAR AS ns FROM t';
    return { database, sql, parameters: {}, format: 'jsonl' as const, tier, snapshot, ifNoneMatch: null };
  }

  async #rows(tier: 'all' | 'settled', snapshot: string | null): Promise<string[]> {
    const answer = await this.world.query.query(this.#request(tier, snapshot));
    if (answer.kind !== 'answer') throw new Error('got 304 without asking for it');
    return readRows(answer.body);
  }

  async #checkWatermark(): Promise<void> {
    const db = await this.world.catalogs.databases.get(database);
    if (db === undefined) return;
    const { value } = await this.world.catalogs.groups.get(db);
    expect(value.settledThroughNs >= this.#settledThroughNs, 'the watermark moved back').toBe(true);
    this.#settledThroughNs = value.settledThroughNs;
  }
}

async function readRows(body: AsyncIterable<Uint8Array>): Promise<string[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces)
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const row = JSON.parse(line) as Record<string, unknown>;
      return `${row['host']} ${row['ns']} ${row['a'] ?? null} ${row['b'] ?? null}`;
    })
    .sort();
}

describe('any interleaving of writes, sealing, merging, expiry, crashes and queries', () => {
  it(`shows every point once with its last values, and never changes a pinned snapshot (${runs} runs, seed ${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 40 }),
        fc.nat(),
        async (steps, worldSeed) => {
          const run = new Run(await makeWholeWorld(worldSeed));
          for (const happening of steps) await run.take(happening);
          for (const last of ['ask', 'seal-now', 'ask', 'upkeep', 'ask', 'pin', 'pin'] as const)
            await run.take({ kind: last });
        },
      ),
      { numRuns: runs, seed, endOnFailure: true },
    );
  }, 600_000);
});
