import { DataType, RecordBatchReader, type Table, TimeUnit, tableFromIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GroupId } from '../../core/model/batch.js';
import type { HotReader, HotScanRequest } from '../../core/ports/hot-reader.js';
import {
  database,
  group,
  naiveScan,
  type PlainBatch,
  type PlainRow,
  plainRows,
  plainScan,
  rowTexts,
} from '../support/naive-hot-tier.js';

/** A hot tier behind the reader under test. */
export interface HotReaderFixture {
  readonly reader: HotReader;
  apply(batch: PlainBatch): void;
  drop(database: string, group: GroupId): void;
  stop(): void;
}

const everything: HotScanRequest = {
  database,
  group,
  shard: 0,
  table: 'cpu',
  columns: ['dc', 'host', 'load', 'count', 'total', 'up', 'note'],
  minTimeNs: null,
  maxTimeNs: null,
  tags: [],
};

let sequence = 0;
function batch(rows: readonly PlainRow[], change: Partial<PlainBatch> = {}): PlainBatch {
  sequence += 1;
  return {
    origin: 'n1',
    epoch: 1,
    sequence,
    stamp: BigInt(sequence),
    shard: 0,
    tables: { cpu: rows },
    ...change,
  };
}

function row(host: string | null, timeNs: bigint, fields: PlainRow['fields']): PlainRow {
  return { tags: host === null ? {} : { host }, timeNs, fields };
}

