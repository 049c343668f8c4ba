import { isValid, type ResultColumn } from './result-chunk.js';

/**
 * Cells of a column as text: a hot path, so one loop a type, no objects a cell and no BigInt where 53 bits suffice.
 * Relies on a little-endian platform, as all of Varve does.
 */
export type CellStyle = 'json' | 'plain';

/** The text of every cell. Nulls are `null` in JSON and empty in plain text; NaN and infinities are null in JSON. */
export function cellTexts(column: ResultColumn, rowCount: number, style: CellStyle): string[] {
  const texts = validTexts(column, rowCount, style);
  if (column.validity === null) return texts;
  const absent = style === 'json' ? 'null' : '';
  for (let row = 0; row < rowCount; row++) if (!isValid(column.validity, row)) texts[row] = absent;
  return texts;
}

function validTexts(column: ResultColumn, rowCount: number, style: CellStyle): string[] {
  switch (column.kind) {
    case 'boolean':
      return booleanTexts(column.values, rowCount);
    case 'int32':
      return integerTexts(column.values, rowCount);
    case 'int64':
      return int64Texts(column.values, rowCount);
    case 'uint64':
      return uint64Texts(column.values, rowCount);
    case 'float64':
      return style === 'json'
        ? jsonNumberTexts(column.values, rowCount)
        : plainNumberTexts(column.values, rowCount);
    case 'decimal':
      return decimalTexts(column.values, column.scale, rowCount);
    case 'text':
      return textsAt(
        style === 'json' ? column.distinct.map((text) => JSON.stringify(text)) : column.distinct,
        column.values,
        rowCount,
      );
    case 'json':
      return column.values.slice(0, rowCount);
    case 'date':
      return dateTexts(column.values, rowCount, style);
    case 'timestamp':
      return timestampTexts(column.values, column.unit, rowCount, style);
  }
}

function booleanTexts(values: Uint8Array, rowCount: number): string[] {
  const texts = new Array<string>(rowCount);
  for (let row = 0; row < rowCount; row++) texts[row] = values[row] === 0 ? 'false' : 'true';
  return texts;
}

function integerTexts(values: Int32Array, rowCount: number): string[] {
  const texts = new Array<string>(rowCount);
  for (let row = 0; row < rowCount; row++) texts[row] = String(values[row]);
  return texts;
}

function int64Texts(values: BigInt64Array, rowCount: number): string[] {
  const lanes = new Int32Array(values.buffer, values.byteOffset, rowCount * 2);
  const texts = new Array<string>(rowCount);
  for (let row = 0; row < rowCount; row++) {
    const high = lanes[row * 2 + 1] ?? 0;
    // Within ±2^52 a double holds the value exactly.
    texts[row] =
      high >= -0x100000 && high < 0x100000
        ? String(high * 4294967296 + ((lanes[row * 2] ?? 0) >>> 0))
        : String(values[row]);
  }
  return texts;
}

function uint64Texts(values: BigUint64Array, rowCount: number): string[] {
  const texts = new Array<string>(rowCount);
  for (let row = 0; row < rowCount; row++) texts[row] = String(values[row]);
  return texts;
}

function jsonNumberTexts(values: Float64Array, rowCount: number): string[] {
  const texts = new Array<string>(rowCount);
  for (let row = 0; row < rowCount; row++) {
    const value = values[row] ?? 0;
    texts[row] = Number.isFinite(value) ? numberText(value) : 'null';
  }
  return texts;
}

function plainNumberTexts(values: Float64Array, rowCount: number): string[] {
  const texts = new Array<string>(rowCount);
  for (let row = 0; row < rowCount; row++) texts[row] = numberText(values[row] ?? 0);
  return texts;
}

/** A double in the shortest text that reads back the same; a whole number keeps a `.0`, so that it stays a double. */
function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) {
    return Object.is(value, -0) ? '-0.0' : `${value}.0`;
  }
  return String(value);
}

