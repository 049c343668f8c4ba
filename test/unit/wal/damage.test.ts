import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../core/adapters/disk-memory.js';
import { batchIdText } from '../../../core/model/batch.js';
import { VarveError } from '../../../core/std/errors.js';
import type { ReplaySummary, Wal } from '../../../ingest/wal/wal.js';
import { database, directory, groupNumber, idsOf, makeBatch, openWal } from './harness.js';

const segmentBytes = 32 * 1024;
const first = `${directory}/000000000001.wal`;

type Outcome =
  | { readonly kind: 'replayed'; readonly ids: readonly string[]; readonly summary: ReplaySummary }
  | { readonly kind: 'refused'; readonly message: string };

/** Starts a log on the files and stops it again; anything but a replay or `corrupt` is a failure of the test. */
async function outcomeOf(files: ReadonlyMap<string, Uint8Array>): Promise<Outcome> {
  const disk = new MemoryDisk();
  for (const [path, bytes] of files) disk.putFile(path, bytes);
  const { wal } = openWal(disk, { segmentBytes });
  const ids: string[] = [];
  try {
    const summary = await wal.start((batch) => {
      ids.push(batchIdText(batch.id));
      return 'keep';
    });
    return { kind: 'replayed', ids, summary };
  } catch (error) {
    expect(error).toBeInstanceOf(VarveError);
    expect(error).toMatchObject({ kind: 'corrupt' });
    return { kind: 'refused', message: (error as VarveError).message };
  } finally {
    await wal.stop();
  }
}

async function filesOf(disk: MemoryDisk): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of await disk.list(directory)) {
    files.set(`${directory}/${name}`, disk.contentOf(`${directory}/${name}`));
  }
  return files;
}

async function logOf(commits: readonly (readonly [sequence: number, bytes: number][])[]): Promise<{
  files: Map<string, Uint8Array>;
  ids: string[];
}> {
  const disk = new MemoryDisk();
  const { wal } = openWal(disk, { segmentBytes, blockBytesMax: 4096 });
  await wal.start(() => 'keep');
  const batches = commits.map((commit) => commit.map(([sequence, bytes]) => makeBatch(sequence, bytes)));
  for (const commit of batches) await Promise.all(commit.map((batch) => wal.append(batch)));
  await wal.stop();
  return { files: await filesOf(disk), ids: idsOf(batches.flat()) };
}

const changed = (
  files: ReadonlyMap<string, Uint8Array>,
  path: string,
  change: (bytes: Uint8Array) => Uint8Array,
): Map<string, Uint8Array> => new Map(files).set(path, change(files.get(path)!.slice()));

/** Every byte of what a page begins with; of the padding behind it some. */
const strideAt = (at: number): number => (at % 4096 < 1100 ? 1 : 61);

describe('a log cut or changed at any byte', () => {
  it('cut in its only segment: whole commits of before stay, the rest is a torn tail', async () => {
    const { files, ids } = await logOf([[[1, 20]], [[2, 500]], [[3, 10]]]);
    for (let length = 0; length < 5 * 4096; length += strideAt(length)) {
      const outcome = await outcomeOf(changed(files, first, (bytes) => bytes.slice(0, length)));
      if (length < 4096) {
        expect(outcome).toMatchObject({ kind: 'refused', message: expect.stringContaining(first) });
      } else {
        expect(outcome.kind).toBe('replayed');
        if (outcome.kind === 'replayed') expect(outcome.ids).toEqual(ids.slice(0, outcome.ids.length));
      }
    }
  });

  it('changed in any byte: refused, or a torn last commit, or nothing to see', async () => {
    const { files, ids } = await logOf([
      [[1, 20]],
      [
        [2, 3000],
        [3, 100],
      ],
      [[4, 10]],
    ]);
    // Header page, then one page a commit.
    const lastCommitAt = 3 * 4096;
    const seen = { refused: 0, torn: 0, same: 0 };
    for (let at = 0; at < 5 * 4096; at += strideAt(at)) {
      const outcome = await outcomeOf(
        changed(files, first, (bytes) => {
          bytes[at]! ^= 1 << (at % 8);
          return bytes;
        }),
      );
      if (outcome.kind === 'refused') {
        seen.refused += 1;
        expect(outcome.message).toContain(first);
        expect(at).toBeLessThan(lastCommitAt);
      } else if (outcome.ids.length === ids.length) {
        seen.same += 1;
        expect(outcome.ids).toEqual(ids);
      } else {
        seen.torn += 1;
        expect(outcome.ids).toEqual(ids.slice(0, 3));
        expect(at).toBeGreaterThanOrEqual(lastCommitAt);
      }
    }
    // The bytes that count: 36 of the header, and of each block all but the padding.
    expect(seen.refused).toBeGreaterThan(1200);
    expect(seen.torn).toBeGreaterThan(150);
  });

  it('changed in a segment that is not the last: refused, its closing block included', async () => {
    const { files } = await logOf([1, 2, 3].map((i) => [[i, 15_000]]));
    expect(files.size).toBeGreaterThanOrEqual(2);
    const closingAt = 4096 + 4 * 4096;
    for (const at of [4096, 4096 + 47, 4096 + 60, 4096 + 9000, closingAt, closingAt + 20]) {
      const outcome = await outcomeOf(
        changed(files, first, (bytes) => {
          bytes[at]! ^= 4;
          return bytes;
        }),
      );
      expect(outcome).toMatchObject({ kind: 'refused', message: expect.stringContaining(first) });
    }
  });

  it('zeroed from any page on in a segment that is not the last: refused', async () => {
    const { files } = await logOf([1, 2, 3].map((i) => [[i, 15_000]]));
    for (let page = 0; page < 6; page++) {
      const outcome = await outcomeOf(changed(files, first, (bytes) => bytes.fill(0, page * 4096)));
      expect(outcome.kind).toBe('refused');
    }
  });
});

