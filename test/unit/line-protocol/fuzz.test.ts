import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode, newCaches, type PlainRow, plainRows } from './decode.js';
import { parseReference, type ReferenceRow } from './reference-parser.js';

const seed = Number(process.env['VARVE_SEED'] ?? 20_260_705);
const runs = Number(process.env['VARVE_RUNS'] ?? 2000);

/** Pieces that line protocol is sensitive to; random strings of them come close to well-formed lines. */
const pieces = [
  ...[
    'm',
    'cpu',
    'Cpu',
    ',',
    ',',
    '=',
    '=',
    ' ',
    ' ',
    '  ',
    '\n',
    '\n',
    '\r\n',
    '\r',
    '\t',
    '#',
    '"',
    '"',
    '\\',
  ],
  ...[
    '\\,',
    '\\=',
    '\\ ',
    '\\"',
    '\\\\',
    '1',
    '1i',
    '1u',
    '-1',
    '0.25',
    '1e3',
    '1.',
    '.5',
    't',
    'False',
    'NaN',
  ],
  ...['a=1', 'b="x y,z=1"', 'host=a', ',host=b', ' a=2i', 'time', 'é', '"\n"', '123456789012345678'],
  ...[
    '9223372036854775806',
    '-9223372036854775807',
    '9223372036854775808i',
    '\0',
    'é',
    'long_name_of_a_field=5',
  ],
];
const badUtf8 = Buffer.from([0xff]);

const text = fc
  .array(fc.constantFrom(...pieces), { maxLength: 40 })
  .map((parts) => Buffer.from(parts.join('')));
const bytes = fc
  .array(
    fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(...pieces) },
      { weight: 1, arbitrary: fc.constant(null) },
    ),
    {
      maxLength: 40,
    },
  )
  .map((parts) => Buffer.concat(parts.map((part) => (part === null ? badUtf8 : Buffer.from(part)))));

/** Well-formed lines with the odd fault, so that many rows of one table with gaps and other orders come about. */
const field = fc.tuple(
  fc.constantFrom('a', 'b', 'c', 'd_long', 'A'),
  fc.constantFrom(
    '1',
    '1.5',
    '-7.25',
    '123456789.125',
    '0.1234567890123456',
    '1i',
    '5u',
    't',
    '"s"',
    '"\\"é"',
    '1x',
  ),
);
const line = fc
  .record({
    table: fc.constantFrom('m', 'cpu', 'm\\ x'),
    tags: fc.uniqueArray(fc.constantFrom('host=a', 'host=b', 'zone=1', 'c=x', 'az=é'), { maxLength: 3 }),
    fields: fc.array(field, { minLength: 1, maxLength: 5 }),
    time: fc.constantFrom('', ' 1', ' -1', ' 1700000000000000000', ' 1.5'),
    end: fc.constantFrom('\n', '\n', '\r\n', '\n\n# x\n'),
  })
  .map(({ table, tags, fields, time, end }) =>
    [table, ...tags]
      .join(',')
      .concat(' ', fields.map(([key, value]) => `${key}=${value}`).join(','), time, end),
  );
const lines = fc.array(line, { maxLength: 30 }).map((parts) => Buffer.from(parts.join('')));

describe(`line protocol against the reference parser (seed ${seed}, VARVE_SEED replays)`, () => {
  const caches = newCaches();
  const check = (body: Uint8Array): void => {
    const want = parseReference(body);
    const got = decode(body, { caches, limits: { rejectedDetailsMax: 1000 } });
    expect(plainRows(got)).toEqual(want.rows.map(plainReference));
    expect(got.rejected.map((rejection) => rejection.lineNumber)).toEqual(want.rejectedLines);
    expect(got.lineCount).toBe(want.rows.length + want.rejectedLines.length);
  };

  it('agrees on strings of the pieces that have a meaning', () => {
    fc.assert(fc.property(text, check), { seed, numRuns: runs });
  });

  it('agrees on bytes that are not all UTF-8', () => {
    fc.assert(fc.property(bytes, check), { seed, numRuns: runs });
  });

  it('agrees on requests of mostly well-formed lines', () => {
    fc.assert(fc.property(lines, check), { seed, numRuns: runs });
  });

  it('agrees on arbitrary bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), check), { seed, numRuns: runs });
  });

  it('gives the same wherever the body is cut', () => {
    const cut = fc.tuple(fc.oneof(text, lines), fc.array(fc.nat(), { maxLength: 8 }));
    fc.assert(
      fc.property(cut, ([body, positions]) => {
        const cuts = positions.map((position) => position % (body.length + 1)).sort((a, b) => a - b);
        expect(decode(body, { caches, cuts })).toEqual(decode(body, { caches: newCaches() }));
      }),
      { seed, numRuns: runs },
    );
  });
});

function plainReference(row: ReferenceRow): PlainRow {
  return {
    lineNumber: row.lineNumber,
    table: row.table,
    tags: row.tags,
    fields: Object.fromEntries(
      Object.entries(row.fields).map(([key, { type, value }]) => [
        key,
        type === 'boolean' ? value === 1 : value,
      ]),
    ),
    timeNs: row.time === null ? 42n : BigInt(row.time),
  };
}
