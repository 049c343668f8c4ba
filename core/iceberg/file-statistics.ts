import { timeFieldId, timeNsFieldId } from '../model/schema.js';
import type { ColumnStatistics } from '../parquet/types.js';
import { VarveError } from '../std/errors.js';
import { AvroCursor } from './avro-cursor.js';

/**
 * Statistics of a data file as a manifest holds them: six maps by field id, one after the other. They are most of a
 * manifest, and most readers want few of them, so they are kept as bytes and decoded when asked for.
 */

/** The maps in the order of the schema; each is null or an array of key and value. */
const countMaps = ['compressedBytes', 'valueCount', 'nullCount', 'nanCount'] as const;
const boundMaps = ['lower', 'upper'] as const;

/** Bounds of one column. */
export type ColumnBounds = Pick<ColumnStatistics, 'fieldId' | 'lower' | 'upper'>;

/** Moves the cursor past the maps and gives the bounds of the time columns. */
export function skipStatistics(cursor: AvroCursor): readonly ColumnBounds[] {
  for (const _ of countMaps) {
    if (!cursor.present()) continue;
    cursor.items(() => {
      cursor.skipLong();
      cursor.skipLong();
    });
  }
  const times = [
    { fieldId: timeFieldId, lower: null as Uint8Array | null, upper: null as Uint8Array | null },
    { fieldId: timeNsFieldId, lower: null as Uint8Array | null, upper: null as Uint8Array | null },
  ];
  for (const name of boundMaps) {
    if (!cursor.present()) continue;
    cursor.items(() => {
      const fieldId = cursor.long();
      const time = fieldId <= timeNsFieldId ? times[fieldId - timeFieldId] : undefined;
      if (time === undefined) cursor.skipSlice();
      else time[name] = cursor.slice();
    });
  }
  return times.filter((time) => time.lower !== null);
}

type Statistics = { -readonly [Name in keyof ColumnStatistics]: ColumnStatistics[Name] };

/** Decodes the maps that begin at `at`; columns in the order of the first map, which is that of field ids. */
export function decodeStatistics(bytes: Uint8Array, at: number): ColumnStatistics[] {
  const cursor = new AvroCursor(bytes, at);
  const columns = new Map<number, Statistics>();
  const columnOf = (fieldId: number): Statistics => {
    const known = columns.get(fieldId);
    if (known !== undefined) return known;
    const column = {
      fieldId,
      compressedBytes: 0,
      valueCount: 0,
      nullCount: 0,
      nanCount: null,
      lower: null,
      upper: null,
    };
    columns.set(fieldId, column);
    return column;
  };
  for (const name of countMaps) {
    if (!cursor.present()) continue;
    cursor.items(() => {
      columnOf(cursor.long())[name] = cursor.long();
    });
  }
  for (const name of boundMaps) {
    if (!cursor.present()) continue;
    cursor.items(() => {
      columnOf(cursor.long())[name] = cursor.slice();
    });
  }
  return [...columns.values()];
}

/**
 * First and last time of a file in nanoseconds, from its statistics: microseconds of `time`, widened by the bounds
 * of `time_ns` where the file has that column. Never narrower than the rows. `invalid` without bounds of `time`.
 */
export function timeBoundsOf(what: string, columns: readonly ColumnBounds[]): readonly [bigint, bigint] {
  const time = columns.find((column) => column.fieldId === timeFieldId);
  if (time?.lower?.length !== 8 || time.upper?.length !== 8) {
    throw new VarveError('invalid', `data file ${what}: want bounds of 8 bytes for column "time"`);
  }
  const nanos = columns.find((column) => column.fieldId === timeNsFieldId);
  return [
    readLong(time.lower) * 1000n + (nanos === undefined ? 0n : readInt(nanos.lower, 0n)),
    readLong(time.upper) * 1000n + (nanos === undefined ? 0n : readInt(nanos.upper, 999n)),
  ];
}

function readLong(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigInt64(0, true);
}

function readInt(bytes: Uint8Array | null, otherwise: bigint): bigint {
  if (bytes?.length !== 4) return otherwise;
  return BigInt(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getInt32(0, true));
}
