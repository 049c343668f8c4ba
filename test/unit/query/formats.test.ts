import { tableFromIPC } from 'apache-arrow';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ResultFormat } from '../../../query/engine/query-engine.js';
import { ArrowEncoder } from '../../../query/formats/arrow-encoder.js';
import type { QueryService } from '../../../query/query-service.js';
import { asked, bodyOf, Warehouse } from './warehouse.js';

const warehouse = new Warehouse();
let service: QueryService;
beforeAll(async () => {
  service = await warehouse.open();
});
afterAll(() => warehouse.close());

const text = async (sql: string, format: ResultFormat): Promise<string> =>
  Buffer.from(await bodyOf(service, asked(sql, { format }))).toString('utf8');

/** A value of every type, what JSON and CSV say of it, and what Arrow and Parquet readers give back. */
interface TypeCase {
  readonly sql: string;
  readonly json: string;
  readonly csv: string;
  readonly arrow: unknown;
  readonly parquet: unknown;
}

const cases: readonly TypeCase[] = [
  { sql: 'true', json: 'true', csv: 'true', arrow: true, parquet: true },
  { sql: '(-128)::tinyint', json: '-128', csv: '-128', arrow: -128, parquet: -128 },
  { sql: '32767::smallint', json: '32767', csv: '32767', arrow: 32767, parquet: 32767 },
  { sql: '65535::usmallint', json: '65535', csv: '65535', arrow: 65535, parquet: 65535 },
  {
    sql: '(-2147483648)::integer',
    json: '-2147483648',
    csv: '-2147483648',
    arrow: -2147483648,
    parquet: -2147483648,
  },
  {
    sql: '4294967295::uinteger',
    json: '4294967295',
    csv: '4294967295',
    arrow: 4294967295n,
    parquet: 4294967295n,
  },
  ...[
    9223372036854775807n,
    -9223372036854775808n,
    4503599627370497n,
    -4503599627370497n,
    4294967296n,
    -1n,
    0n,
  ].map((value) => ({
    sql: `(${value})::bigint`,
    json: `${value}`,
    csv: `${value}`,
    arrow: value,
    parquet: value,
  })),
  {
    sql: '18446744073709551615::ubigint',
    json: '18446744073709551615',
    csv: '18446744073709551615',
    arrow: 18446744073709551615n,
    parquet: 18446744073709551615n,
  },
  {
    sql: '(-170141183460469231731687303715884105727)::hugeint',
    json: '-170141183460469231731687303715884105727',
    csv: '-170141183460469231731687303715884105727',
    arrow: undefined,
    parquet: '-170141183460469231731687303715884105727',
  },
  { sql: '0.1::double', json: '0.1', csv: '0.1', arrow: 0.1, parquet: 0.1 },
  { sql: '3::double', json: '3.0', csv: '3.0', arrow: 3, parquet: 3 },
  { sql: `'-0.0'::double`, json: '-0.0', csv: '-0.0', arrow: -0, parquet: -0 },
  { sql: '1e300::double', json: '1e+300', csv: '1e+300', arrow: 1e300, parquet: 1e300 },
  { sql: `'nan'::double`, json: 'null', csv: 'NaN', arrow: Number.NaN, parquet: Number.NaN },
  { sql: `'-inf'::double`, json: 'null', csv: '-Infinity', arrow: -Infinity, parquet: -Infinity },
  { sql: '12.30::decimal(10, 2)', json: '12.30', csv: '12.30', arrow: undefined, parquet: '12.30' },
  { sql: '(-0.05)::decimal(10, 2)', json: '-0.05', csv: '-0.05', arrow: undefined, parquet: '-0.05' },
  { sql: `'tag'`, json: '"tag"', csv: 'tag', arrow: 'tag', parquet: 'tag' },
  { sql: `''`, json: '""', csv: '""', arrow: '', parquet: '' },
  {
    sql: `'a "quoted", ' || chr(10) || 'long √ text'`,
    json: '"a \\"quoted\\", \\nlong √ text"',
    csv: '"a ""quoted"", \nlong √ text"',
    arrow: 'a "quoted", \nlong √ text',
    parquet: 'a "quoted", \nlong √ text',
  },
  {
    sql: `date '2016-02-29'`,
    json: '"2016-02-29"',
    csv: '2016-02-29',
    arrow: Date.UTC(2016, 1, 29),
    parquet: new Date('2016-02-29'),
  },
  ...[
    ['2016-01-01 00:00:00', ''],
    ['2016-01-01 00:00:00.5', '.500'],
    ['1969-12-31 23:59:59.000001', '.000001'],
    ['0001-01-01 00:00:00', ''],
  ].map(([time = '', fraction = '']) => {
    const rfc = `${time.slice(0, 19).replace(' ', 'T')}${fraction}Z`;
    const sql = `timestamp '${time}'`;
    return { sql, json: `"${rfc}"`, csv: rfc, arrow: undefined, parquet: undefined };
  }),
  {
    sql: `timestamp_ns '1969-12-31 23:59:59.999999999'`,
    json: '"1969-12-31T23:59:59.999999999Z"',
    csv: '1969-12-31T23:59:59.999999999Z',
    arrow: undefined,
    parquet: undefined,
  },
  {
    sql: `timestamptz '2016-01-01 02:00:00+02'`,
    json: '"2016-01-01T00:00:00Z"',
    csv: '2016-01-01T00:00:00Z',
    arrow: Date.UTC(2016, 0, 1),
    parquet: new Date('2016-01-01'),
  },
  {
    sql: `timestamp_s '2016-01-01 00:00:01'`,
    json: '"2016-01-01T00:00:01Z"',
    csv: '2016-01-01T00:00:01Z',
    arrow: Date.UTC(2016, 0, 1, 0, 0, 1),
    parquet: new Date('2016-01-01T00:00:01Z'),
  },
  ...[
    ['[1, null, 3]', '[1,null,3]', '"[1,null,3]"'],
    [
      `{'a': 9007199254740993, 'b': [timestamp '2016-01-01']}`,
      '{"a":9007199254740993,"b":["2016-01-01T00:00:00Z"]}',
      undefined,
    ],
    [`map {'k': 1.50}`, '{"k":1.50}', undefined],
    ['map {1: 2}', '[[1,2]]', '"[[1,2]]"'],
    [`'\\x00\\xFF'::blob`, '"AP8="', undefined],
    [`interval '1 day 2 hours'`, '"1 day 02:00:00"', undefined],
    [`'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid`, '"6ba7b810-9dad-11d1-80b4-00c04fd430c8"', undefined],
    [`time '01:02:03'`, '"01:02:03"', undefined],
  ].map(([sql = '', json = '', csv]) => ({
    sql,
    json,
    csv: csv ?? (json.includes('"') || json.includes(',') ? `"${json.replaceAll('"', '""')}"` : json),
    arrow: json,
    parquet: json,
  })),
];

