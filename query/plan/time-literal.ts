const pattern =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/;

/** A timestamp literal: its instant, and whether it has an offset that is not zero. */
export interface TimeLiteral {
  readonly timeNs: bigint;
  readonly hasOffset: boolean;
}

/**
 * Reads a timestamp of the forms that leave no doubt: `2016-01-01`, `2016-01-01 00:00`, `2016-01-01T00:00:00.5Z`,
 * `2016-01-01T02:00:00+02:00`. Undefined for anything else: the engine may still read it.
 */
export function readTimeLiteral(text: string): TimeLiteral | undefined {
  const match = pattern.exec(text.trim());
  if (match === null) return undefined;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] = match;
  const millis = Date.UTC(+year!, +month! - 1, +day!, +hour, +minute, +second);
  const date = new Date(millis);
  // Date.UTC carries over what is out of range: February 30 would become March 1, hour 25 the next day.
  if (date.getUTCDate() !== +day! || date.getUTCMonth() !== +month! - 1 || date.getUTCHours() !== +hour) {
    return undefined;
  }
  if (+minute > 59 || +second > 59 || +year! < 100) return undefined;
  const offsetMinutes = zoneMinutes(zone);
  const timeNs =
    BigInt(millis - offsetMinutes * 60_000) * 1_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9));
  return { timeNs, hasOffset: offsetMinutes !== 0 };
}

function zoneMinutes(zone: string): number {
  if (zone === 'Z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3).replace(':', '') || 0);
  return zone.startsWith('-') ? -minutes : minutes;
}
