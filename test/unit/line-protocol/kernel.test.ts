import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadLineKernel } from '../../../cli/serve/line-kernel.js';
import type { TableSchema } from '../../../core/model/schema.js';
import { silentLogger } from '../../../core/std/logger.js';
import { LineProtocolDecoder } from '../../../ingest/protocols/line-protocol/decoder.js';
import type { TimePrecision } from '../../../ingest/protocols/line-protocol/precision.js';
import { type DecodeSettings, decode, newCaches } from './decode.js';

const seed = Number(process.env['VARVE_SEED'] ?? 20_261_120);
const runs = Number(process.env['VARVE_RUNS'] ?? 300);
const kernel = loadLineKernel(silentLogger);
const corpusPath = resolve(import.meta.dirname, '../../../../shared/corpus/line-protocol/corpus.json');

/** Numbers at the edges of what the kernel takes, and beyond. */
const value = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -200, max: 100_000 }).map((n) => `${n}i`) },
  { weight: 8, arbitrary: fc.integer({ min: -99_999, max: 99_999 }).map((n) => String(n / 100)) },
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => `${n}i`),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((n) => `${n}u`),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.stringMatching(/^[0-9]{1,12}$/), fc.stringMatching(/^[0-9]{0,8}$/)).map((p) => p.join('.')),
  fc.stringMatching(/^-?[0-9]{14,20}[iu]?$/),
  fc.constantFrom(
    ...['-0', '-0i', '0u', '1.', '.5', '-', '1e5', '+1', '+1i', '-1u', '1x', '1ii', '00001', '000i', ''],
    ...['999999999999999', '9999999999999999', '999999999999999999i', '9223372036854775807i', 't', '"s"'],
  ),
);
const time = fc.oneof(
  { weight: 10, arbitrary: fc.integer({ min: 0, max: 99 }).map((n) => ` 17000000000000000${n + 10}`) },
  fc.bigInt({ min: 0n, max: 2n ** 64n }).map((n) => ` ${n}`),
  fc.stringMatching(/^[0-9]{1,20}$/).map((n) => ` ${n}`),
  fc.constantFrom(
    ...['', ' ', ' -1', '  5', ' 1.5', ' 9223372035999999999', ' 9223372036000000000', ' 0', ' 01'],
    ...[
      ' 4999999999',
      ' 5000000000',
      ' 5000000000000',
      ' 5000000000000000',
      ' 4999999999999999',
      ' 9223372036854775806',
      ' 12345678901234567',
    ],
  ),
);
const tagSets = ['', ',host=a', ',host=b', ',host=c', ',host=b,zone=1', ',zone=1,host=b', ',h\\ x=a\\,b'];
const key = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constantFrom('cpu', 'mem', 'm'), fc.constantFrom(...tagSets)) },
  fc.tuple(fc.constantFrom('cpu', 'disk', 'net', 'a', 'b', 'c', 'd', 'e', 'f', 'g'), fc.constant('')),
);

/** Lines of one shape after the other with the odd other line between them, which is what the kernel is made for. */
const shape = fc.uniqueArray(
  fc.constantFrom(
    'usage_user',
    'usage_system',
    'a',
    'b',
    'a_field_with_a_long_name_of_more_than_32_bytes',
    'c',
  ),
  { minLength: 1, maxLength: 4 },
);
const oddLine = fc.constantFrom(
  ...['', '# comment', 'cpu', ' cpu a=1 1', '\tcpu a=1', 'cpu a="x\ny",b=1 5', 'bad line', 'cpu,host= a=1'],
  ...['cpu a=1,a=2 3', 'cpu new_field=1 7', 'cpu A=1', 'cpu time=1', 'm,host=a a=1i 1\r', 'cpu\\ a=1 5'],
);
const run = fc
  .tuple(
    shape,
    fc.array(fc.tuple(key, fc.array(value, { minLength: 4, maxLength: 4 }), time), { maxLength: 12 }),
  )
  .map(([names, rows]) =>
    rows.map(
      ([[table, tags], values, at]) =>
        `${table}${tags} ${names.map((name, index) => `${name}=${values[index]}`).join(',')}${at}`,
    ),
  );
