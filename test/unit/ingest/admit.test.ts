import { describe, expect, it } from 'vitest';
import type { TableSchema } from '../../../core/model/schema.js';
import { rejectColumn, rejectExpired } from '../../../ingest/admit/reject-rows.js';
import { schemaNeeds } from '../../../ingest/admit/schema-needs.js';
import { type PlainPoint, pointsOf, rowsOf } from '../../support/rows.js';

const schema: TableSchema = {
  table: 'cpu',
  columns: [
    { name: 'host', kind: 'tag', type: 'string', fieldId: 3 },
    { name: 'usage', kind: 'field', type: 'double', fieldId: 4 },
  ],
  hasTimeNs: false,
};

const decoded = (points: readonly PlainPoint[]) => ({
  rows: rowsOf('cpu', points),
  lineNumbers: Int32Array.from(points, (_, index) => index + 1),
});

describe('schemaNeeds', () => {
  const needs = (points: readonly PlainPoint[], known: TableSchema | undefined = schema) =>
    schemaNeeds(rowsOf('cpu', points), known);

  it('is nothing when the table has every column with its type', () => {
    expect(needs([{ tags: { host: 'a' }, timeNs: 1000n, fields: { usage: 1 } }])).toBeUndefined();
  });

  it('names new tags, new fields, other types and the first time below a microsecond', () => {
    const points = [
      { tags: { host: 'a' }, timeNs: 1000n, fields: { usage: 1 } },
      { tags: { host: 'a', rack: '1' }, timeNs: 1000n, fields: { idle: 1n } },
    ];
    expect(needs(points)).toEqual({
      table: 'cpu',
      tags: ['rack'],
      fields: [{ name: 'idle', type: 'bigint' }],
      hasTimeNs: false,
    });
    expect(needs([{ tags: {}, timeNs: 1000n, fields: { usage: 1n } }])?.fields).toEqual([
      { name: 'usage', type: 'bigint' },
    ]);
    expect(needs([{ tags: {}, timeNs: 1000n, fields: { host: 1 } }])?.fields).toEqual([
      { name: 'host', type: 'double' },
    ]);
    for (const timeNs of [1001n, -1n, -(2n ** 63n), 2n ** 63n - 1n, 1451606400000000123n]) {
      expect(needs([{ tags: {}, timeNs, fields: { usage: 1 } }])?.hasTimeNs).toBe(true);
    }
    for (const timeNs of [0n, -1000n, 1451606400000123000n, -(2n ** 63n) + 808n]) {
      expect(needs([{ tags: {}, timeNs, fields: { usage: 1 } }])).toBeUndefined();
    }
  });

  it('is the whole table when it is new', () => {
    const points = [{ tags: { host: 'a' }, timeNs: 1000n, fields: { usage: 1 } }];
    expect(schemaNeeds(rowsOf('cpu', points), undefined)).toEqual({
      table: 'cpu',
      tags: ['host'],
      fields: [{ name: 'usage', type: 'double' }],
      hasTimeNs: false,
    });
  });
});

describe('rejected rows', () => {
  const points: readonly PlainPoint[] = [
    { tags: { host: 'a' }, timeNs: 10n, fields: { x: 1 } },
    { tags: { rack: 'r' }, timeNs: 20n, fields: { y: 'two' } },
    { tags: { host: 'a' }, timeNs: 30n, fields: { x: 3, y: 'three' } },
  ];

  it('are those that have the refused field or tag; the others stay with their line numbers', () => {
    const byField = rejectColumn(decoded(points), 'y', 'no y');
    expect(byField.rejected).toEqual([
      { lineNumber: 2, message: 'no y' },
      { lineNumber: 3, message: 'no y' },
    ]);
    expect(byField.table && pointsOf(byField.table.rows)).toEqual([points[0]]);
    const byTag = rejectColumn(decoded(points), 'rack', 'no rack');
    expect(byTag.rejected.map((row) => row.lineNumber)).toEqual([2]);
    expect([...(byTag.table?.lineNumbers ?? [])]).toEqual([1, 3]);
    expect(rejectColumn(decoded(points), null, 'no table').table).toBeNull();
  });

  it('are those before the retention, to the nanosecond', () => {
    const screened = rejectExpired(decoded(points), 20n);
    expect(screened.rejected.map((row) => row.lineNumber)).toEqual([1]);
    expect(rejectExpired(decoded(points), 10n).rejected).toEqual([]);
    expect(rejectExpired(decoded(points), 31n).table).toBeNull();
  });
});