async function readAll(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

async function readTable(reader: HotReader, request: HotScanRequest): Promise<Table> {
  return tableFromIPC(await readAll(reader.scan(request)));
}

/** What every HotReader must do, whatever carries its bytes. */
export function hotReaderConformance(name: string, make: () => HotReaderFixture): void {
  describe(`${name} as a HotReader`, () => {
    let fixture: HotReaderFixture;
    beforeEach(() => {
      fixture = make();
    });
    afterEach(() => {
      fixture.stop();
    });

    it('gives the columns asked for, in that order, with the types of the format', async () => {
      fixture.apply(
        batch([
          {
            tags: { host: 'a', dc: 'x' },
            timeNs: 5n,
            fields: { load: 1.5, count: -1n, total: 2n ** 64n - 1n, up: true, note: 'é' },
          },
        ]),
      );
      const columns = ['note', 'host', 'none', 'up', 'total', 'dc', 'count', 'load'];
      const table = await readTable(fixture.reader, { ...everything, columns });
      const types = table.schema.fields.map(({ name, type, nullable }) => [name, `${type}`, nullable]);
      expect(types).toEqual([
        ['time', 'Timestamp<NANOSECOND, UTC>', false],
        ['note', 'Utf8', true],
        ['host', 'Dictionary<Int32, Utf8>', true],
        ['up', 'Bool', true],
        ['total', 'Uint64', true],
        ['dc', 'Dictionary<Int32, Utf8>', true],
        ['count', 'Int64', true],
        ['load', 'Float64', true],
      ]);
      const time = table.schema.fields[0]?.type;
      expect(DataType.isTimestamp(time) && time.unit).toBe(TimeUnit.NANOSECOND);
      expect(table.numRows).toBe(1);
      expect(table.getChild('time')?.data[0]?.values[0]).toBe(5n);
      expect(table.get(0)?.toJSON()).toMatchObject({
        note: 'é',
        host: 'a',
        up: true,
        total: 2n ** 64n - 1n,
        dc: 'x',
        count: -1n,
        load: 1.5,
      });
    });

    it('takes time bounds as inclusive', async () => {
      fixture.apply(batch([1n, 2n, 3n, 4n].map((time) => row('a', time, { load: Number(time) }))));
      const rows = await plainScan(fixture.reader, { ...everything, minTimeNs: 2n, maxTimeNs: 3n });
      expect(rows.map(({ timeNs }) => timeNs)).toEqual([2n, 3n]);
    });

    it('takes null in a predicate for a series that lacks the tag', async () => {
      fixture.apply(
        batch([row('a', 1n, { load: 1 }), row(null, 1n, { load: 2 }), row('b', 1n, { load: 3 })]),
      );
      const hosts = async (tags: HotScanRequest['tags']): Promise<unknown[]> =>
        (await plainScan(fixture.reader, { ...everything, tags })).map(({ tags }) => tags['host'] ?? null);
      expect(await hosts([{ tag: 'host', values: [null] }])).toEqual([null]);
      expect(await hosts([{ tag: 'host', values: ['b', null] }])).toEqual([null, 'b']);
      expect(await hosts([{ tag: 'host', values: [] }])).toEqual([]);
      expect(await hosts([{ tag: 'other', values: [null] }])).toEqual([null, 'a', 'b']);
      expect(await hosts([{ tag: 'other', values: ['b'] }])).toEqual([]);
      expect(
        await hosts([
          { tag: 'host', values: ['a', 'b'] },
          { tag: 'host', values: ['b'] },
        ]),
      ).toEqual(['b']);
    });

    it('orders series by tag values with absent first, then time', async () => {
      const series = [
        { host: 'b' },
        { host: 'a', dc: 'z' },
        {},
        { dc: 'z' },
        { host: 'a' },
        { host: 'a', dc: 'y' },
      ];
      fixture.apply(
        batch(series.flatMap((tags) => [2n, 1n].map((timeNs) => ({ tags, timeNs, fields: { load: 1 } })))),
      );
      const rows = await plainScan(fixture.reader, { ...everything, columns: ['host', 'dc'] });
      expect(rows.map(({ tags, timeNs }) => [tags, timeNs])).toEqual(
        [{}, { host: 'a' }, { host: 'b' }, { host: 'a', dc: 'y' }, { dc: 'z' }, { host: 'a', dc: 'z' }]
          .sort((left, right) => orderOf(left) - orderOf(right))
          .flatMap((tags) => [
            [tags, 1n],
            [tags, 2n],
          ]),
      );
    });

    it('joins rows of one point: union of fields, highest precedence wins', async () => {
      const older = batch([row('a', 1n, { load: 1, up: true })], { stamp: 10n });
      const newer = batch([row('a', 1n, { load: 2, note: 'x' }), row('a', 1n, { note: 'y' })], {
        stamp: 20n,
      });
      fixture.apply(newer);
      fixture.apply(older);
      expect(await plainScan(fixture.reader, everything)).toEqual([
        row('a', 1n, { load: 2, up: true, note: 'y' }),
      ]);
    });

    it('keeps the values of columns that some batches leave out', async () => {
      const some: readonly PlainRow['fields'][] = [
        { note: 'first', up: true, load: 1 },
        { count: 1n },
        { count: 2n },
        { note: 'last', up: true, load: 2 },
        { count: 3n },
      ];
      const rows = some.map((fields, at) => row('a', BigInt(at), fields));
      for (const each of rows) fixture.apply(batch([each]));
      expect(await plainScan(fixture.reader, everything)).toEqual(rows);
    });

    it('gives a stream without rows for a chunk that is not there and for bounds that nothing meets', async () => {
      fixture.apply(batch([row('a', 1n, { load: 1 })]));
      const absent = await readTable(fixture.reader, { ...everything, table: 'mem' });
      expect([absent.numRows, absent.schema.names]).toEqual([0, ['time']]);
      const empty = await readTable(fixture.reader, {
        ...everything,
        columns: ['host', 'load'],
        minTimeNs: 2n,
      });
      expect([empty.numRows, empty.schema.names]).toEqual([0, ['time', 'host', 'load']]);
    });

    it('describes the chunks of a table', async () => {
      fixture.apply(batch([row('a', 5n, { load: 1 }), row('a', -3n, { load: 1 })], { shard: 1 }));
      fixture.apply(batch([row('a', 7n, { load: 1 })]));
      const request = { database, group, table: 'cpu' };
      expect(await fixture.reader.describe(request)).toEqual([
        { shard: 0, rows: 1, minTimeNs: 7n, maxTimeNs: 7n },
        { shard: 1, rows: 2, minTimeNs: -3n, maxTimeNs: 5n },
      ]);
      expect(await fixture.reader.describe({ ...request, table: 'mem' })).toEqual([]);
      expect(await fixture.reader.describe({ ...request, group: 'w000000000009' as GroupId })).toEqual([]);
    });

    it('tells what is held by shard, with digests that the order of arrival leaves as they are', async () => {
      const rows = [row('a', 1n, { load: 1 })];
      const fifth = { origin: 'n2', epoch: 3, sequence: 5 };
      const sixth = { ...fifth, sequence: 6 };
      expect(await fixture.reader.holdings({ database, group })).toEqual([]);
      for (const id of [sixth, fifth]) fixture.apply(batch(rows, { ...id, stamp: 1n, shard: 2 }));
      for (const id of [fifth, sixth]) fixture.apply(batch(rows, { ...id, stamp: 1n, shard: 1 }));
      const holdings = await fixture.reader.holdings({ database, group });
      const batches = [{ origin: 'n2', epoch: 3, first: 5, last: 6 }];
      const digest = expect.stringMatching(/^[0-9a-f]{64}$/);
      expect(holdings).toEqual([
        { shard: 1, digest, batches },
        { shard: 2, digest, batches },
      ]);
      fixture.apply(batch(rows, { ...fifth, sequence: 7, stamp: 1n, shard: 1 }));
      const [first, second] = await fixture.reader.holdings({ database, group });
      expect(first?.digest).not.toBe(holdings[0]?.digest);
      expect(second).toEqual(holdings[1]);
      fixture.drop(database, group);
      await expect(fixture.reader.holdings({ database, group })).rejects.toMatchObject({ kind: 'not-found' });
    });

    it('says not-found of a group that was dropped', async () => {
      fixture.apply(batch([row('a', 1n, { load: 1 })]));
      fixture.drop(database, group);
      await expect(plainScan(fixture.reader, everything)).rejects.toMatchObject({ kind: 'not-found' });
      await expect(fixture.reader.describe({ database, group, table: 'cpu' })).rejects.toMatchObject({
        kind: 'not-found',
      });
    });

    it('finishes a scan on the rows it began with, whatever is appended or dropped meanwhile', async () => {
      const rowCount = 140_000;
      const first = batch(
        Array.from({ length: rowCount }, (_, at) => row(`h${at % 7}`, BigInt(at), { count: BigInt(at) })),
      );
      fixture.apply(first);
      const scan = fixture.reader.scan({ ...everything, columns: ['host', 'count'] });
      let pieces = 0;
      const meddle = async function* (): AsyncGenerator<Uint8Array> {
        for await (const piece of scan) {
          pieces += 1;
          if (pieces === 1) {
            fixture.apply(
              batch(Array.from({ length: 500 }, (_, at) => row(`h${at % 9}`, 3n, { count: -5n }))),
            );
            fixture.drop(database, group);
          }
          yield piece;
        }
      };
      const rows = await plainRows(meddle());
      expect(pieces).toBeGreaterThan(3);
      const want = naiveScan([first], { ...everything, columns: ['host', 'count'] });
      expect(rowTexts(rows)).toEqual(rowTexts(want));
    });

    it('sees batches whole', async () => {
      for (let round = 0; round < 20; round++) {
        fixture.apply(
          batch(Array.from({ length: 100 }, (_, at) => row('a', BigInt(round * 100 + at), { load: 1 }))),
        );
        const scan = plainScan(fixture.reader, everything);
        fixture.apply(
          batch(Array.from({ length: 100 }, (_, at) => row('b', BigInt(round * 100 + at), { load: 1 }))),
        );
        expect((await scan).length % 100).toBe(0);
      }
    });

    it('gives pieces that may be kept and changed', async () => {
      fixture.apply(batch([row('a', 1n, { load: 1, note: 'text' })]));
      const [before, again] = [await plainScan(fixture.reader, everything), fixture.reader.scan(everything)];
      for await (const piece of again) piece.fill(255);
      expect(await plainScan(fixture.reader, everything)).toEqual(before);
    });

    it('writes a stream whose buffers are aligned to 8 bytes', async () => {
      fixture.apply(batch([row('a', 1n, { load: 1, note: 'odd' }), row('abc', 2n, { up: true })]));
      const bytes = await readAll(fixture.reader.scan(everything));
      const copy = new Uint8Array(new ArrayBuffer(bytes.length));
      copy.set(bytes);
      for (const record of RecordBatchReader.from(copy)) {
        for (const data of record.data.children) {
          expect(data.values.buffer).toBe(copy.buffer);
          expect(data.values.byteOffset % 8).toBe(0);
        }
      }
    });

    it('fails with the reason of an aborted signal', async () => {
      fixture.apply(batch([row('a', 1n, { load: 1 })]));
      const reason = new Error('enough');
      const scan = plainRows(fixture.reader.scan(everything, AbortSignal.abort(reason)));
      await expect(scan).rejects.toThrow('enough');
    });

    it('lets the caller leave early', async () => {
      fixture.apply(batch([row('a', 1n, { load: 1 })]));
      for await (const piece of fixture.reader.scan(everything)) {
        expect(piece.length).toBeGreaterThan(0);
        break;
      }
      expect(await plainScan(fixture.reader, everything)).toHaveLength(1);
    });
  });
}

/** Place of a tag set of the order test: dc before host, absent first. */
function orderOf(tags: { readonly host?: string; readonly dc?: string }): number {
  const place = (value: string | undefined, values: readonly string[]): number =>
    value === undefined ? 0 : values.indexOf(value) + 1;
  return place(tags.dc, ['y', 'z']) * 10 + place(tags.host, ['a', 'b']);
}