const steady = fc
  .tuple(shape, fc.constantFrom('i', '', 'u', '.25'), fc.constantFrom('cpu', 'mem'), fc.nat({ max: 400 }))
  .map(([names, suffix, table, count]) =>
    Array.from(
      { length: count },
      (_, row) =>
        `${table},host=h${row % 7} ${names.map((name) => `${name}=${row % 101}${suffix}`).join(',')} ${1_700_000_000_000_000_000n + BigInt(row)}`,
    ),
  );
/**
 * Lines of one table with one odd thing each, between plain ones: the kernel is warm and takes all but what it must
 * leave to the decoder.
 */
const edge = fc
  .tuple(
    fc.array(fc.constantFrom('', 'i', 'u'), { minLength: 1, maxLength: 3 }),
    fc.array(fc.tuple(fc.nat({ max: 2 }), value, time, fc.boolean()), { minLength: 1, maxLength: 12 }),
  )
  .map(([suffixes, oddities]) => {
    const line = (values: readonly string[], at: string): string =>
      `edge ${values.map((text, index) => `f${index}=${text}`).join(',')}${at}`;
    const plain = line(
      suffixes.map((suffix) => `7${suffix}`),
      ' 1700000000000000001',
    );
    return oddities.flatMap(([column, odd, at, isTime]) => {
      const values = suffixes.map((suffix, index) => {
        if (isTime || index !== column % suffixes.length) return `5${suffix}`;
        // Mostly of the column's type: others are refused early.
        return odd.replace(/[iu]$/, '') + suffix;
      });
      return [...Array.from({ length: 5 }, () => plain), line(values, isTime ? at : ' 1700000000000000002')];
    });
  });
const body = fc
  .array(
    fc.oneof(
      { weight: 2, arbitrary: edge },
      run,
      steady,
      oddLine.map((line) => [line]),
    ),
    { maxLength: 8 },
  )
  .chain((parts) =>
    fc.constantFrom('\n', '\n', '\n', '\r\n').map((end) => Buffer.from(parts.flat().join(end))),
  );
const schemas: readonly TableSchema[] = [
  {
    table: 'mem',
    columns: [{ name: 'a', kind: 'field', type: 'bigint', fieldId: 3 }],
    hasTimeNs: false,
  } as unknown as TableSchema,
];

