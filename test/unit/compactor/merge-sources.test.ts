import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DataFileLimits, DataFileWriter } from '../../../compactor/rows/data-file-writer.js';
import { type MergeCounts, mergeSources } from '../../../compactor/rows/merge-sources.js';
import { parquetBlocks } from '../../../compactor/rows/parquet-blocks.js';
import { rowLayoutOf } from '../../../compactor/rows/row-layout.js';
import type { DayFilter } from '../../../compactor/rows/series-cursor.js';
import type { DataFile } from '../../../core/iceberg/types.js';
import { dayOf } from '../../../core/model/window.js';
import type { PlainPoint } from '../../support/rows.js';
import { blocksOf, comparePoints, everyType, streamOf } from './blocks-of.js';
import { modelOf, pointKey, pointsOfBlock } from './read-points.js';

const layout = rowLayoutOf(everyType);
const nsPerDay = 86_400_000_000_000n;

interface Merged {
  readonly points: PlainPoint[];
  readonly rowsByFile: number[];
  readonly counts: MergeCounts;
}

/** Merges sources (lowest precedence first) and reads the files that come of it. */
async function merge(
  sources: readonly (readonly PlainPoint[])[],
  options: { blockRows: number; limits: DataFileLimits; days: DayFilter },
): Promise<Merged> {
  const stored: Uint8Array[] = [];
  const rowsByFile: number[] = [];
  const writer = new DataFileWriter({
    layout,
    day: null,
    rowsExpected: 1000,
    limits: options.limits,
    keyValueMetadata: {},
    store: async (file) => {
      stored.push(file.bytes);
      rowsByFile.push(file.rowCount);
      return {} as DataFile;
    },
  });
  const counts = await mergeSources(
    sources.map((points, precedence) => ({
      name: `source ${precedence}`,
      blocks: streamOf(blocksOf(points, layout, options.blockRows)),
      precedence,
      days: options.days,
    })),
    writer,
  );
  await writer.finish();
  const points: PlainPoint[] = [];
  for (const bytes of stored) {
    for await (const block of parquetBlocks(bytes, layout)) points.push(...pointsOfBlock(block, layout));
  }
  return { points, rowsByFile, counts };
}

const limits: DataFileLimits = {
  rowGroupRowsMax: 7,
  rowGroupValuesMax: 1e6,
  fileRowsMax: 20,
  rowGroupStringBytesMax: 1e6,
  fileStringBytesMax: 1e6,
};

const fieldsArbitrary = fc
  .record(
    {
      d: fc.oneof(fc.double(), fc.constantFrom(-0, Number.NaN)),
      i: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      u: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      b: fc.boolean(),
      s: fc.string({ unit: 'grapheme', maxLength: 5 }),
    },
    { requiredKeys: [] },
  )
  .filter((fields) => Object.keys(fields).length > 0);

const pointArbitrary: fc.Arbitrary<PlainPoint> = fc.record({
  tags: fc.record(
    { host: fc.constantFrom('a', 'b', 'ä', 'z9'), zone: fc.constantFrom('x', 'y') },
    { requiredKeys: [] },
  ),
  timeNs: fc.oneof(
    fc.bigInt({ min: 0n, max: 12n }).map((step) => step * (nsPerDay / 4n)),
    fc.bigInt({ min: -5n, max: 5n }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  ),
  fields: fieldsArbitrary,
});

const sourceArbitrary = fc
  .array(pointArbitrary, { maxLength: 30 })
  .map((points) =>
    [...new Map(points.map((point) => [pointKey(point), point])).values()].sort((left, right) =>
      comparePoints(layout, left, right),
    ),
  );

describe('merging sorted sources', () => {
  it('gives every point once, in order, with the values that the merge rule says', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(sourceArbitrary, { maxLength: 5 }),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom<'all' | 'only' | 'except'>('all', 'only', 'except'),
        async (sources, blockRows, mode) => {
          const days: DayFilter =
            mode === 'all'
              ? null
              : mode === 'only'
                ? { kind: 'only', day: 1 }
                : { kind: 'except', days: new Set([0, 2]) };
          const wanted = (point: PlainPoint): boolean => {
            const day = dayOf(point.timeNs);
            return mode === 'all' || (mode === 'only' ? day === 1 : day !== 0 && day !== 2);
          };
          const { points, counts } = await merge(sources, { blockRows, limits, days });
          const all = sources.flat().filter(wanted);
          const model = modelOf(all);
          expect(new Map(points.map((point) => [pointKey(point), point.fields]))).toEqual(model);
          expect(points).toHaveLength(model.size);
          expect(points).toEqual([...points].sort((left, right) => comparePoints(layout, left, right)));
          expect(counts.rowsIn).toBe(all.length);
          expect(counts.rowsOut).toBe(model.size);
        },
      ),
      { numRuns: 120 },
    );
  });

  it('counts values that another value displaced, by their bits', async () => {
    const at = (fields: PlainPoint['fields']): PlainPoint => ({ tags: { host: 'a' }, timeNs: 1n, fields });
    const sources = [
      [at({ d: 0, i: 1n, s: 'same' })],
      [at({ d: -0, u: 1n, s: 'same' })],
      [at({ i: 2n, s: 'other', b: true })],
    ];
    const { points, counts } = await merge(sources, { blockRows: 1, limits, days: null });
    expect(points[0]?.fields).toEqual({ d: -0, i: 2n, u: 1n, s: 'other', b: true });
    expect(counts).toEqual({ rowsIn: 3, rowsOut: 1, conflicts: 3 });
  });

  it('cuts files where the value of the first tag changes, and anywhere when that takes too long', async () => {
    const run = (host: string, rows: number): PlainPoint[] =>
      Array.from({ length: rows }, (_, i) => ({ tags: { host }, timeNs: BigInt(i), fields: { i: 1n } }));
    const several = [...run('a', 15), ...run('b', 8), ...run('c', 30)];
    const { rowsByFile } = await merge([several], { blockRows: 5, limits, days: null });
    // 20 rows fill a file; 25 are far over, seen at the next range of rows, here a block of 5.
    expect(rowsByFile).toEqual([23, 27, 3]);
  });

  it('refuses a source out of order, and one with a point twice', async () => {
    const at = (host: string, timeNs: bigint): PlainPoint => ({ tags: { host }, timeNs, fields: { i: 1n } });
    const bad = [
      [at('b', 1n), at('a', 1n)],
      [at('a', 2n), at('a', 1n)],
      [at('a', 1n), at('a', 1n)],
    ];
    for (const source of bad) {
      for (const blockRows of [1, 2]) {
        await expect(merge([source], { blockRows, limits, days: null })).rejects.toMatchObject({
          kind: 'corrupt',
        });
      }
    }
  });

  it('ends a row group early when its strings are many bytes', async () => {
    const points = Array.from({ length: 6 }, (_, i) => ({
      tags: {},
      timeNs: BigInt(i),
      fields: { s: 'x'.repeat(100) },
    }));
    const tight = { ...limits, rowGroupStringBytesMax: 150, fileStringBytesMax: 300 };
    const { rowsByFile, points: read } = await merge([points], { blockRows: 1, limits: tight, days: null });
    expect(read).toEqual(points);
    expect(rowsByFile.length).toBeGreaterThan(1);
  });
});
