import type { FieldType } from '../model/columns.js';
import { bitmapBytes } from './bitmap.js';
import type { IntegerWidth, NarrowIntegers } from './narrow-integers.js';

/** What a column of a record batch is: a tag, or a field of a type. */
export type ArrowColumnKind = 'tag' | FieldType;

/** What decides how many bytes a column takes in a record batch. */
export interface ColumnNeed {
  readonly kind: ArrowColumnKind;
  /** Rows that lack the column. */
  readonly nullCount: number;
  /** Bytes of text; 0 for all but strings. */
  readonly textBytes: number;
  /** Bytes of a number, 8 unless told, or of a code of a tag, 4 unless told; must be the width in the stream's schema. */
  readonly width?: IntegerWidth;
}

/** Where a column of a record batch is to be written. All zero at first. */
export interface ColumnRoom extends ColumnNeed {
  /** A bit a row, least significant first, set where the row has the column; null when every row has. */
  readonly validity: Uint8Array | null;
  /** Numbers of 64 bits a row; empty for narrow ones. */
  readonly longs: BigInt64Array;
  /** Whole numbers of fewer bytes a row, or the codes of a tag; null for all else. */
  readonly narrow: NarrowIntegers | null;
  /** A code a row of a tag whose codes have 4 bytes; rows + 1 offsets of strings, ascending from 0. */
  readonly words: Int32Array;
  /** A bit a row of booleans; the text of strings. */
  readonly bytes: Uint8Array;
}

/**
 * The body of an Arrow record batch as one buffer, in which columns are written where they will be sent from:
 * `time` first; of each column the validity bits, then offsets, then values; every part at a multiple of 8 bytes.
 */
export class ArrowRoom {
  readonly rowCount: number;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly timesNs: BigInt64Array<ArrayBuffer>;
  readonly columns: readonly ColumnRoom[];

  constructor(rowCount: number, needs: readonly ColumnNeed[]) {
    const sizes = needs.map((need) => partBytes(need, rowCount));
    const bodyBytes = sizes.reduce(
      (sum, { validity, longs, words, narrow, bytes }) =>
        sum + validity + longs + padded(words) + padded(narrow) + padded(bytes),
      rowCount * 8,
    );
    const buffer = new ArrayBuffer(bodyBytes);
    let end = rowCount * 8;
    const take = (bytes: number): number => {
      const start = end;
      end += padded(bytes);
      return start;
    };
    this.rowCount = rowCount;
    this.body = new Uint8Array(buffer);
    this.timesNs = new BigInt64Array(buffer, 0, rowCount);
    this.columns = needs.map((need, column) => {
      const { validity, longs, words, narrow, bytes } = sizes[column]!;
      const room = {
        ...need,
        validity: validity === 0 ? null : new Uint8Array(buffer, take(validity), validity),
        longs: new BigInt64Array(buffer, take(longs), longs / 8),
        words: new Int32Array(buffer, take(words), words / 4),
      };
      const at = take(narrow);
      return {
        ...room,
        narrow: narrow === 0 ? codesOf(need, room.words) : narrowView(buffer, at, rowCount, need.width),
        bytes: new Uint8Array(buffer, take(bytes), bytes),
      };
    });
  }
}

interface PartBytes {
  readonly validity: number;
  readonly longs: number;
  readonly words: number;
  readonly narrow: number;
  readonly bytes: number;
}

/** Bytes of a column's parts. Bits take whole words of 8 bytes: the writer would copy them otherwise. */
function partBytes({ kind, nullCount, textBytes, width }: ColumnNeed, rowCount: number): PartBytes {
  const bits = padded(bitmapBytes(rowCount));
  const none = { validity: nullCount === 0 ? 0 : bits, longs: 0, words: 0, narrow: 0, bytes: 0 };
  switch (kind) {
    case 'tag':
      return isNarrow(width, 4) ? { ...none, narrow: rowCount * width } : { ...none, words: rowCount * 4 };
    case 'string':
      return { ...none, words: (rowCount + 1) * 4, bytes: textBytes };
    case 'boolean':
      return { ...none, bytes: bits };
    default:
      return isNarrow(width, 8) ? { ...none, narrow: rowCount * width } : { ...none, longs: rowCount * 8 };
  }
}

function isNarrow(width: IntegerWidth | undefined, usual: 4 | 8): width is 1 | 2 | 4 {
  return width !== undefined && width < usual;
}

function codesOf({ kind }: ColumnNeed, words: Int32Array): Int32Array | null {
  return kind === 'tag' ? words : null;
}

function narrowView(
  buffer: ArrayBuffer,
  offset: number,
  length: number,
  width: IntegerWidth | undefined,
): NarrowIntegers {
  if (width === 1) return new Int8Array(buffer, offset, length);
  return width === 2 ? new Int16Array(buffer, offset, length) : new Int32Array(buffer, offset, length);
}

function padded(length: number): number {
  return (length + 7) & ~7;
}
