import { icebergManifests, icebergRead } from 'icebird';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeTableMetadata } from '../../../core/iceberg/table-metadata.js';
import type { TableSchema } from '../../../core/model/schema.js';
import {
  cpuColumns,
  cpuSchema,
  database,
  type Fixture,
  fixture,
  group,
  putRows,
  type Row,
  ServedObjects,
} from './history-fixture.js';

/** icebird, an Iceberg reader that is none of ours, reads every table over HTTP. */
const store = new ServedObjects();
beforeAll(() => store.start());
afterAll(() => store.stop());

const minuteNs = 60_000_000_000n;
const dayNs = 86_400_000_000_000n;

function rowAt(timeNs: bigint, host: string, usage: number): Row {
  return { timeNs, host, usage, ticks: -5n, bytes: 2n ** 64n - 1n, up: true, note: 'é"\n' };
}

async function metadataOf(history: Fixture): Promise<Parameters<typeof icebergManifests>[0]> {
  const bytes = await store.get(history.commitPoint.record.metadataKey ?? '');
  return JSON.parse(Buffer.from(bytes).toString('utf8'));
}

async function readRows(history: Fixture): Promise<Record<string, unknown>[]> {
  const metadata = await metadataOf(history);
  return icebergRead({ tableUrl: 'http://unused', metadata });
}

async function seal(history: Fixture, number: number, files: Awaited<ReturnType<typeof putRows>>[]) {
  const change = { kind: 'seal', groups: [group(number)], added: files } as const;
  return history.tables.commit({ database, table: 'cpu', change, fencingEpoch: 1 });
}

describe('an independent reader', () => {
  test('reads the rows of sealed day files and span files, every type', async () => {
    const history = fixture({ store });
    const dayFile = await putRows(store, cpuSchema, [rowAt(0n, 'a', 1.5), rowAt(minuteNs, 'b', -0.25)]);
    const spanFile = await putRows(
      store,
      cpuSchema,
      [
        { timeNs: -3n * dayNs, host: null, usage: Number.NaN, ticks: null, bytes: 0n, up: false, note: null },
        { timeNs: 400n * dayNs, host: 'c', usage: null, ticks: 2n ** 62n, bytes: null, up: null, note: '' },
      ],
      null,
    );
    expect((await seal(history, 1, [dayFile, spanFile])).kind).toBe('committed');
    const rows = await readRows(history);
    expect(rows).toHaveLength(4);
    expect(rows[0]).toEqual({
      time: new Date(0),
      host: 'a',
      usage: 1.5,
      ticks: -5n,
      bytes: expect.anything(),
      up: true,
      note: 'é"\n',
    });
    expect(rows[2]).toMatchObject({ time: new Date(-3 * 86_400_000), usage: Number.NaN, up: false });
    expect(rows[3]).toMatchObject({ host: 'c', ticks: 2n ** 62n, note: '' });
    expect(rows[3]?.['usage'] ?? null).toBeNull();
  });

  test('reads older files with the columns of a schema that has grown', async () => {
    const history = fixture({ store });
    await seal(history, 1, [await putRows(store, cpuSchema, [rowAt(0n, 'a', 1)])]);
    const wider: TableSchema = {
      table: 'cpu',
      columns: [...cpuColumns, { name: 'dc', kind: 'tag', type: 'string', fieldId: 9 }],
      hasTimeNs: true,
    };
    history.commitPoint.extend(wider);
    await seal(history, 2, [await putRows(store, wider, [{ ...rowAt(1_001n, 'b', 2), dc: 'eu' }])]);
    const rows = await readRows(history);
    expect(rows.map((row) => [row['host'], row['dc'], row['time_ns']])).toEqual(
      expect.arrayContaining([
        ['a', undefined, undefined],
        ['b', 'eu', 1],
      ]),
    );
  });

  test('sees merged files with the data sequence number they were given', async () => {
    const history = fixture({ store });
    const first = await putRows(store, cpuSchema, [rowAt(0n, 'a', 1)]);
    const second = await putRows(store, cpuSchema, [rowAt(0n, 'b', 2)]);
    await seal(history, 1, [first]);
    await seal(history, 2, [second]);
    await seal(history, 3, [await putRows(store, cpuSchema, [rowAt(0n, 'a', 9)])]);
    const merged = await putRows(store, cpuSchema, [rowAt(0n, 'a', 1), rowAt(0n, 'b', 2)]);
    const change = { kind: 'merge', removed: [first.key, second.key], added: [merged], sequence: 2 } as const;
    const result = await history.tables.commit({ database, table: 'cpu', change, fencingEpoch: 1 });
    expect(result.kind).toBe('committed');
    const manifests = await icebergManifests(await metadataOf(history));
    const live = manifests.flatMap(({ entries }) => entries.filter((entry) => entry.status !== 2));
    expect(live.map((entry) => [entry.data_file.file_path, Number(entry.sequence_number)]).sort()).toEqual(
      [
        [store.uriOf(merged.key), 2],
        [expect.any(String), 3],
      ].sort(),
    );
    expect(await readRows(history)).toHaveLength(3);
  });

  test('still reads every version after snapshots were expired', async () => {
    const history = fixture({ store });
    for (let number = 1; number <= 4; number++) {
      await seal(history, number, [await putRows(store, cpuSchema, [rowAt(BigInt(number), 'a', number)])]);
      await history.clock.advance(60_000);
    }
    const olderThanMs = history.clock.nowMs() - 100_000;
    const result = await history.tables.expire({ database, table: 'cpu', olderThanMs, fencingEpoch: 1 });
    if (result.kind !== 'expired') throw new Error(`got ${result.kind}; want expired`);
    await store.deleteMany(result.unreferenced);
    expect(await readRows(history)).toHaveLength(4);
    const metadata = await store.get(history.commitPoint.record.metadataKey ?? '');
    for (const snapshot of decodeTableMetadata('current', metadata).snapshots) {
      const files = await history
        .another()
        .snapshot(history.commitPoint.record, String(snapshot['snapshot-id']));
      for (const file of files.files) await store.head(file.key);
    }
  });
});
