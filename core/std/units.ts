import { VarveError } from './errors.js';

const durationUnitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

/** Parses `500ms`, `10s`, `5m`, `1h`, `7d`, `2w` and sums such as `1h30m` to milliseconds. */
export function parseDurationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g)];
  const matched = parts.map((part) => part[0]).join('');
  if (parts.length === 0 || matched !== text) {
    throw new VarveError(
      'invalid',
      `got duration "${text}"; want a number and a unit, such as 500ms, 10s, 5m, 1h, 7d`,
    );
  }
  return parts.reduce((sum, part) => sum + Number(part[1]) * (durationUnitsMs[part[2] ?? ''] ?? 0), 0);
}

/** Writes milliseconds the way parseDurationMs reads them, in the largest units that fit exactly. */
export function formatDurationMs(durationMs: number): string {
  if (durationMs === 0) return '0s';
  let rest = durationMs;
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms']) {
    const unitMs = durationUnitsMs[unit] ?? 1;
    const count = Math.floor(rest / unitMs);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * unitMs;
  }
  return text;
}

/** Parses `1048576`, `64MiB`, `2GiB`, `10MB` to bytes. */
export function parseSizeBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text);
  const unit = match === null ? undefined : sizeUnits[match[2] ?? ''];
  if (match === null || unit === undefined) {
    throw new VarveError(
      'invalid',
      `got size "${text}"; want a number and a unit, such as 64MiB, 2GiB, 512KiB`,
    );
  }
  return Math.round(Number(match[1]) * unit);
}

/** Writes bytes with a binary unit and at most one decimal, for people. */
export function formatSizeBytes(bytes: number): string {
  let value = bytes;
  let unit = 'B';
  for (const next of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
}
