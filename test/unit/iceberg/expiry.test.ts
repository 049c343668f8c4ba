import { expect, test } from 'vitest';
import type { CommitResult, ExpireResult } from '../../../core/iceberg/settled-tables.js';
import { decodeTableMetadata } from '../../../core/iceberg/table-metadata.js';
import type { DataFile } from '../../../core/iceberg/types.js';
import { isVarveError } from '../../../core/std/errors.js';
import { cpuSchema, database, type Fixture, fixture, group, putRows } from './history-fixture.js';

const minuteMs = 60_000;

async function seal(history: Fixture, number: number): Promise<DataFile> {
  const timeNs = BigInt(number) * 1_000_000_000n;
  const file = await putRows(history.objects, cpuSchema, [{ timeNs, host: 'a', usage: number }]);
  const change = { kind: 'seal', groups: [group(number)], added: [file] } as const;
  const result: CommitResult = await history.tables.commit({
    database,
    table: 'cpu',
    change,
    fencingEpoch: 1,
  });
  expect(result.kind).toBe('committed');
  return file;
}

/** Seals groups 1 to `count`, a minute apart, the last one now. */
async function sealed(count: number): Promise<{ history: Fixture; files: DataFile[] }> {
  const history = fixture();
  const files: DataFile[] = [];
  for (let number = 1; number <= count; number++) {
    if (number > 1) await history.clock.advance(minuteMs);
    files.push(await seal(history, number));
  }
  return { history, files };
}

function expire(history: Fixture, ageMs: number, snapshotsMax?: number): Promise<ExpireResult> {
  return history.tables.expire({
    database,
    table: 'cpu',
    olderThanMs: history.clock.nowMs() - ageMs,
    fencingEpoch: 1,
    ...(snapshotsMax === undefined ? {} : { snapshotsMax }),
  });
}

async function objectKeys(history: Fixture): Promise<string[]> {
  const keys: string[] = [];
  for await (const object of history.objects.list('')) keys.push(object.key);
  return keys;
}

async function sequences(history: Fixture): Promise<number[]> {
  const lines = await history.another().history(history.commitPoint.record);
  return lines.map((line) => line.sequence);
}

test('a snapshot expires when the one that replaced it is old, not when it is old itself', async () => {
  const { history } = await sealed(4);
  // Snapshot 2 was made three minutes ago less one, and was the present until two minutes less one ago.
  const result = await expire(history, minuteMs);
  expect(result).toMatchObject({ kind: 'expired', snapshots: [expect.any(String)] });
  expect(await sequences(history)).toEqual([4, 3, 2]);
  expect(await expire(history, minuteMs)).toEqual({ kind: 'nothing' });
});

test('the current snapshot always stays, with its history root', async () => {
  const { history } = await sealed(3);
  const before = history.commitPoint.record;
  await history.clock.advance(100 * minuteMs);
  expect(await expire(history, 0)).toMatchObject({ kind: 'expired' });
  expect(await sequences(history)).toEqual([3]);
  const { metadataKey, ...rest } = history.commitPoint.record;
  expect({ ...rest, metadataKey: before.metadataKey }).toEqual(before);
  expect(metadataKey).not.toBe(before.metadataKey);
  expect((await history.another().snapshot(history.commitPoint.record)).files).toHaveLength(3);
});

test('more snapshots than the limit expire whatever their age', async () => {
  const { history } = await sealed(5);
  expect(await expire(history, 1e9)).toEqual({ kind: 'nothing' });
  expect(await expire(history, 1e9, 2)).toMatchObject({ kind: 'expired' });
  expect(await sequences(history)).toEqual([5, 4]);
  expect(await expire(history, 1e9, 0)).toMatchObject({ kind: 'expired' });
  expect(await sequences(history)).toEqual([5]);
});

test('an expired snapshot is not-found from then on, the kept ones are as they were', async () => {
  const { history } = await sealed(3);
  const [third, second, first] = await history.tables.history(history.commitPoint.record);
  const before = await history.tables.snapshot(history.commitPoint.record, second?.snapshotId);
  await expire(history, 0, 2);
  const reader = history.another();
  expect(await reader.snapshot(history.commitPoint.record, second?.snapshotId)).toEqual(before);
  expect((await reader.snapshot(history.commitPoint.record)).snapshotId).toBe(third?.snapshotId);
  const asked = await reader.snapshot(history.commitPoint.record, first?.snapshotId).catch((error) => error);
  expect(isVarveError(asked, 'not-found')).toBe(true);
});