describe(`the line kernel against the decoder without it (seed ${seed}, VARVE_SEED replays)`, () => {
  it('is built and valid on this machine', () => {
    expect(kernel).toBeInstanceOf(WebAssembly.Module);
  });

  const shared = newCaches(64 << 20, kernel);
  const same = (bytes: Uint8Array, settings: DecodeSettings): void => {
    const limits = { rejectedDetailsMax: 1000, ...settings.limits };
    const want = decode(bytes, { ...settings, limits, caches: newCaches() });
    const got = decode(bytes, { ...settings, limits, caches: shared });
    // Of large requests the difference would be unreadable, and finding it slow.
    if (bytes.length > 50_000) expect(isDeepStrictEqual(got, want)).toBe(true);
    else expect(got).toEqual(want);
  };

  it('gives the same rows and rejections, bit for bit', () => {
    const precision = fc.constantFrom<TimePrecision>('ns', 'ns', 'auto', 'us', 'ms', 's', 'm', 'h');
    const cuts = fc.array(fc.nat(), { maxLength: 4 });
    fc.assert(
      fc.property(body, precision, cuts, fc.boolean(), (bytes, unit, at, known) => {
        const positions = at.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
        same(bytes, { precision: unit, cuts: positions, schemas: known ? schemas : [] });
      }),
      { seed, numRuns: runs },
    );
  });

  it('gives the same under limits of columns, tables and line length', () => {
    const limits = fc.record({
      columnsMax: fc.integer({ min: 1, max: 6 }),
      tablesMax: fc.integer({ min: 1, max: 3 }),
      lineBytesMax: fc.integer({ min: 20, max: 120 }),
    });
    fc.assert(
      fc.property(body, limits, (bytes, some) => same(bytes, { limits: some })),
      { seed, numRuns: runs },
    );
  });

  it('reads times at the edges of every precision as the decoder does', () => {
    const edges = ['4999999999', '5000000000', '4999999999999', '5000000000000', '4999999999999999']
      .concat(['5000000000000000', '0000000000000000001', '0123456789012345678', '1', '0', '00'])
      .concat(['9223372035999999999', '9223372036000000000', '9999999999999999999', '153722867', '2562047']);
    for (const precision of ['ns', 'us', 'ms', 's', 'm', 'h', 'auto'] as const) {
      const plain = 'm a=1i 1000000\n'.repeat(6);
      same(Buffer.from(edges.map((edge) => `${plain}m a=1i ${edge}\n`).join('')), { precision });
    }
  });

  it('keeps requests apart that are decoded in turns', () => {
    fc.assert(
      fc.property(fc.array(body, { minLength: 2, maxLength: 4 }), (bodies) => {
        const options = (caches: ReturnType<typeof newCaches>) => ({
          schemaOf: () => undefined,
          precision: 'ns' as const,
          nowNs: 42n,
          caches,
          limits: { columnsMax: 100, tablesMax: 100 },
        });
        const long = bodies.map((bytes) =>
          Buffer.concat([bytes, Buffer.from('\n'), Buffer.alloc(70_000, '\n'), bytes]),
        );
        const decoders = long.map(() => new LineProtocolDecoder(options(shared)));
        for (let at = 0; at < Math.max(...long.map(({ length }) => length)); at += 66_000) {
          long.forEach((bytes, index) => {
            decoders[index]?.push(bytes.subarray(at, at + 66_000));
          });
        }
        decoders.forEach((decoder, index) => {
          expect(decoder.finish()).toEqual(
            decode(long[index] ?? '', { caches: newCaches(), limits: { columnsMax: 100, tablesMax: 100 } }),
          );
        });
      }),
      { seed, numRuns: Math.ceil(runs / 5) },
    );
  });

  it('takes more series than its memory began with, in any order', () => {
    const lines: string[] = [];
    for (let round = 0; round < 2; round++) {
      for (let series = 0; series < 40_000; series++) {
        const number = (series * (round === 0 ? 1 : 7919)) % 40_000;
        lines.push(
          `meters,meter=m${number},site=a_rather_long_name_${number % 100} load=${series % 9}i,t=${series / 100} ${series + 1}`,
        );
      }
    }
    same(Buffer.from(lines.join('\n')), {});
  });

  it('takes rows of more tables than it has slots', () => {
    const lines = Array.from(
      { length: 3000 },
      (_, row) => `t${Math.floor(row / 10) % 13} a=${row}i,b=${row / 4} ${row + 1}`,
    );
    same(Buffer.from(lines.join('\n')), {});
  });

  it('takes tables of more columns than a template has', () => {
    const fields = Array.from({ length: 70 }, (_, index) => `f${index}=1`);
    const lines = Array.from(
      { length: 40 },
      (_, row) => `wide ${fields.slice(0, 60 + (row % 11)).join(',')} ${row + 1}`,
    );
    same(Buffer.from(lines.join('\n')), {});
  });

  it.runIf(existsSync(corpusPath))('gives the same on the corpus of line protocol', () => {
    const { decode: cases } = JSON.parse(readFileSync(corpusPath, 'utf8')) as {
      decode: Record<string, { input: { text: string | { binary: string } } }>;
    };
    const bodies = Object.values(cases).map(({ input: { text } }) =>
      typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.binary, 'base64'),
    );
    expect(bodies.length).toBeGreaterThan(1000);
    // Twice in a row: the second time the series are known.
    for (const bytes of bodies)
      same(Buffer.concat([bytes, Buffer.from('\n'), bytes, Buffer.from('\n'), bytes]), {});
  });
});
