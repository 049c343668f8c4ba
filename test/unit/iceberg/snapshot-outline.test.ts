import { describe, expect, test } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryObjectStore } from '../../../core/adapters/object-store-memory.js';
import { tableCodec } from '../../../core/catalog/table-codec.js';
import type { TableRecord } from '../../../core/catalog/types.js';
import type { DataFile, TableChange } from '../../../core/iceberg/types.js';
import { cpuSchema, database, type Fixture, fixture, group, putRows } from './history-fixture.js';

/** A history whose reads are noted. */
function counted(): { history: Fixture; reads: string[] } {
  const reads: string[] = [];
  const store = new MemoryObjectStore({
    clock: new SimulatedClock(),
    fail: ({ operation, key }) => {
      if (operation === 'get') reads.push(key);
      return undefined;
    },
  });
  return { history: fixture({ store }), reads };
}

const windowNs = 600_000_000_000n;

/** Two rows at both ends of window `number`. */
async function fileOf(history: Fixture, number: number, day?: null): Promise<DataFile> {
  const startNs = BigInt(number) * windowNs;
  const rows = [
    { timeNs: startNs, host: 'a', usage: number },
    { timeNs: startNs + windowNs - 1000n, host: 'b', usage: number },
  ];
  return putRows(history.objects, cpuSchema, rows, day);
}

async function commit(history: Fixture, change: TableChange): Promise<TableRecord> {
  const result = await history.tables.commit({ database, table: 'cpu', change, fencingEpoch: 1 });
  if (result.kind !== 'committed') throw new Error(`got ${result.kind}`);
  return result.record;
}

async function seal(history: Fixture, number: number, day?: null): Promise<TableRecord> {
  const added = [await fileOf(history, number, day)];
  return commit(history, { kind: 'seal', groups: [group(number)], added });
}

const within = (number: number) => ({
  minTimeNs: BigInt(number) * windowNs,
  maxTimeNs: BigInt(number) * windowNs + 5000n,
});
const keysOf = (files: readonly DataFile[]): string[] => files.map(({ key }) => key).sort();

describe('the outline of a snapshot in its record', () => {
  test('leads a reader that has just started to one manifest, and to nothing else', async () => {
    const { history, reads } = counted();
    for (let number = 1; number <= 6; number++) await seal(history, number);
    const { record } = history.commitPoint;
    reads.length = 0;
    const { files } = await history.another().snapshot(record, undefined, within(3));
    expect(reads.map((key) => key.replace(/.*-(m\d+\.avro)$/, '$1'))).toEqual(['m0.avro']);
    expect(files.map(({ minTimeNs }) => minTimeNs)).toEqual([3n * windowNs]);
  });

  test('outlives the catalog as text', async () => {
    const { history, reads } = counted();
    await seal(history, 1);
    await seal(history, 2, null);
    const stored = tableCodec.decode('it', tableCodec.encode(history.commitPoint.record));
    reads.length = 0;
    const { files } = await history.another().snapshot(stored);
    expect(reads).toHaveLength(2);
    expect(keysOf(files)).toEqual(
      keysOf((await history.tables.chainedSnapshot(history.commitPoint.record)).files),
    );
    expect(files.map(({ sortedBy }) => sortedBy)).toEqual([['host'], ['host']]);
  });

  test('tells the same as the metadata after every change, whole and in part', async () => {
    const { history } = counted();
    const live = new Map<number, DataFile>();
    const expectSame = async (record: TableRecord): Promise<void> => {
      const reader = history.another();
      const chained = await reader.chainedSnapshot(record);
      expect(record.outline).not.toBeNull();
      expect(await reader.snapshot(record)).toEqual(chained);
      for (const number of live.keys()) {
        const found = await reader.snapshot(record, undefined, within(number));
        expect(keysOf(found.files)).toContain(live.get(number)?.key);
        expect({ ...found, files: [] }).toEqual({ ...chained, files: [] });
      }
    };
    for (let number = 1; number <= 24; number++) {
      const file = await fileOf(history, number, number % 5 === 0 ? null : undefined);
      live.set(number, file);
      await expectSame(await commit(history, { kind: 'seal', groups: [group(number)], added: [file] }));
    }
    const [first, second] = [live.get(1), live.get(2)];
    if (first === undefined || second === undefined) throw new Error('want two files');
    live.delete(1);
    await expectSame(await commit(history, { kind: 'remove', removed: [first.key] }));
    live.delete(2);
    const merged = await fileOf(history, 40);
    live.set(40, merged);
    await expectSame(
      await commit(history, { kind: 'merge', removed: [second.key], added: [merged], sequence: 2 }),
    );
    history.commitPoint.extend({
      ...cpuSchema,
      hasTimeNs: true,
      columns: [...cpuSchema.columns, { name: 'dc', kind: 'tag', type: 'string', fieldId: 9 }],
    });
    await expectSame(history.commitPoint.record);
    await expectSame(await seal(history, 50));
    await history.clock.advance(10_000);
    const expired = await history.tables.expire({
      database,
      table: 'cpu',
      fencingEpoch: 1,
      olderThanMs: history.clock.nowMs(),
    });
    expect(expired.kind).toBe('expired');
    await expectSame(history.commitPoint.record);
  });

  test('is left out where it is too large, and the metadata is read', async () => {
    const { history, reads } = counted();
    const small = history.another({ limits: { smallManifestsMax: 100, entriesMax: 4096 } });
    let record = history.commitPoint.record;
    for (let number = 1; number <= 65; number++) {
      const change = {
        kind: 'seal',
        groups: [group(number)],
        added: [await fileOf(history, number)],
      } as const;
      const result = await small.commit({ database, table: 'cpu', change, fencingEpoch: 1 });
      if (result.kind === 'committed') record = result.record;
      expect(record.outline === null).toBe(number > 64);
    }
    reads.length = 0;
    const { files } = await history.another().snapshot(record, undefined, within(3));
    expect(files).toHaveLength(65);
    expect(reads).toHaveLength(67);
  });

  test('is not used for a snapshot that is no longer the current one', async () => {
    const { history } = counted();
    const before = await seal(history, 1);
    const after = await seal(history, 2);
    const { files } = await history.another().snapshot(after, before.snapshotId ?? '', within(2));
    expect(keysOf(files)).toEqual(keysOf((await history.tables.snapshot(before)).files));
  });
});