describe('every type, with and without a null', () => {
  test.each(cases)('$sql', async ({ sql, json, csv, arrow, parquet }) => {
    const query = `select * from (values (1, ${sql}), (2, null), (3, ${sql})) t(n, v) order by n`;
    const rows = [`{"n":1,"v":${json}}`, '{"n":2,"v":null}', `{"n":3,"v":${json}}`];
    expect(await text(query, 'json')).toBe(`[${rows.join(',\n')}]`);
    expect(await text(query, 'jsonl')).toBe(`${rows.join('\n')}\n`);
    expect(await text(query, 'csv')).toBe(`n,v\n1,${csv}\n2,\n3,${csv}\n`);
    for (const row of rows) JSON.parse(row);

    const table = tableFromIPC(await bodyOf(service, asked(query, { format: 'arrow' })));
    const column = table.getChild('v');
    expect([column?.get(0), column?.get(1), column?.get(2)][1]).toBeNull();
    if (arrow !== undefined) expect([column?.get(0), column?.get(2)]).toEqual([arrow, arrow]);

    const bytes = await bodyOf(service, asked(query, { format: 'parquet' }));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    const read = await parquetReadObjects({ file, compressors });
    expect(read[1]?.['v'] ?? null).toBeNull();
    if (parquet !== undefined) expect([read[0]?.['v'], read[2]?.['v']]).toEqual([parquet, parquet]);
  });
});

test('Arrow and Parquet carry every digit of fixed-point numbers and times', async () => {
  const query = `select 12.34::decimal(20, 2) d, (-1)::hugeint h, timestamp '1969-12-31 23:59:59.000001' us,
    timestamp_ns '1969-12-31 23:59:59.999999999' ns`;
  const table = tableFromIPC(await bodyOf(service, asked(query, { format: 'arrow' })));
  const raw = (name: string) => table.getChild(name)?.data[0]?.values as ArrayLike<number | bigint>;
  expect(Array.from(raw('d'))).toEqual([1234, 0, 0, 0]);
  expect(Array.from(raw('h'))).toEqual([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff]);
  expect(raw('us')[0]).toBe(-999999n);
  expect(raw('ns')[0]).toBe(-1n);
  expect(table.schema.fields.map((field) => String(field.type))).toEqual([
    'Decimal[20e+2]',
    'Decimal[38e0]',
    'Timestamp<MICROSECOND, UTC>',
    'Timestamp<NANOSECOND, UTC>',
  ]);
});

