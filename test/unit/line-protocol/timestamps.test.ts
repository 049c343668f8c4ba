import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parsePrecision,
  type TimePrecision,
  type WriteApi,
} from '../../../ingest/protocols/line-protocol/precision.js';
import { timeNsMax, timeNsMin } from '../../../ingest/protocols/line-protocol/timestamp.js';
import { decode } from './decode.js';

const seed = Number(process.env['VARVE_SEED'] ?? 7);

/** The time of a line with the timestamp, or undefined when it is rejected. */
function timeOf(timestamp: string | bigint, precision: TimePrecision): bigint | undefined {
  return decode(`m f=1 ${timestamp}`, { precision }).tables[0]?.rows.timesNs[0];
}

const nsPerUnit = {
  ns: 1n,
  us: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
} as const;

describe(`timestamps (seed ${seed})`, () => {
  it.each(Object.entries(nsPerUnit))(
    'in %s are exact over the whole range, and refused beyond',
    (name, unit) => {
      const precision = name as keyof typeof nsPerUnit;
      const outermost = timeNsMax / unit;
      const count = fc.oneof(
        fc.bigInt({ min: -outermost - 10n, max: outermost + 10n }),
        fc.bigInt({ min: -10_000_000_000_000n, max: 10_000_000_000_000n }),
      );
      fc.assert(
        fc.property(count, (value) => {
          const timeNs = value * unit;
          expect(timeOf(value, precision)).toBe(
            timeNs >= timeNsMin && timeNs <= timeNsMax ? timeNs : undefined,
          );
        }),
        { seed, numRuns: 2000 },
      );
    },
  );

  it.each<[string, bigint | undefined]>([
    ['0', 0n],
    ['4999999999', 4_999_999_999_000_000_000n],
    ['5000000000', 5_000_000_000_000_000n],
    ['4999999999999', 4_999_999_999_999_000_000n],
    ['5000000000000', 5_000_000_000_000_000n],
    ['4999999999999999', 4_999_999_999_999_999_000n],
    ['5000000000000000', 5_000_000_000_000_000n],
    ['1700000000123456789', 1_700_000_000_123_456_789n],
    ['-1700000000', -1_700_000_000_000_000_000n],
    ['-1700000000123456789', -1_700_000_000_123_456_789n],
    ['9223372036854775806', timeNsMax],
    ['9223372036854775807', undefined],
    ['-9223372036854775806', timeNsMin],
    ['00000000000000000000001', 1_000_000_000n],
    ['99999999999999999999', undefined],
    ['-', undefined],
    ['+1', undefined],
  ])('of auto precision: %s', (timestamp, want) => {
    expect(timeOf(timestamp, 'auto')).toBe(want);
  });

  it('are the server time where a line has none, whatever the precision', () => {
    for (const nowNs of [1_700_000_000_123_456_789n, -5n]) {
      expect(decode('m f=1', { precision: 's', nowNs }).tables[0]?.rows.timesNs[0]).toBe(nowNs);
    }
  });
});

describe('names of precisions', () => {
  it.each<[WriteApi, string | undefined, TimePrecision]>([
    ['v1', undefined, 'ns'],
    ['v1', '', 'ns'],
    ['v1', 'n', 'ns'],
    ['v1', 'u', 'us'],
    ['v1', 'µ', 'us'],
    ['v1', 'h', 'h'],
    ['v2', undefined, 'ns'],
    ['v2', 'us', 'us'],
    ['v3', undefined, 'auto'],
    ['v3', 'millisecond', 'ms'],
    ['v3', 's', 's'],
  ])('%s %s', (api, text, want) => {
    expect(parsePrecision(api, text)).toBe(want);
  });

  it.each<[WriteApi, string]>([
    ['v1', 'auto'],
    ['v2', 'h'],
    ['v3', 'm'],
    ['v1', 'toString'],
  ])('%s has no %s', (api, text) => {
    expect(() => parsePrecision(api, text)).toThrow(`got precision "${text}"; want one of`);
  });
});
