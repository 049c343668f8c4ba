import { describe, expect, test } from 'vitest';
import { SimulatedClock } from '../../../core/adapters/clock-simulated.js';
import { MemoryObjectStore } from '../../../core/adapters/object-store-memory.js';
import { emptyHistoryRoot, historyRoot } from '../../../core/iceberg/history-root.js';
import type { CommitResult, SettledTables } from '../../../core/iceberg/settled-tables.js';
import type { DataFile, TableChange } from '../../../core/iceberg/types.js';
import type { TableSchema } from '../../../core/model/schema.js';
import { isVarveError, VarveError } from '../../../core/std/errors.js';
import {
  cpuColumns,
  cpuSchema,
  database,
  type Fixture,
  fixture,
  group,
  putRows,
  type Row,
} from './history-fixture.js';

const minuteNs = 60_000_000_000n;
const dayNs = 86_400_000_000_000n;

function row(timeNs: bigint, usage: number, host: string | null = 'a'): Row {
  return { timeNs, host, usage };
}

function commit(
  history: Fixture,
  change: TableChange,
  fencingEpoch = 1,
  tables: SettledTables = history.tables,
) {
  return tables.commit({ database, table: 'cpu', change, fencingEpoch });
}

function sealOf(number: number, ...added: DataFile[]): TableChange {
  return { kind: 'seal', groups: [group(number)], added };
}

function committed(result: CommitResult) {
  if (result.kind !== 'committed') throw new Error(`got ${result.kind}; want committed`);
  return result;
}

async function putFile(history: Fixture, minute: number, usage = minute): Promise<DataFile> {
  return putRows(history.objects, cpuSchema, [row(BigInt(minute) * minuteNs, usage)]);
}

async function contentOf(history: Fixture, snapshotId?: string) {
  const { files } = await history.another().snapshot(history.commitPoint.record, snapshotId);
  return files.map((file) => [file.contentHash, file.sequence] as const).sort();
}

async function keysOf(history: Fixture): Promise<string[]> {
  const keys: string[] = [];
  for await (const object of history.objects.list('')) keys.push(object.key);
  return keys;
}

