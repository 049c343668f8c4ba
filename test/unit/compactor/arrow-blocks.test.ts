import { beforeAll, describe, expect, it } from 'vitest';
import { arrowBlocks } from '../../../compactor/rows/arrow-blocks.js';
import { type RowLayout, rowLayoutOf } from '../../../compactor/rows/row-layout.js';
import { dayOfLanes, lanesOf, splitTimes } from '../../../compactor/rows/time-lanes.js';
import { dayOf, floorTo } from '../../../core/model/window.js';
import type { PlainPoint } from '../../support/rows.js';
import { pointsOfBlock } from './read-points.js';
import { startMs, World } from './world.js';

const points: PlainPoint[] = Array.from({ length: 20 }, (_, i) => ({
  tags: i % 3 === 0 ? { host: `h${i}` } : { host: `h${i}`, zone: 'ä' },
  timeNs: BigInt(startMs) * 1_000_000n + BigInt(i),
  fields: i % 2 === 0 ? { d: i / 2, b: i % 4 === 0 } : { s: `text ${i}`, i: BigInt(i) },
}));

describe('reading a hot scan', () => {
  let bytes: Buffer;
  let layout: RowLayout;

  beforeAll(async () => {
    const world = await World.make(1);
    await world.write('t', points);
    const database = await world.databaseRecord();
    const [group] = (await world.catalogs.groups.get(database)).value.groups;
    const record = await world.catalogs.tables.get(world.database, 't');
    if (group === undefined || record === undefined) throw new Error('nothing was written');
    layout = rowLayoutOf(record.value.schema);
    const columns = [...layout.tags, ...layout.fields].map(({ name }) => name);
    const scan = { database: database.id, group: group.id, shard: 0, table: 't', columns, tags: [] };
    const pieces: Uint8Array[] = [];
    for await (const piece of world.owner.scan({ ...scan, minTimeNs: null, maxTimeNs: null })) {
      pieces.push(piece);
    }
    bytes = Buffer.concat(pieces);
  });

  async function read(pieces: readonly Uint8Array[]): Promise<PlainPoint[]> {
    const stream = (async function* () {
      yield* pieces;
    })();
    const found: PlainPoint[] = [];
    for await (const block of arrowBlocks(stream, layout)) found.push(...pointsOfBlock(block, layout));
    return found;
  }

  const byTime = (left: PlainPoint, right: PlainPoint): number => (left.timeNs < right.timeNs ? -1 : 1);

  it('gives the same rows however the bytes are cut', async () => {
    for (const size of [1, 3, 7, 64, bytes.length]) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
      expect((await read(pieces)).sort(byTime)).toEqual(points);
    }
  });

  it('refuses a stream that ends early, wherever that is', async () => {
    for (let length = 0; length < bytes.length; length++) {
      await expect(read([bytes.subarray(0, length)])).rejects.toMatchObject({
        kind: expect.stringMatching(/^(unavailable|corrupt)$/),
      });
    }
  });
});

describe('times as lanes', () => {
  const extremes = [
    0n,
    1n,
    -1n,
    999n,
    -999n,
    1000n,
    -1000n,
    1001n,
    2n ** 32n,
    -(2n ** 32n),
    2n ** 53n,
    2n ** 53n + 1n,
    2n ** 63n - 1n,
    -(2n ** 63n),
    86_400_000_000_000n,
    -86_400_000_000_001n,
    1_700_000_000_123_456_789n,
  ];

  it('split into microseconds and the nanoseconds above, exactly', () => {
    const { micros, nanos } = splitTimes(BigInt64Array.from(extremes));
    extremes.forEach((timeNs, row) => {
      expect(micros[row]).toBe(floorTo(timeNs, 1000n) / 1000n);
      expect(BigInt(nanos?.[row] ?? -1)).toBe(timeNs - floorTo(timeNs, 1000n));
    });
    expect(splitTimes(BigInt64Array.from([5000n, -1000n])).nanos).toBeNull();
  });

  it('tell the day, on both sides of every midnight', () => {
    for (const timeNs of extremes) {
      for (const near of [
        timeNs,
        floorTo(timeNs, 86_400_000_000_000n),
        floorTo(timeNs, 86_400_000_000_000n) - 1n,
      ]) {
        if (near < -(2n ** 63n)) continue;
        const { micros } = splitTimes(BigInt64Array.of(near));
        expect(dayOfLanes(lanesOf(micros), 0)).toBe(dayOf(near));
      }
    }
  });
});