describe('a torn commit', () => {
  it('whose later blocks are whole while an earlier one is not is a torn tail, not damage', async () => {
    const { files, ids } = await logOf([
      [[1, 20]],
      [
        [2, 3000],
        [3, 3000],
        [4, 3000],
      ],
    ]);
    const outcome = await outcomeOf(changed(files, first, (bytes) => bytes.fill(0, 4096 * 2, 4096 * 3)));
    expect(outcome).toMatchObject({
      kind: 'replayed',
      ids: ids.slice(0, 1),
      summary: { tornBytes: 3 * 4096 },
    });
  });

  it('stays cut: nothing of it comes back after later commits and restarts', async () => {
    const { files } = await logOf([
      [[1, 20]],
      [
        [2, 3000],
        [3, 3000],
        [4, 3000],
      ],
    ]);
    const disk = new MemoryDisk();
    const torn = changed(files, first, (bytes) => bytes.fill(0, 4096 * 2, 4096 * 3));
    for (const [path, bytes] of torn) disk.putFile(path, bytes);
    const expected = ['n1/1/1'];
    const restart = async (): Promise<Wal> => {
      const { wal } = openWal(disk, { segmentBytes, blockBytesMax: 4096 });
      const ids: string[] = [];
      await wal.start((batch) => {
        ids.push(batchIdText(batch.id));
        return 'keep';
      });
      expect(ids).toEqual(expected);
      return wal;
    };
    // The first is as long as the lost block was: block 3 of the torn commit begins right after it.
    for (const [sequence, bytes] of [
      [10, 3000],
      [11, 100],
      [12, 5000],
    ] as const) {
      const wal = await restart();
      await wal.append(makeBatch(sequence, bytes));
      expected.push(`n1/1/${sequence}`);
      await wal.stop();
    }
    await (await restart()).stop();
  });
});

describe('old bytes of a reused file', () => {
  it('do not join a new block, even where old table entries and old records fit each other', async () => {
    const commitOf = (from: number): (readonly [number, number])[] =>
      Array.from({ length: 100 }, (_, i) => [from + i, 8] as const);
    const disk = new MemoryDisk();
    const { wal } = openWal(disk, { segmentBytes: 64 * 1024 });
    await wal.start(() => 'keep');
    for (const [sequence, bytes] of commitOf(1)) void wal.append(makeBatch(sequence, bytes));
    await wal.stop();
    const old = disk.contentOf(first);
    const newer = new MemoryDisk();
    const { wal: other } = openWal(newer, { segmentBytes: 64 * 1024 });
    await other.start(() => 'keep');
    for (const [sequence, bytes] of commitOf(201)) void other.append(makeBatch(sequence, bytes));
    await other.stop();
    const torn = newer.contentOf(first);
    // The first sector of the block is new: its header and the entries of 58 records. The other entries, and the
    // records that they are of, are old.
    const block = 4096;
    const recordBytes = makeBatch(1, 8).bytes.length;
    const oldRecordsAt = block + 48 + 100 * 8 + 58 * recordBytes;
    torn.set(old.subarray(block + 512, block + 48 + 100 * 8), block + 512);
    torn.set(old.subarray(oldRecordsAt), oldRecordsAt);
    expect(await outcomeOf(new Map([[first, torn]]))).toMatchObject({ kind: 'replayed', ids: [] });
  });
});

