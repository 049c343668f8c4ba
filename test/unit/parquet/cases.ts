import { fieldSpec, type PlainColumn, type PlainValue, tagSpec, timeSpec } from './plain-columns.js';

/** A file's worth of columns that once broke an encoder, or could. */
export interface FileCase {
  readonly name: string;
  readonly columns: readonly PlainColumn[];
  readonly rowGroupRows?: number;
  readonly pageRowsMax?: number;
}

const i64Min = -(2n ** 63n);
const i64Max = 2n ** 63n - 1n;
const u64Max = 2n ** 64n - 1n;

/** A generator of 32-bit numbers with a fixed seed, so that cases are the same in every run. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

function rows<Value>(count: number, value: (row: number) => Value): Value[] {
  return Array.from({ length: count }, (_, row) => value(row));
}

const random = randomNumbers(20_160_101);
const random64 = (): bigint => (BigInt(random()) << 32n) | BigInt(random());

/** One value of every type a row, at a given row. */
function everyType(count: number, isNull: (row: number) => boolean): PlainColumn[] {
  const unless = (value: (row: number) => PlainValue) => (row: number) => (isNull(row) ? null : value(row));
  return [
    { spec: timeSpec(), values: rows(count, (row) => 1_451_606_400_000_000n + BigInt(row) * 10_000_000n) },
    {
      spec: { kind: 'time-ns', name: 'time_ns', fieldId: 2 },
      values: rows(count, (row) => (row * 7) % 1000),
    },
    {
      spec: tagSpec(),
      values: rows(
        count,
        unless((row) => `host_${row >> 4}`),
      ),
    },
    {
      spec: fieldSpec('double', 'd', 4),
      values: rows(
        count,
        unless((row) => row / 4),
      ),
    },
    {
      spec: fieldSpec('bigint', 'i', 5),
      values: rows(
        count,
        unless((row) => BigInt(row * row)),
      ),
    },
    {
      spec: fieldSpec('ubigint', 'u', 6),
      values: rows(
        count,
        unless((row) => u64Max - BigInt(row)),
      ),
    },
    {
      spec: fieldSpec('boolean', 'b', 7),
      values: rows(
        count,
        unless((row) => row % 3 === 0),
      ),
    },
    {
      spec: fieldSpec('string', 's', 8),
      values: rows(
        count,
        unless((row) => `text ${row % 40}`),
      ),
    },
  ];
}

/** A column of each type over the same nulls would hide one behind the other; this makes a file of one column. */
function alone(column: PlainColumn): readonly PlainColumn[] {
  return [{ spec: timeSpec(), values: column.values.map((_, row) => BigInt(row)) }, column];
}

