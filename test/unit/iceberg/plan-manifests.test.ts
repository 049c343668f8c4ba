import { expect, test } from 'vitest';
import { decodeManifestList, liveFileCount, type ManifestFile } from '../../../core/iceberg/manifest-list.js';
import { currentSnapshot, decodeTableMetadata } from '../../../core/iceberg/table-metadata.js';
import type { DataFile, TableChange } from '../../../core/iceberg/types.js';
import { cpuSchema, database, type Fixture, fixture, group, putRows } from './history-fixture.js';

async function seal(history: Fixture, number: number, count = 1, span = false): Promise<DataFile[]> {
  const added: DataFile[] = [];
  for (let index = 0; index < count; index++) {
    const rows = [{ timeNs: BigInt(number * 1000 + index) * 1000n, host: 'a', usage: index }];
    added.push(await putRows(history.objects, cpuSchema, rows, span ? null : undefined));
  }
  await commit(history, { kind: 'seal', groups: [group(number)], added });
  return added;
}

async function commit(history: Fixture, change: TableChange): Promise<void> {
  const result = await history.tables.commit({ database, table: 'cpu', change, fencingEpoch: 1 });
  expect(result.kind).toBe('committed');
}

async function manifests(history: Fixture): Promise<readonly ManifestFile[]> {
  const { objects, commitPoint } = history;
  const metadata = decodeTableMetadata('it', await objects.get(commitPoint.record.metadataKey ?? ''));
  const list = objects.keyOf(currentSnapshot(metadata)['manifest-list']);
  return decodeManifestList(list, await objects.get(list), (uri) => objects.keyOf(uri));
}

async function liveCounts(history: Fixture): Promise<number[]> {
  return (await manifests(history)).map(liveFileCount);
}

test('small manifests are folded into one when there are too many, entries keeping their numbers', async () => {
  const history = fixture({ limits: { smallManifestsMax: 4, entriesMax: 100 } });
  for (let number = 1; number <= 5; number++) await seal(history, number);
  expect(await liveCounts(history)).toEqual([1, 1, 1, 1, 1]);
  await seal(history, 6);
  const [only, ...rest] = await manifests(history);
  expect(rest).toEqual([]);
  expect(only).toMatchObject({
    sequence: 6,
    minSequence: 1,
    added: { files: 1, rows: 1 },
    existing: { files: 5, rows: 5 },
    deleted: { files: 0 },
  });
  const { files } = await history.another().snapshot(history.commitPoint.record);
  expect(files.map((file) => file.sequence).sort()).toEqual([1, 2, 3, 4, 5, 6]);
});

test('a manifest that is much larger than all smaller ones together is left alone', async () => {
  const history = fixture({ limits: { smallManifestsMax: 4, entriesMax: 100 } });
  await seal(history, 1, 20);
  for (let number = 2; number <= 6; number++) await seal(history, number);
  expect(await liveCounts(history)).toEqual([5, 20]);
});

test('day files and span files are folded apart', async () => {
  const history = fixture({ limits: { smallManifestsMax: 2, entriesMax: 100 } });
  for (let number = 1; number <= 8; number++) await seal(history, number, 1, number % 2 === 0);
  const lines = await manifests(history);
  expect(new Set(lines.map((line) => line.specId))).toEqual(new Set([0, 1]));
  for (const specId of [0, 1]) {
    const ofSpec = lines.filter((line) => line.specId === specId);
    expect(ofSpec.reduce((sum, line) => sum + liveFileCount(line), 0)).toBe(4);
    expect(ofSpec.length).toBeLessThanOrEqual(3);
  }
});

test('a manifest holds no more entries than the limit, and a full one is not folded again', async () => {
  const history = fixture({ limits: { smallManifestsMax: 2, entriesMax: 4 } });
  await seal(history, 1, 10);
  expect(await liveCounts(history)).toEqual([4, 4, 2]);
  for (let number = 2; number <= 5; number++) await seal(history, number);
  const counts = await liveCounts(history);
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(14);
  expect(Math.max(...counts)).toBe(4);
});

test('removed files are marked by the snapshot that removed them, and gone from the next rewriting', async () => {
  const history = fixture();
  const [first, second, third] = (await seal(history, 1, 3)) as [DataFile, DataFile, DataFile];
  const untouched = await seal(history, 2);
  await commit(history, { kind: 'remove', removed: [first.key] });
  const [rewritten, kept] = await manifests(history);
  expect(rewritten).toMatchObject({ existing: { files: 2 }, deleted: { files: 1 }, added: { files: 0 } });
  expect(kept).toMatchObject({ added: { files: 1 }, sequence: 2 });
  await commit(history, { kind: 'remove', removed: [second.key] });
  expect((await manifests(history))[0]).toMatchObject({ existing: { files: 1 }, deleted: { files: 1 } });
  await commit(history, { kind: 'remove', removed: [third.key] });
  expect((await manifests(history))[0]).toMatchObject({ existing: { files: 0 }, deleted: { files: 1 } });
  await seal(history, 3);
  const lines = await manifests(history);
  expect(lines.map((line) => line.deleted.files)).toEqual([0, 0]);
  const { files } = await history.another().snapshot(history.commitPoint.record);
  expect(files.map((file) => file.key)).toContain(untouched[0]?.key);
});