describe('what is in the directory', () => {
  it('a segment of an unknown version is refused by name', async () => {
    const { files } = await logOf([[[1, 20]]]);
    const outcome = await outcomeOf(
      changed(files, first, (bytes) => {
        bytes[4] = 7;
        return bytes;
      }),
    );
    expect(outcome).toEqual({
      kind: 'refused',
      message: `reading the header of WAL segment ${first}: got format version 7; want version 1`,
    });
  });

  it('a segment under the name of another is refused', async () => {
    const { files } = await logOf([[[1, 20]]]);
    const moved = new Map([[`${directory}/000000000005.wal`, files.get(first)!]]);
    expect(await outcomeOf(moved)).toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('it is segment 1; want 5'),
    });
  });

  it('a damaged segment that was moved away lets the rest start, as the message says', async () => {
    const { files } = await logOf([1, 2, 3, 4].map((i) => [[i, 15_000]]));
    files.delete(first);
    expect(await outcomeOf(files)).toMatchObject({ kind: 'replayed', ids: ['n1/1/2', 'n1/1/3', 'n1/1/4'] });
  });

  it('foreign files are left alone; spares of another size are removed', async () => {
    const { files, ids } = await logOf([[[1, 20]]]);
    const disk = new MemoryDisk();
    files.set(`${directory}/notes.txt`, Uint8Array.of(1));
    files.set(`${directory}/spare-000000000003.wal`, new Uint8Array(4096));
    files.set(`${directory}/spare-000000000004.wal`, new Uint8Array(segmentBytes).fill(0xff));
    for (const [path, bytes] of files) disk.putFile(path, bytes);
    const { wal } = openWal(disk, { segmentBytes });
    const summary = await wal.start(() => 'drop');
    expect(summary.batches).toBe(ids.length);
    expect(wal.usage().spares).toBe(1);
    await wal.stop();
    expect(await disk.list(directory)).toEqual(['000000000001.wal', 'notes.txt', 'spare-000000000004.wal']);
  });

  it('segments of another length, from other settings, are read, written to the end, and then removed', async () => {
    const { files } = await logOf([[[1, 20]]]);
    const disk = new MemoryDisk();
    for (const [path, bytes] of files) disk.putFile(path, bytes);
    const { wal } = openWal(disk, { segmentBytes: 64 * 1024 });
    await wal.start(() => 'keep');
    for (let i = 2; i <= 5; i++) await wal.append(makeBatch(i, 12_000));
    await wal.release(database, groupNumber(1));
    expect(await disk.list(directory)).not.toContain('000000000001.wal');
    expect(wal.usage().spares).toBe(0);
    await wal.stop();
  });
});

describe('format', () => {
  it('has the golden bytes of version 1', async () => {
    const { files } = await logOf([
      [
        [1, 8],
        [2, 8],
      ],
    ]);
    const bytes = files.get(first)!;
    const words = (from: number, to: number): string[] =>
      Buffer.from(bytes.subarray(from, to))
        .toString('hex')
        .match(/.{1,16}/g) ?? [];
    expect(words(0, 40)).toMatchInlineSnapshot(`
      [
        "5657414c01000000",
        "0100000000000000",
        "19cb4c905cdbc995",
        "00f451c28c010000",
        "7313b3b700000000",
      ]
    `);
    expect(bytes.subarray(40, 4096).every((byte) => byte === 0)).toBe(true);
    // One commit, one block: header, two entries, two records.
    expect(words(4096, 4096 + 64)).toMatchInlineSnapshot(`
      [
        "56424c4be1302c79",
        "19cb4c905cdbc995",
        "0000000001000000",
        "0000000002000000",
        "80010000580882c0",
        "0000000000000000",
        "a000000048f8d9d8",
        "a0000000473e74e4",
      ]
    `);
    const batches = [1, 2].map((sequence) => makeBatch(sequence, 8).bytes);
    const records = Buffer.concat(batches);
    expect(batches[0]!.length % 8).toBe(0);
    expect(bytes.slice(4096 + 64, 4096 + 64 + records.length)).toEqual(new Uint8Array(records));
    expect(bytes.subarray(4096 + 64 + records.length).every((byte) => byte === 0)).toBe(true);
  });
});