export const fileCases: readonly FileCase[] = [
  { name: 'one row of every type', columns: everyType(1, () => false) },
  { name: 'one row of nulls', columns: everyType(1, () => true) },
  { name: 'all null', columns: everyType(3000, () => true), pageRowsMax: 1000 },
  { name: 'no nulls', columns: everyType(5000, () => false), pageRowsMax: 1024 },
  { name: 'every other row null', columns: everyType(2000, (row) => row % 2 === 0) },
  { name: 'nulls first', columns: everyType(2000, (row) => row < 1500), pageRowsMax: 500 },
  { name: 'nulls last', columns: everyType(2000, (row) => row >= 500), pageRowsMax: 500 },
  { name: 'one null in many', columns: everyType(2000, (row) => row === 999) },
  { name: 'one value in many nulls', columns: everyType(2000, (row) => row !== 999) },
  { name: 'nulls in runs', columns: everyType(4000, (row) => (row >> 5) % 3 === 0), pageRowsMax: 333 },
  { name: 'many row groups', columns: everyType(1000, (row) => row % 7 === 0), rowGroupRows: 13 },
  {
    name: 'a row group without nulls beside one of nulls',
    columns: everyType(64, (row) => row < 32),
    rowGroupRows: 32,
  },
  {
    name: 'NaN, infinities and both zeros',
    columns: alone({
      spec: fieldSpec('double'),
      values: rows(500, (row) => [Number.NaN, Infinity, -Infinity, -0, 0, 5e-324, -1.7e308, null][row % 8]!),
    }),
  },
  {
    name: 'only NaN',
    columns: alone({ spec: fieldSpec('double'), values: rows(10, () => Number.NaN) }),
  },
  {
    name: 'doubles that never come back',
    columns: alone({ spec: fieldSpec('double'), values: rows(20_000, () => random() / (random() + 1)) }),
  },
  {
    name: 'doubles of two decimals',
    columns: alone({
      spec: fieldSpec('double'),
      values: rows(20_000, () => Math.round(random() / 4e5) / 100),
    }),
  },
  {
    name: 'extreme integers in turn',
    columns: alone({ spec: fieldSpec('bigint'), values: rows(1000, (row) => (row % 2 ? i64Max : i64Min)) }),
  },
  {
    name: 'extreme integers among many others',
    columns: alone({
      spec: fieldSpec('bigint'),
      values: rows(
        5000,
        (row) => [i64Min, i64Max, BigInt(row), -BigInt(row), BigInt.asIntN(64, random64())][row % 5]!,
      ),
    }),
  },
  {
    name: 'integers of every width of delta',
    columns: alone({
      spec: fieldSpec('bigint'),
      values: rows(128 * 65, (row) => BigInt.asIntN(64, random64() >> BigInt(64 - Math.floor(row / 128)))),
    }),
  },
  {
    name: 'few integers, far apart',
    columns: alone({
      spec: fieldSpec('bigint'),
      values: rows(9000, () => [200n, 404n, 503n, 10n ** 15n][random() % 4]!),
    }),
  },
  {
    name: 'unsigned extremes',
    columns: alone({
      spec: fieldSpec('ubigint'),
      values: rows(300, (row) => [0n, u64Max, 2n ** 63n, 2n ** 63n - 1n, 1n, 255n, 256n][row % 7]!),
    }),
  },
  {
    name: 'unsigned that never come back',
    columns: alone({ spec: fieldSpec('ubigint'), values: rows(10_000, random64) }),
  },
  {
    name: 'times before the epoch and at the ends of 64-bit nanoseconds',
    columns: [
      {
        spec: timeSpec(),
        values: [-9_223_372_036_854_776n, -1n, 0n, 1n, 9_223_372_036_854_775n, -9_223_372_036_854_776n],
      },
      { spec: fieldSpec('bigint'), values: [0n, 1n, 2n, 3n, 4n, 5n] },
    ],
  },
  {
    name: 'empty strings',
    columns: alone({ spec: fieldSpec('string'), values: rows(100, (row) => ['', null, 'a', ''][row % 4]!) }),
  },
  { name: 'only empty strings', columns: alone({ spec: fieldSpec('string'), values: rows(10, () => '') }) },
  {
    name: 'strings of all planes',
    columns: alone({
      spec: fieldSpec('string', 'Größe "µ" 温度'),
      values: [
        '\u0000',
        'ASCII',
        'é',
        '温度',
        '🙂',
        '\u{10ffff}',
        '\ud7ff',
        '\ue000',
        'e\u0301',
        ' \n\t"\\',
        null,
      ],
    }),
  },
  {
    name: '70,000 distinct strings',
    columns: alone({ spec: fieldSpec('string'), values: rows(70_000, (row) => `v${(row * 7919) % 70_000}`) }),
  },
  {
    name: '70,000 distinct strings, each twice',
    columns: alone({ spec: fieldSpec('string'), values: rows(140_000, (row) => `v${row % 70_000}`) }),
  },
  {
    name: '70,000 distinct tags',
    columns: alone({ spec: tagSpec(), values: rows(70_000, (row) => `container-${row}`) }),
  },
  {
    name: 'tags too many for a dictionary, some absent, some back',
    columns: alone({
      spec: tagSpec(),
      values: rows(40_000, (row) => (row % 100 === 3 ? null : `${'long '.repeat(8)}${row % 35_000}`)),
    }),
  },
  {
    name: 'a string larger than a page',
    columns: alone({
      spec: fieldSpec('string'),
      values: ['x'.repeat(3_000_000), 'y', null, 'z'.repeat(1_100_000)],
    }),
  },
  {
    name: '70,000 distinct doubles, each twice',
    columns: alone({ spec: fieldSpec('double'), values: rows(140_000, (row) => (row % 70_000) * 1.1) }),
  },
  {
    name: 'values in long runs',
    columns: alone({ spec: fieldSpec('double'), values: rows(30_000, (row) => Math.floor(row / 1000)) }),
  },
  {
    name: 'runs whose ends fall beside groups of eight',
    columns: alone({
      spec: tagSpec(),
      values: rows(1000, (row) => (row % 29 < 3 + (row % 23) ? 'run' : `lone ${row % 11}`)),
    }),
  },
];
