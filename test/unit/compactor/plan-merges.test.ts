import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  defaultMergeSettings,
  type MergeContext,
  type MergePlan,
  type MergeSettings,
  planMerges,
} from '../../../compactor/merge/plan-merges.js';
import { planFiles } from '../../../compactor/seal/file-plan.js';
import type { DataFile } from '../../../core/iceberg/types.js';
import { dayOf } from '../../../core/model/window.js';

const hostField = 3;
const nsPerDay = 86_400_000_000_000n;
const nsPerHour = nsPerDay / 24n;

/** A point of the model: host and time; its value is the sequence of the seal that wrote it. */
interface ModelPoint {
  readonly host: string | null;
  readonly timeNs: bigint;
}

/** A data file with what is in it. */
interface ModelFile {
  readonly file: DataFile;
  readonly values: ReadonlyMap<string, number>;
}

let hashes = 0;

function fileOf(
  points: readonly ModelPoint[],
  values: ReadonlyMap<string, number>,
  day: number | null,
  sequence: number,
  bytes: number,
): ModelFile {
  const times = points.map(({ timeNs }) => timeNs).sort((a, b) => (a < b ? -1 : 1));
  const hosts = points.flatMap(({ host }) => host ?? []).sort();
  const [lower, upper] = [hosts[0], hosts.at(-1)];
  hashes += 1;
  const contentHash = hashes.toString(16).padStart(64, '0');
  const file: DataFile = {
    key: `k/${contentHash}`,
    contentHash,
    bytes,
    rows: points.length,
    day,
    minTimeNs: times[0] ?? 0n,
    maxTimeNs: times.at(-1) ?? 0n,
    columns: [
      {
        fieldId: hostField,
        compressedBytes: 1,
        valueCount: points.length,
        nullCount: points.length - hosts.length,
        nanCount: null,
        lower: lower === undefined ? null : Buffer.from(lower),
        upper: upper === undefined ? null : Buffer.from(upper),
      },
    ],
    rowGroupOffsets: [],
    sortedBy: ['host'],
    sequence,
  };
  return { file, values };
}

function keyOf({ host, timeNs }: ModelPoint): string {
  return `${host ?? ''}@${timeNs}`;
}

function pointOf(key: string): ModelPoint {
  const [host = '', time = '0'] = key.split('@');
  return { host: host === '' ? null : host, timeNs: BigInt(time) };
}

/** What a reader sees: per point the value from the file of the highest sequence. Fails when two tie. */
function readAll(files: readonly ModelFile[]): Map<string, number> {
  const seen = new Map<string, { sequence: number; value: number }>();
  for (const { file, values } of files) {
    for (const [key, value] of values) {
      const before = seen.get(key);
      if (before?.sequence === file.sequence)
        throw new Error(`two files of sequence ${file.sequence} share ${key}`);
      if (before === undefined || before.sequence < file.sequence)
        seen.set(key, { sequence: file.sequence, value });
    }
  }
  return new Map([...seen].map(([key, { value }]) => [key, value]));
}

/** Carries a plan out on the model: one file a day of the plan, one for the rest. */
function carryOut(files: readonly ModelFile[], plan: MergePlan): ModelFile[] {
  const inputs = files.filter(({ file }) => plan.inputs.includes(file));
  expect(inputs).toHaveLength(plan.inputs.length);
  const merged = readAll(inputs);
  const byDay = new Map<number | null, string[]>();
  for (const key of merged.keys()) {
    const day = dayOf(pointOf(key).timeNs);
    const output = plan.days.includes(day) ? day : null;
    byDay.set(output, [...(byDay.get(output) ?? []), key]);
  }
  const bytes = inputs.reduce((sum, { file }) => sum + file.bytes, 0);
  const added = [...byDay].map(([day, keys]) => {
    const values = new Map(keys.map((key) => [key, merged.get(key) ?? 0]));
    const share = Math.ceil((bytes * keys.length) / merged.size);
    return fileOf(keys.map(pointOf), values, day, plan.sequence, share);
  });
  return [...files.filter((each) => !inputs.includes(each)), ...added];
}

const settings: MergeSettings = {
  ...defaultMergeSettings,
  fanIn: 3,
  tierBytesMin: 10,
  targetBytes: 400,
  targetRows: 1000,
  inputsMax: 6,
  inputBytesMax: 2000,
  inputRowsMax: 10_000,
  quietMs: 1000,
};