test.each([
  ['json', '[]'],
  ['jsonl', ''],
  ['csv', 'a\n'],
  ['pretty', '+---+\n| a |\n+---+\n+---+\n'],
] as const)('an empty answer as %s', async (format, wanted) => {
  expect(await text('select 1 a where false', format)).toBe(wanted);
});

test('an empty answer as Arrow and Parquet has its columns', async () => {
  const query = 'select 1 a, 2.5::double b where false';
  const table = tableFromIPC(await bodyOf(service, asked(query, { format: 'arrow' })));
  expect([table.numRows, table.schema.names]).toEqual([0, ['a', 'b']]);
  const bytes = await bodyOf(service, asked(query, { format: 'parquet' }));
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
  expect(await parquetReadObjects({ file, compressors })).toEqual([]);
});

test('a table for people', async () => {
  expect(
    await text(`select * from (values ('a', 1.5::double), ('long' || chr(10), null)) t(name, v)`, 'pretty'),
  ).toBe(
    [
      '+--------+-----+',
      '| name   | v   |',
      '+--------+-----+',
      '| a      | 1.5 |',
      '| long\\n |     |',
      '+--------+-----+',
      '',
    ].join('\n'),
  );
});

describe('long answers come in pieces that join without a seam', () => {
  const count = 200_000;
  const query = `select range n, 'host_' || (range // 5000) h, if(range % 7 = 0, null, range / 3) v from range(${count}) order by n`;
  const value = (n: number): number | null => (n % 7 === 0 ? null : n / 3);

  test.each(['json', 'jsonl', 'csv', 'arrow', 'parquet'] as const)('%s', async (format) => {
    const answer = await service.query(asked(query, { format }));
    if (answer.kind !== 'answer') throw new Error('want an answer');
    const pieces: Uint8Array[] = [];
    for await (const piece of answer.body) pieces.push(piece);
    if (format !== 'parquet') expect(pieces.length).toBeGreaterThan(2);
    const rows = await readRows(format, Buffer.concat(pieces));
    expect(rows.length).toBe(count);
    for (const n of [0, 1, 2047, 2048, 65_535, 65_536, 131_072, count - 1]) {
      expect(rows[n]).toEqual({ n, h: `host_${Math.floor(n / 5000)}`, v: value(n) });
    }
  });
});

async function readRows(format: ResultFormat, bytes: Buffer): Promise<Record<string, unknown>[]> {
  const numbers = (row: Record<string, unknown>) => ({ ...row, n: Number(row['n']) });
  switch (format) {
    case 'json':
      return JSON.parse(bytes.toString('utf8')) as Record<string, unknown>[];
    case 'jsonl':
      return bytes
        .toString('utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    case 'csv': {
      const [, ...lines] = bytes.toString('utf8').trimEnd().split('\n');
      return lines.map((line) => {
        const [n, h, v] = line.split(',');
        return { n: Number(n), h, v: v === '' ? null : Number(v) };
      });
    }
    case 'arrow': {
      const table = tableFromIPC(bytes);
      return Array.from(table, (row) => numbers(row.toJSON() as Record<string, unknown>));
    }
    default: {
      const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
      const rows = await parquetReadObjects({ file, compressors });
      return rows.map((row) => ({ ...numbers(row), v: row['v'] ?? null }));
    }
  }
}

test('every text arrives whole in arrow, however its runs and lengths make the buffer grow', () => {
  // Lengths that grow by another step each make the buffer run out of room at every place of a run.
  for (const run of [1, 2, 3, 7, 40, 300]) {
    for (let step = 1; step <= 12; step++) {
      const rowCount = 900;
      const values = Int32Array.from({ length: rowCount }, (_, row) => Math.floor(row / run));
      const distinct = Array.from({ length: Math.ceil(rowCount / run) }, (_, number) =>
        `${number}é`.repeat(1 + ((number * step) % 61)),
      );
      const encoder = new ArrowEncoder([{ name: 's', kind: { kind: 'text' } }]);
      const column = { kind: 'text', validity: null, values, distinct } as const;
      const pieces = [...encoder.encode({ rowCount, columns: [column] }), ...encoder.finish()];
      const texts = [...(tableFromIPC(Buffer.concat(pieces)).getChild('s') ?? [])];
      expect(texts).toEqual(Array.from(values, (value) => distinct[value]));
    }
  }
});