/** Exact text of an unscaled value: 1234 with scale 2 is `12.34`. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale === 0) return String(unscaled);
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const at = digits.length - scale;
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, at)}.${digits.slice(at)}`;
}

function decimalTexts(values: readonly bigint[], scale: number, rowCount: number): string[] {
  const texts = new Array<string>(rowCount);
  for (let row = 0; row < rowCount; row++) texts[row] = decimalText(values[row] ?? 0n, scale);
  return texts;
}

function textsAt(distinct: readonly string[], values: Int32Array, rowCount: number): string[] {
  const texts = new Array<string>(rowCount);
  for (let row = 0; row < rowCount; row++) texts[row] = distinct[values[row] ?? 0] ?? '';
  return texts;
}

const dateInfinity = 2147483647;

function dateTexts(values: Int32Array, rowCount: number, style: CellStyle): string[] {
  const quote = style === 'json' ? '"' : '';
  const texts = new Array<string>(rowCount);
  for (let row = 0; row < rowCount; row++) texts[row] = `${quote}${dateText(values[row] ?? 0)}${quote}`;
  return texts;
}

/** RFC 3339 full-date of days since the epoch. Years outside 0 to 9999 have a sign, those outside Date's range stay days. */
export function dateText(days: number): string {
  if (days === dateInfinity) return 'infinity';
  if (days === -dateInfinity) return '-infinity';
  const date = new Date(days * 86_400_000);
  return Number.isNaN(date.getTime()) ? `${days}d` : date.toISOString().slice(0, -14);
}

const timestampInfinity = 9223372036854775807n;

function timestampTexts(
  values: BigInt64Array,
  unit: 'us' | 'ns',
  rowCount: number,
  style: CellStyle,
): string[] {
  const quote = style === 'json' ? '"' : '';
  const texts = new Array<string>(rowCount);
  const writer = new TimestampWriter();
  const lanes = new Int32Array(values.buffer, values.byteOffset, rowCount * 2);
  for (let row = 0; row < rowCount; row++) {
    const high = lanes[row * 2 + 1] ?? 0;
    const text =
      unit === 'us' && high >= -0x100000 && high < 0x100000
        ? writer.fromMicros(high * 4294967296 + ((lanes[row * 2] ?? 0) >>> 0))
        : timestampText(values[row] ?? 0n, unit, writer);
    texts[row] = `${quote}${text}${quote}`;
  }
  return texts;
}

/** RFC 3339 in UTC with 0, 3, 6 or 9 fraction digits. */
export function timestampText(value: bigint, unit: 'us' | 'ns', writer = new TimestampWriter()): string {
  if (value === timestampInfinity) return 'infinity';
  if (value === -timestampInfinity) return '-infinity';
  const perSecond = unit === 'us' ? 1_000_000n : 1_000_000_000n;
  let seconds = value / perSecond;
  let fraction = value % perSecond;
  if (fraction < 0n) {
    fraction += perSecond;
    seconds -= 1n;
  }
  return writer.text(Number(seconds), Number(fraction) * (unit === 'us' ? 1000 : 1));
}

/** Writes times that tend to lie in the minute of the one before: that part of the text is kept. */
class TimestampWriter {
  #minute = Number.NaN;
  #minuteText = '';

  fromMicros(micros: number): string {
    const seconds = Math.floor(micros / 1_000_000);
    return this.text(seconds, (micros - seconds * 1_000_000) * 1000);
  }

  text(seconds: number, nanos: number): string {
    const minute = Math.floor(seconds / 60);
    if (minute !== this.#minute) {
      const date = new Date(minute * 60_000);
      if (Number.isNaN(date.getTime())) return `${seconds}s`;
      this.#minute = minute;
      this.#minuteText = date.toISOString().slice(0, -7);
    }
    const second = seconds - minute * 60;
    return `${this.#minuteText}${second < 10 ? '0' : ''}${second}${fractionText(nanos)}Z`;
  }
}

function fractionText(nanos: number): string {
  if (nanos === 0) return '';
  const digits = String(nanos).padStart(9, '0');
  if (digits.endsWith('000000')) return `.${digits.slice(0, 3)}`;
  return digits.endsWith('000') ? `.${digits.slice(0, 6)}` : `.${digits}`;
}