describe('a seal', () => {
  test('makes a snapshot that holds its files and names its group', async () => {
    const history = fixture();
    const file = await putFile(history, 1);
    const { record, snapshot } = committed(await commit(history, sealOf(1, file)));
    expect(record).toEqual(history.commitPoint.record);
    expect(record).toMatchObject({
      snapshotId: snapshot.snapshotId,
      historyRoot: historyRoot([{ ...file, sequence: 1 }]),
      sealedGroups: [group(1)],
      fencingEpoch: 1,
    });
    expect(snapshot).toMatchObject({
      sequence: 1,
      operation: 'append',
      groups: [group(1)],
      fileCount: 1,
      rows: 1,
      bytes: file.bytes,
    });
    const files = await history.another().snapshot(record);
    expect(files).toEqual({
      snapshotId: record.snapshotId,
      historyRoot: record.historyRoot,
      schema: cpuSchema,
      files: [{ ...file, sequence: 1 }],
    });
  });

  test('puts exactly three objects: manifest, manifest list and metadata', async () => {
    const history = fixture();
    committed(await commit(history, sealOf(1, await putFile(history, 1))));
    const file = await putFile(history, 2);
    const before = await keysOf(history);
    committed(await commit(history, sealOf(2, file)));
    const fresh = (await keysOf(history)).filter((key) => !before.includes(key));
    expect(
      fresh
        .map((key) =>
          key.replace(/^.*\/metadata\//, '').replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/, '*'),
        )
        .sort(),
    ).toEqual(['*-m0.avro', '00002-*.metadata.json', expect.stringMatching(/^snap-\d+-\*\.avro$/)]);
  });

  test('without files still names its group', async () => {
    const history = fixture();
    const { record, snapshot } = committed(await commit(history, sealOf(1)));
    expect(record.sealedGroups).toEqual([group(1)]);
    expect(snapshot).toMatchObject({ groups: [group(1)], fileCount: 0, historyRoot: emptyHistoryRoot });
    expect(await contentOf(history)).toEqual([]);
  });

  test('of day files and span files keeps them in manifests of their own', async () => {
    const history = fixture();
    const day = await putFile(history, 1);
    const span = await putRows(history.objects, cpuSchema, [row(-dayNs, 1), row(9n * dayNs, 2)], null);
    committed(await commit(history, sealOf(1, day, span)));
    const { files } = await history.another().snapshot(history.commitPoint.record);
    expect(files.map((file) => file.day)).toEqual([0, null]);
    expect((await keysOf(history)).filter((key) => /-m\d\.avro$/.test(key))).toHaveLength(2);
  });

  test('that is tried again is already there, before and after the group was forgotten', async () => {
    const history = fixture();
    const seal = sealOf(1, await putFile(history, 1));
    committed(await commit(history, seal));
    expect((await commit(history, seal)).kind).toBe('already');
    history.commitPoint.forgetGroups();
    expect((await commit(history, seal, 1, history.another())).kind).toBe('already');
    expect(await contentOf(history)).toHaveLength(1);
  });

  test('of several groups of which one is sealed is refused, for it would double or lose points', async () => {
    const history = fixture();
    committed(await commit(history, sealOf(1, await putFile(history, 1))));
    const both: TableChange = {
      kind: 'seal',
      groups: [group(1), group(2)],
      added: [await putFile(history, 2)],
    };
    await expect(commit(history, both)).rejects.toThrow(/got a seal of groups .*; want all or none/);
  });

  test('whose bytes are live already replaces their entry, so that each row is there once and wins', async () => {
    const history = fixture();
    const [one, two] = [await putFile(history, 1, 1), await putFile(history, 1, 2)];
    const first = committed(await commit(history, sealOf(1, one)));
    const second = committed(await commit(history, sealOf(2, two)));
    const third = committed(await commit(history, sealOf(3, one)));
    expect(await contentOf(history)).toEqual(
      [
        [one.contentHash, 3],
        [two.contentHash, 2],
      ].sort(),
    );
    expect(third.snapshot).toMatchObject({ operation: 'overwrite', fileCount: 2, rows: 2 });
    // Same files as after the second seal, other answers: the root must differ.
    expect(third.snapshot.historyRoot).not.toBe(second.snapshot.historyRoot);
    expect(await contentOf(history, first.snapshot.snapshotId)).toEqual([[one.contentHash, 1]]);
  });
});

describe('a merge', () => {
  async function threeFiles() {
    const history = fixture();
    const files = [await putFile(history, 1), await putFile(history, 2), await putFile(history, 3)];
    for (const [index, file] of files.entries()) committed(await commit(history, sealOf(index + 1, file)));
    const merged = await putRows(history.objects, cpuSchema, [row(minuteNs, 1), row(2n * minuteNs, 2)]);
    const [first, second, third] = files as [DataFile, DataFile, DataFile];
    const change: TableChange = {
      kind: 'merge',
      removed: [first.key, second.key],
      added: [merged],
      sequence: 2,
    };
    return { history, first, second, third, merged, change };
  }

  test('puts files in the place of others under the sequence number given', async () => {
    const { history, third, merged, change } = await threeFiles();
    const { snapshot, record } = committed(await commit(history, change));
    expect(snapshot).toMatchObject({ operation: 'replace', sequence: 4, groups: [], fileCount: 2, rows: 3 });
    expect(record.sealedGroups).toEqual([group(1), group(2), group(3)]);
    expect(await contentOf(history)).toEqual(
      [
        [merged.contentHash, 2],
        [third.contentHash, 3],
      ].sort(),
    );
  });

  test('tried again is already there; planned on files that are gone it is stale', async () => {
    const { history, first, third, merged, change } = await threeFiles();
    committed(await commit(history, change));
    expect((await commit(history, change)).kind).toBe('already');
    const other: TableChange = {
      kind: 'merge',
      removed: [first.key, third.key],
      added: [await putFile(history, 9)],
      sequence: 3,
    };
    expect(await commit(history, other)).toEqual({ kind: 'stale', missing: [first.key] });
    expect(await contentOf(history)).toContainEqual([merged.contentHash, 2]);
  });

  test('whose outcome is one of its inputs keeps that file once', async () => {
    const { history, first, second, third } = await threeFiles();
    const change: TableChange = {
      kind: 'merge',
      removed: [first.key, second.key],
      added: [first],
      sequence: 2,
    };
    committed(await commit(history, change));
    expect(await contentOf(history)).toEqual(
      [
        [first.contentHash, 2],
        [third.contentHash, 3],
      ].sort(),
    );
    expect((await commit(history, change)).kind).toBe('already');
  });

  test('whose outcome is live elsewhere under a higher number keeps that number', async () => {
    const { history, first, second, third } = await threeFiles();
    const change: TableChange = {
      kind: 'merge',
      removed: [first.key, second.key],
      added: [third],
      sequence: 2,
    };
    committed(await commit(history, change));
    expect(await contentOf(history)).toEqual([[third.contentHash, 3]]);
    expect((await commit(history, change)).kind).toBe('already');
  });

  test.each([
    ['no file to remove', { removed: [] }, /got a merge with 0 files to remove, 1 to add/],
    ['no file to add', { added: [] }, /got a merge with 2 files to remove, 0 to add/],
    [
      'a sequence number of the future',
      { sequence: 4 },
      /got a merge with data sequence number 4; want 1 to 3/,
    ],
    ['the sequence number 0', { sequence: 0 }, /got a merge with data sequence number 0; want 1 to 3/],
  ])('with %s is refused', async (_, part, message) => {
    const { history, change } = await threeFiles();
    await expect(commit(history, { ...change, ...part } as TableChange)).rejects.toThrow(message);
  });
});

describe('a removal', () => {
  test('leaves the other files, and old snapshots as they were', async () => {
    const history = fixture();
    const [first, second] = [await putFile(history, 1), await putFile(history, 2)];
    const before = committed(await commit(history, sealOf(1, first, second)));
    const change: TableChange = { kind: 'remove', removed: [first.key] };
    expect(committed(await commit(history, change)).snapshot).toMatchObject({
      operation: 'delete',
      fileCount: 1,
    });
    expect(await contentOf(history)).toEqual([[second.contentHash, 1]]);
    expect(await contentOf(history, before.snapshot.snapshotId)).toHaveLength(2);
    expect((await commit(history, change)).kind).toBe('already');
    expect(await commit(history, { kind: 'remove', removed: [first.key, second.key] })).toEqual({
      kind: 'stale',
      missing: [first.key],
    });
  });

  test('of every file leaves an empty history', async () => {
    const history = fixture();
    const file = await putFile(history, 1);
    committed(await commit(history, sealOf(1, file)));
    const { record } = committed(await commit(history, { kind: 'remove', removed: [file.key] }));
    expect(record.historyRoot).toBe(emptyHistoryRoot);
    expect(await contentOf(history)).toEqual([]);
    committed(await commit(history, sealOf(2, file)));
    expect(await contentOf(history)).toEqual([[file.contentHash, 3]]);
  });
});

describe('a data file that does not fit', () => {
  const spoiled: readonly (readonly [string, (file: DataFile) => DataFile | DataFile[], RegExp])[] = [
    ['has no rows', (file) => ({ ...file, rows: 0 }), /got 0 rows/],
    ['comes twice', (file) => [file, file], /got it twice in one change; want each file once/],
    [
      'lies in another folder',
      (file) => ({ ...file, key: `db/other/data/${file.contentHash}.parquet` }),
      /folder/,
    ],
    [
      'has another hash',
      (file) => ({ ...file, contentHash: 'f'.repeat(64) }),
      /got content hash f+; want its key/,
    ],
    [
      'lies in another day',
      (file) => ({ ...file, day: 1 }),
      /got day 1 for times .*; want all rows in that day/,
    ],
    ['tells other times', (file) => ({ ...file, minTimeNs: 0n }), /of time; want 0 to/],
    [
      'tells its times in reverse',
      (file) => ({ ...file, minTimeNs: file.maxTimeNs + 1n }),
      /first before the last/,
    ],
    [
      'lacks bounds of time',
      (file) => ({ ...file, columns: [] }),
      /want bounds of 8 bytes for column "time"/,
    ],
    [
      'has a column that the table lacks',
      (file) => ({
        ...file,
        columns: file.columns.map((column) => ({ ...column, fieldId: column.fieldId + 6 })),
      }),
      /got statistics of field 9; want a field of the table's/,
    ],
  ];
  test.each(spoiled)('because it %s is refused, and nothing is written', async (_, spoil, message) => {
    const history = fixture();
    const file = await putFile(history, 1);
    const before = await keysOf(history);
    const added = [spoil(file)].flat();
    const error = await commit(history, sealOf(1, ...added)).catch((thrown: unknown) => thrown);
    expect(isVarveError(error, 'invalid')).toBe(true);
    expect(String(error)).toMatch(message);
    expect(await keysOf(history)).toEqual(before);
  });
});

describe('the compare-and-set', () => {
  test('lost to a new column is tried again, on the new schema', async () => {
    const history = fixture();
    const wider: TableSchema = {
      table: 'cpu',
      columns: [...cpuColumns, { name: 'load', kind: 'field', type: 'double', fieldId: 9 }],
      hasTimeNs: false,
    };
    history.commitPoint.beforeCommit = () => {
      history.commitPoint.beforeCommit = () => {};
      history.commitPoint.extend(wider);
    };
    committed(await commit(history, sealOf(1, await putFile(history, 1))));
    const files = await history.another().snapshot(history.commitPoint.record);
    expect(files.schema).toEqual(wider);
    expect(history.commitPoint.record.schema).toEqual(wider);
    expect(history.commitPoint.commits).toBe(1);
  });

  test('lost to another compactor that sealed the same group answers already', async () => {
    const history = fixture();
    const file = await putFile(history, 1);
    const other = history.another();
    let rival: Promise<CommitResult> | undefined;
    const get = history.commitPoint.get.bind(history.commitPoint);
    history.commitPoint.get = async (...names) => {
      const found = await get(...names);
      if (rival === undefined) {
        rival = commit(history, sealOf(1, file), 1, other);
        await rival;
      }
      return found;
    };
    expect((await commit(history, sealOf(1, file))).kind).toBe('already');
    expect((await rival)?.kind).toBe('committed');
    expect(await contentOf(history)).toEqual([[file.contentHash, 1]]);
  });

  test('lost again and again ends in unavailable', async () => {
    const history = fixture();
    history.commitPoint.beforeCommit = () => history.commitPoint.touch();
    const error = await commit(history, sealOf(1, await putFile(history, 1))).catch(
      (thrown: unknown) => thrown,
    );
    expect(isVarveError(error, 'unavailable')).toBe(true);
    expect(String(error)).toContain('lost 8 compare-and-sets; want one to succeed');
  });

  test('of a compactor that lost its lease changes nothing, whenever it is fenced', async () => {
    const history = fixture();
    committed(await commit(history, sealOf(1, await putFile(history, 1)), 5));
    const before = history.commitPoint.record;
    const file = await putFile(history, 2);
    expect(await commit(history, sealOf(2, file), 4)).toEqual({ kind: 'fenced', by: 5 });
    expect(history.commitPoint.record).toEqual(before);
    // A new holder of the lease commits between this one's reading and its compare-and-set.
    history.commitPoint.beforeCommit = () => history.commitPoint.fence(9);
    expect(await commit(history, sealOf(2, file), 5)).toEqual({ kind: 'fenced', by: 9 });
    expect(history.commitPoint.record).toEqual({ ...before, fencingEpoch: 9 });
    expect(await contentOf(history)).toHaveLength(1);
  });

  test('answered by an error although it applied is recognised at the next try', async () => {
    const history = fixture();
    const seal = sealOf(1, await putFile(history, 1));
    const apply = history.commitPoint.commit.bind(history.commitPoint);
    history.commitPoint.commit = async (...change) => {
      await apply(...change);
      throw new VarveError('unavailable', 'the answer was lost');
    };
    await expect(commit(history, seal)).rejects.toThrow('the answer was lost');
    history.commitPoint.commit = apply;
    expect((await commit(history, seal)).kind).toBe('already');
    expect(await contentOf(history)).toHaveLength(1);
  });

  test('of a table that is not there is not-found', async () => {
    const history = fixture();
    const request = { database, table: 'mem', change: sealOf(1), fencingEpoch: 1 };
    await expect(history.tables.commit(request)).rejects.toThrow(
      'table "mem" of database "metrics": no such table',
    );
  });
});

test('a commit cut off before its compare-and-set, at any object, leaves history as it was', async () => {
  for (let failing = 1; failing <= 4; failing++) {
    let puts = -Infinity;
    const clock = new SimulatedClock();
    const store = new MemoryObjectStore({
      clock,
      fail: ({ operation }) => {
        if (operation === 'put') puts += 1;
        return operation === 'put' && puts === failing
          ? { kind: 'refused', error: new VarveError('unavailable', 'no store') }
          : undefined;
      },
    });
    const history = fixture({ store });
    const first = await putFile(history, 1);
    committed(await commit(history, sealOf(1, first)));
    const before = history.commitPoint.record;
    const [day, span] = [
      await putFile(history, 2),
      await putRows(store, cpuSchema, [row(0n, 1), row(dayNs, 2)], null),
    ];
    puts = 0;
    await expect(commit(history, sealOf(2, day, span))).rejects.toThrow('no store');
    expect(history.commitPoint.record).toEqual(before);
    expect(await contentOf(history)).toEqual([[first.contentHash, 1]]);
    committed(await commit(history, sealOf(2, day, span)));
    expect(await contentOf(history)).toHaveLength(3);
  }
});

describe('a snapshot', () => {
  test('of a table without history is empty and has an id that stays empty', async () => {
    const history = fixture();
    const empty = await history.tables.snapshot(history.commitPoint.record);
    expect(empty).toEqual({ snapshotId: '0', historyRoot: emptyHistoryRoot, schema: cpuSchema, files: [] });
    expect(await history.tables.history(history.commitPoint.record)).toEqual([]);
    expect(await history.tables.referencedKeys(history.commitPoint.record)).toEqual(new Set());
    committed(await commit(history, sealOf(1, await putFile(history, 1))));
    expect((await history.tables.snapshot(history.commitPoint.record, '0')).files).toEqual([]);
  });

  test('that is unknown is not-found, by name', async () => {
    const history = fixture();
    committed(await commit(history, sealOf(1, await putFile(history, 1))));
    for (const id of ['12', 'x', '-1', '99999999999999999999']) {
      const asked = history.tables.snapshot(history.commitPoint.record, id);
      const error = await asked.catch((thrown: unknown) => thrown);
      expect(isVarveError(error, 'not-found')).toBe(true);
      expect(String(error)).toContain(`snapshot ${id} of table "cpu" has expired or never was`);
    }
  });

  test('of a record that names the metadata of another state is corrupt', async () => {
    const history = fixture();
    const first = committed(await commit(history, sealOf(1, await putFile(history, 1)))).record;
    const second = committed(await commit(history, sealOf(2, await putFile(history, 2)))).record;
    const mixed = { ...second, metadataKey: first.metadataKey };
    await expect(history.tables.chainedSnapshot(mixed)).rejects.toThrow(
      `want table ${first.tableUuid} at snapshot ${second.snapshotId}`,
    );
  });

  test('once read is answered without reading an object', async () => {
    let reads = 0;
    const clock = new SimulatedClock();
    const store = new MemoryObjectStore({
      clock,
      fail: ({ operation }) => {
        if (operation === 'get') reads += 1;
        return undefined;
      },
    });
    const history = fixture({ store });
    for (let number = 1; number <= 3; number++) {
      committed(await commit(history, sealOf(number, await putFile(history, number))));
    }
    const reader = history.another();
    reads = 0;
    const first = await reader.snapshot(history.commitPoint.record);
    expect(reads).toBe(3);
    expect(await reader.snapshot(history.commitPoint.record)).toEqual(first);
    expect(reads).toBe(3);
    expect(await reader.history(history.commitPoint.record)).toHaveLength(3);
    expect(await reader.chainedSnapshot(history.commitPoint.record)).toEqual(first);
    expect(reads).toBe(5);
    committed(await commit(history, sealOf(4, await putFile(history, 4))));
    reads = 0;
    await reader.snapshot(history.commitPoint.record);
    expect(reads).toBe(1);
  });

  test('has times that hold every row, to the nanosecond where it can be told', async () => {
    const schema: TableSchema = { ...cpuSchema, hasTimeNs: true };
    const history = fixture({ schema });
    const exact = await putRows(history.objects, cpuSchema, [row(5_000n, 1), row(9_000n, 1)]);
    const fine = await putRows(
      history.objects,
      schema,
      [row(-1_500n, 1), row(-1_001n, 2), row(3_200n, 2)],
      null,
    );
    committed(await commit(history, sealOf(1, exact, fine)));
    const { files } = await history.another().snapshot(history.commitPoint.record);
    const times = new Map(files.map((file) => [file.contentHash, [file.minTimeNs, file.maxTimeNs]]));
    expect(times.get(exact.contentHash)).toEqual([5_000n, 9_000n]);
    expect(times.get(fine.contentHash)).toEqual([-1_800n, 3_999n]);
  });

  test('has a line in the history, newest first', async () => {
    const history = fixture();
    committed(await commit(history, sealOf(1, await putFile(history, 1))));
    await history.clock.advance(1000);
    const last = committed(await commit(history, sealOf(2, await putFile(history, 2))));
    const lines = await history.another().history(history.commitPoint.record);
    expect(lines.map((line) => [line.sequence, line.groups, line.rows])).toEqual([
      [2, [group(2)], 2],
      [1, [group(1)], 1],
    ]);
    expect(lines[0]).toEqual(last.snapshot);
  });
});