test('what nothing references any more is told, and nothing else', async () => {
  const { history, files } = await sealed(3);
  const change = { kind: 'remove', removed: [files[0]?.key ?? ''] } as const;
  await history.tables.commit({ database, table: 'cpu', change, fencingEpoch: 1 });
  await history.clock.advance(minuteMs);
  const all = await objectKeys(history);
  expect(await history.tables.referencedKeys(history.commitPoint.record)).toEqual(new Set(all));
  const result = await expire(history, 0);
  if (result.kind !== 'expired') throw new Error(`got ${result.kind}; want expired`);
  expect(result.unreferenced).toContain(files[0]?.key);
  const referenced = await history.another().referencedKeys(history.commitPoint.record);
  const fresh = (await objectKeys(history)).filter((key) => !all.includes(key));
  expect(fresh).toEqual([history.commitPoint.record.metadataKey]);
  expect([...referenced, ...result.unreferenced].sort()).toEqual([...all, ...fresh].sort());
  await history.objects.deleteMany(result.unreferenced);
  const reader = history.another();
  const left = await reader.snapshot(history.commitPoint.record);
  expect(left.files.map((file) => file.key).sort()).toEqual([files[1]?.key, files[2]?.key].sort());
  expect((await objectKeys(history)).sort()).toEqual([...referenced].sort());
});

test('logs of snapshots and metadata files stay bounded and without gaps', async () => {
  const { history } = await sealed(15);
  await expire(history, 0, 3);
  const bytes = await history.objects.get(history.commitPoint.record.metadataKey ?? '');
  const metadata = decodeTableMetadata('it', bytes);
  expect(metadata['snapshot-log'].map((line) => line['snapshot-id'])).toEqual(
    metadata.snapshots.map((snapshot) => snapshot['snapshot-id']),
  );
  expect(metadata['metadata-log']).toHaveLength(10);
  for (const line of metadata['metadata-log']) {
    await history.objects.head(history.objects.keyOf(line['metadata-file']));
  }
});

test('schemas that only expired snapshots had go with them', async () => {
  const { history } = await sealed(2);
  const column = { name: 'load', kind: 'field', type: 'double', fieldId: 9 } as const;
  history.commitPoint.extend({ ...cpuSchema, columns: [...cpuSchema.columns, column] });
  await seal(history, 3);
  const schemaIds = async () => {
    const bytes = await history.objects.get(history.commitPoint.record.metadataKey ?? '');
    return decodeTableMetadata('it', bytes).schemas.map((schema) => schema['schema-id']);
  };
  expect(await schemaIds()).toEqual([0, 1]);
  await expire(history, 0, 2);
  expect(await schemaIds()).toEqual([0, 1]);
  await expire(history, 0, 1);
  expect(await schemaIds()).toEqual([1]);
  await seal(history, 4);
  expect(await schemaIds()).toEqual([1]);
  expect((await history.another().snapshot(history.commitPoint.record)).files).toHaveLength(4);
});

test('a table without history has nothing to expire', async () => {
  expect(await expire(fixture(), 0)).toEqual({ kind: 'nothing' });
});

test('a fenced compactor expires nothing', async () => {
  const { history } = await sealed(3);
  history.commitPoint.fence(2);
  expect(await expire(history, 0)).toEqual({ kind: 'fenced', by: 2 });
  expect(await sequences(history)).toEqual([3, 2, 1]);
});

test('a snapshot committed while others expire stays', async () => {
  const { history } = await sealed(3);
  await history.clock.advance(minuteMs);
  const rival = history.another();
  const file = await putRows(history.objects, cpuSchema, [{ timeNs: 9n, host: 'b', usage: 9 }]);
  const get = history.commitPoint.get.bind(history.commitPoint);
  history.commitPoint.get = async (...names) => {
    const found = await get(...names);
    history.commitPoint.get = get;
    const change = { kind: 'seal', groups: [group(4)], added: [file] } as const;
    await rival.commit({ database, table: 'cpu', change, fencingEpoch: 1 });
    return found;
  };
  expect(await expire(history, 0)).toMatchObject({ kind: 'expired' });
  expect(await sequences(history)).toEqual([4, 3]);
  expect((await history.another().snapshot(history.commitPoint.record)).files).toHaveLength(4);
});
