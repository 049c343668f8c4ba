import { VarveError } from '../../../core/std/errors.js';

/** Unit of the timestamps of a request. `auto` tells each one by its magnitude, as InfluxDB 3 does. */
export type TimePrecision = 'auto' | 'ns' | 'us' | 'ms' | 's' | 'm' | 'h';

/** The three write endpoints; each has its own names for precisions. */
export type WriteApi = 'v1' | 'v2' | 'v3';

const precisionNames: Readonly<Record<WriteApi, Readonly<Record<string, TimePrecision>>>> = {
  v1: { ns: 'ns', n: 'ns', us: 'us', u: 'us', µ: 'us', ms: 'ms', s: 's', m: 'm', h: 'h' },
  v2: { ns: 'ns', us: 'us', ms: 'ms', s: 's' },
  v3: {
    auto: 'auto',
    nanosecond: 'ns',
    microsecond: 'us',
    millisecond: 'ms',
    second: 's',
    ns: 'ns',
    us: 'us',
    ms: 'ms',
    s: 's',
  },
};

const defaultPrecision: Readonly<Record<WriteApi, TimePrecision>> = { v1: 'ns', v2: 'ns', v3: 'auto' };

/** The precision a request asks for; absent or empty gives the API's default. `invalid` for any other name. */
export function parsePrecision(api: WriteApi, text: string | undefined): TimePrecision {
  if (text === undefined || text === '') return defaultPrecision[api];
  const names = precisionNames[api];
  const precision = Object.hasOwn(names, text) ? names[text] : undefined;
  if (precision === undefined) {
    throw new VarveError('invalid', `got precision "${text}"; want one of ${Object.keys(names).join(', ')}`);
  }
  return precision;
}