function contextOf(now: boolean, nowMs = 0): MergeContext {
  return { nowMs, tagFieldIds: [hostField], madeMs: (sequence) => sequence * 100, now };
}

/** A seal: files by day (or one that spans them) of some points, all of one sequence. */
const sealArbitrary = fc.record({
  points: fc.uniqueArray(
    fc.record({
      host: fc.constantFrom(null, 'a', 'b', 'c', 'd'),
      hour: fc.integer({ min: 0, max: 80 }),
    }),
    { minLength: 1, maxLength: 8, selector: ({ host, hour }) => `${host}@${hour}` },
  ),
  spans: fc.boolean(),
  bytes: fc.integer({ min: 1, max: 300 }),
});

type Seal = typeof sealArbitrary extends fc.Arbitrary<infer Value> ? Value : never;

function filesOfSeal(seal: Seal, sequence: number): ModelFile[] {
  const byDay = new Map<number | null, ModelPoint[]>();
  for (const { host, hour } of seal.points) {
    const point = { host, timeNs: BigInt(hour) * nsPerHour };
    const day = seal.spans ? null : dayOf(point.timeNs);
    byDay.set(day, [...(byDay.get(day) ?? []), point]);
  }
  return [...byDay].map(([day, points]) => {
    const values = new Map(points.map((point) => [keyOf(point), sequence]));
    return fileOf(points, values, day, sequence, seal.bytes);
  });
}

describe('planning merges', () => {
  it('never changes what a reader of all files sees, whatever is sealed meanwhile', () => {
    fc.assert(
      fc.property(
        fc.array(sealArbitrary, { minLength: 2, maxLength: 14 }),
        fc.array(sealArbitrary, { maxLength: 3 }),
        fc.boolean(),
        (seals, meanwhile, now) => {
          let files = seals.flatMap((seal, index) => filesOfSeal(seal, index + 1));
          const plans = planMerges(
            files.map(({ file }) => file),
            contextOf(now, 5000),
            settings,
          );
          const planned = plans.flatMap((plan) => plan.inputs);
          expect(new Set(planned).size).toBe(planned.length);
          meanwhile.forEach((seal, index) => {
            files = [...files, ...filesOfSeal(seal, seals.length + index + 1)];
          });
          const before = readAll(files);
          for (const plan of plans) {
            files = carryOut(files, plan);
            expect(readAll(files)).toEqual(before);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('comes to an end, with each point in one file where the limits allow it', () => {
    fc.assert(
      fc.property(fc.array(sealArbitrary, { minLength: 2, maxLength: 14 }), (seals) => {
        let files = seals.flatMap((seal, index) => filesOfSeal(seal, index + 1));
        const before = readAll(files);
        const roomy = { ...settings, inputsMax: 100, inputBytesMax: 1e9 };
        for (let round = 0; ; round++) {
          const plans = planMerges(
            files.map(({ file }) => file),
            contextOf(true),
            roomy,
          );
          if (plans.length === 0) break;
          expect(round).toBeLessThan(20);
          for (const plan of plans) files = carryOut(files, plan);
        }
        expect(readAll(files)).toEqual(before);
        expect(files.reduce((rows, { values }) => rows + values.size, 0)).toBe(before.size);
      }),
      { numRuns: 300 },
    );
  });

  const windowFile = (hour: number, sequence: number, bytes: number): ModelFile => {
    const points = [{ host: 'a', timeNs: BigInt(hour) * nsPerHour }];
    return fileOf(
      points,
      new Map([[keyOf(points[0] as ModelPoint), sequence]]),
      Math.floor(hour / 24),
      sequence,
      bytes,
    );
  };
  const plan = (files: readonly ModelFile[], nowMs: number): MergePlan[] =>
    planMerges(
      files.map(({ file }) => file),
      contextOf(false, nowMs),
      settings,
    );

  it('merges as many files of about one size as the fan-in says, not fewer', () => {
    const two = [windowFile(0, 1, 5), windowFile(1, 2, 5)];
    expect(plan(two, 0)).toEqual([]);
    const three = [...two, windowFile(2, 3, 5)];
    expect(plan(three, 0).map(({ reason, inputs }) => [reason, inputs.length])).toEqual([['tier', 3]]);
    expect(plan([...two, windowFile(2, 3, 80)], 0)).toEqual([]);
  });

  it('writes a point again a logarithmic number of times while a day fills', () => {
    let files: ModelFile[] = [];
    let written = 0;
    for (let sequence = 1; sequence <= 81; sequence++) {
      files.push(windowFile(sequence % 24, sequence, 4));
      for (const each of plan(files, 0)) {
        written += each.inputs.reduce((bytes, file) => bytes + file.bytes, 0);
        files = carryOut(files, each);
      }
    }
    expect(files.length).toBeLessThan(12);
    // 81 files of 4 bytes, three to one: at most four times each.
    expect(written).toBeLessThanOrEqual(81 * 4 * 4);
  });

  it('merges a finished day to files of the target size, and leaves those alone', () => {
    const day = Array.from({ length: 10 }, (_, i) => windowFile(i, i + 1, 90));
    const nowMs = 48 * 3_600_000;
    let files: ModelFile[] = day;
    for (let round = 0; round < 5; round++) {
      for (const each of plan(files, nowMs)) files = carryOut(files, each);
    }
    expect(files.map(({ file }) => file.bytes).sort((a, b) => a - b)).toEqual([180, 360, 360]);
    expect(plan(files, nowMs)).toEqual([]);
  });

  it('leaves overlapping files until they are quiet', () => {
    const late = [windowFile(3, 1, 90), windowFile(3, 50, 5)];
    expect(plan(late, 5500)).toEqual([]);
    expect(plan(late, 6000).map(({ reason }) => reason)).toEqual(['overlap']);
  });

  it('takes values without the tag for values that match, and disjoint tag ranges for files apart', () => {
    const at = (host: string | null, sequence: number): ModelFile => {
      const points = [{ host, timeNs: 0n }];
      return fileOf(points, new Map([[keyOf(points[0] as ModelPoint), sequence]]), 0, sequence, 90);
    };
    expect(plan([at('a', 1), at('b', 2)], 5000)).toEqual([]);
    expect(plan([at(null, 1), at('b', 2)], 5000)).toEqual([]);
    expect(plan([at(null, 1), at(null, 2)], 5000)).toHaveLength(1);
    expect(plan([at('b', 1), at('b', 2)], 5000)).toHaveLength(1);
  });
});

describe('planning the files of a group', () => {
  const chunk = (shard: number, days: Record<number, number>) => ({
    table: 't',
    shard,
    rows: 1,
    seriesCount: 1,
    minTimeNs: 0n,
    maxTimeNs: 0n,
    hasTimeNs: false,
    rowsByDay: Object.entries(days).map(([day, rows]) => ({ day: Number(day), rows })),
  });
  const limits = { dayRowsMin: 100, dayFilesMin: 2 };

  it('gives every day of a window its file, and only shards that have rows of it', () => {
    const plans = planFiles('window', [chunk(0, { 5: 1, 6: 1, 7: 1 }), chunk(1, { 7: 9 })], limits);
    expect(plans.map(({ day, shards }) => [day, shards])).toEqual([
      [5, [0]],
      [6, [0]],
      [7, [0, 1]],
    ]);
    expect(plans[0]?.minTimeNs).toBe(5n * nsPerDay);
    expect(plans[0]?.maxTimeNs).toBe(6n * nsPerDay - 1n);
  });

  it('puts many sparse days into one file, without the days that have their own', () => {
    const plans = planFiles('late', [chunk(0, { '-3': 1, 2: 60, 4: 1, 9: 1 }), chunk(1, { 2: 40 })], limits);
    expect(plans.map(({ day, days, shards }) => [day, days, shards])).toEqual([
      [2, null, [0, 1]],
      [null, { kind: 'except', days: new Set([2]) }, [0]],
    ]);
    expect(plans[1]?.minTimeNs).toBe(-3n * nsPerDay);
    expect(plans[1]?.maxTimeNs).toBe(10n * nsPerDay - 1n);
  });

  it('makes no spanning file for a few days', () => {
    expect(planFiles('late', [chunk(0, { 1: 1, 2: 1 })], limits).map(({ day }) => day)).toEqual([1, 2]);
  });
});
