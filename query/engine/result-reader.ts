import {
  type DuckDBDataChunk,
  DuckDBDecimalValue,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValue,
} from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import type { ResultChunk, ResultColumn, ResultKind } from '../formats/result-chunk.js';
import { inlineBytesMax, LongTexts } from './long-texts.js';
import { valueJson } from './value-json.js';

/**
 * Reads the engine's chunks as ResultChunks: a hot path. Fixed-width columns are views of the engine's vectors; strings
 * are decoded once a run of equal ones.
 */

type Vector = ReturnType<typeof duckdb.data_chunk_get_vector>;

/** How a column of this SQL type is held. */
export function resultKind(type: DuckDBType): ResultKind {
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return { kind: 'boolean' };
    case DuckDBTypeId.TINYINT:
    case DuckDBTypeId.SMALLINT:
    case DuckDBTypeId.INTEGER:
    case DuckDBTypeId.UTINYINT:
    case DuckDBTypeId.USMALLINT:
      return { kind: 'int32' };
    case DuckDBTypeId.UINTEGER:
    case DuckDBTypeId.BIGINT:
      return { kind: 'int64' };
    case DuckDBTypeId.UBIGINT:
      return { kind: 'uint64' };
    case DuckDBTypeId.FLOAT:
    case DuckDBTypeId.DOUBLE:
      return { kind: 'float64' };
    case DuckDBTypeId.HUGEINT:
      return { kind: 'decimal', precision: 38, scale: 0 };
    case DuckDBTypeId.DECIMAL:
      return 'width' in type
        ? { kind: 'decimal', precision: type.width, scale: type.scale }
        : { kind: 'json' };
    case DuckDBTypeId.VARCHAR:
    case DuckDBTypeId.ENUM:
      return { kind: 'text' };
    case DuckDBTypeId.DATE:
      return { kind: 'date' };
    case DuckDBTypeId.TIMESTAMP:
    case DuckDBTypeId.TIMESTAMP_TZ:
    case DuckDBTypeId.TIMESTAMP_S:
    case DuckDBTypeId.TIMESTAMP_MS:
      return { kind: 'timestamp', unit: 'us' };
    case DuckDBTypeId.TIMESTAMP_NS:
      return { kind: 'timestamp', unit: 'ns' };
    default:
      return { kind: 'json' };
  }
}

/** The chunk's columns; views of its memory, valid until the chunk is let go. */
export function readChunk(chunk: DuckDBDataChunk, types: readonly DuckDBType[]): ResultChunk {
  const rowCount = chunk.rowCount;
  return { rowCount, columns: types.map((type, index) => readColumn(chunk, index, type, rowCount)) };
}

function readColumn(chunk: DuckDBDataChunk, index: number, type: DuckDBType, rowCount: number): ResultColumn {
  const vector = duckdb.data_chunk_get_vector(chunk.chunk, index);
  const validity = readValidity(vector, rowCount);
  const kind = resultKind(type);
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return { kind: 'boolean', validity, values: duckdb.vector_get_data(vector, rowCount) };
    case DuckDBTypeId.INTEGER:
      return { kind: 'int32', validity, values: view(vector, rowCount, Int32Array) };
    case DuckDBTypeId.TINYINT:
      return { kind: 'int32', validity, values: Int32Array.from(view(vector, rowCount, Int8Array)) };
    case DuckDBTypeId.SMALLINT:
      return { kind: 'int32', validity, values: Int32Array.from(view(vector, rowCount, Int16Array)) };
    case DuckDBTypeId.UTINYINT:
      return { kind: 'int32', validity, values: Int32Array.from(view(vector, rowCount, Uint8Array)) };
    case DuckDBTypeId.USMALLINT:
      return { kind: 'int32', validity, values: Int32Array.from(view(vector, rowCount, Uint16Array)) };
    case DuckDBTypeId.UINTEGER:
      return {
        kind: 'int64',
        validity,
        values: BigInt64Array.from(view(vector, rowCount, Uint32Array), (value) => BigInt(value)),
      };
    case DuckDBTypeId.BIGINT:
      return { kind: 'int64', validity, values: view(vector, rowCount, BigInt64Array) };
    case DuckDBTypeId.UBIGINT:
      return { kind: 'uint64', validity, values: view(vector, rowCount, BigUint64Array) };
    case DuckDBTypeId.FLOAT:
      return { kind: 'float64', validity, values: Float64Array.from(view(vector, rowCount, Float32Array)) };
    case DuckDBTypeId.DOUBLE:
      return { kind: 'float64', validity, values: view(vector, rowCount, Float64Array) };
    case DuckDBTypeId.DATE:
      return { kind: 'date', validity, values: view(vector, rowCount, Int32Array) };
    case DuckDBTypeId.TIMESTAMP:
    case DuckDBTypeId.TIMESTAMP_TZ:
      return { kind: 'timestamp', unit: 'us', validity, values: view(vector, rowCount, BigInt64Array) };
    case DuckDBTypeId.TIMESTAMP_NS:
      return { kind: 'timestamp', unit: 'ns', validity, values: view(vector, rowCount, BigInt64Array) };
    case DuckDBTypeId.TIMESTAMP_S:
    case DuckDBTypeId.TIMESTAMP_MS: {
      const factor = type.typeId === DuckDBTypeId.TIMESTAMP_S ? 1_000_000n : 1000n;
      const values = view(vector, rowCount, BigInt64Array).map((value) => value * factor);
      return { kind: 'timestamp', unit: 'us', validity, values };
    }
    case DuckDBTypeId.VARCHAR:
      return { kind: 'text', validity, ...readStrings(vector, validity, rowCount) };
    case DuckDBTypeId.ENUM:
      return { kind: 'text', validity, ...eachDistinct(readItems(chunk, index, (value) => String(value))) };
    case DuckDBTypeId.HUGEINT:
    case DuckDBTypeId.DECIMAL: {
      const scale = kind.kind === 'decimal' ? kind.scale : 0;
      return { kind: 'decimal', scale, validity, values: readItems(chunk, index, unscaled) };
    }
    default:
      return { kind: 'json', validity, values: readItems(chunk, index, valueJson) };
  }
}

function unscaled(value: DuckDBValue): bigint {
  if (value instanceof DuckDBDecimalValue) return value.value;
  return typeof value === 'bigint' ? value : 0n;
}

function readItems<Item>(
  chunk: DuckDBDataChunk,
  index: number,
  convert: (value: DuckDBValue) => Item,
): Item[] {
  return chunk.getColumnVector(index).toArray().map(convert);
}

interface ViewConstructor<View> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): View;
}

function view<View>(vector: Vector, rowCount: number, Constructor: ViewConstructor<View>): View {
  const bytes = duckdb.vector_get_data(vector, rowCount * Constructor.BYTES_PER_ELEMENT);
  return new Constructor(bytes.buffer, bytes.byteOffset, rowCount);
}

function readValidity(vector: Vector, rowCount: number): Uint8Array | null {
  // The engine answers null where the vector has no mask, whatever the declaration says.
  const bytes = duckdb.vector_get_validity(vector, Math.ceil(rowCount / 64) * 8) as Uint8Array | null;
  if (bytes === null || bytes === undefined) return null;
  const used = bytes.subarray(0, (rowCount + 7) >> 3);
  for (let row = 0; row < rowCount; row++) {
    if (((used[row >> 3] ?? 0) & (1 << (row & 7))) === 0) return used;
  }
  return null;
}

/** Layout of a string in a vector: 4 bytes of length, then 12 bytes inline, or 4 of prefix and 8 of pointer. */
const stringWords = 4;

/** Texts of a column: `values` index `distinct`. */
interface Texts {
  readonly values: Int32Array;
  readonly distinct: readonly string[];
}

function eachDistinct(distinct: readonly string[]): Texts {
  return { values: Int32Array.from(distinct, (_, index) => index), distinct };
}

function readStrings(vector: Vector, validity: Uint8Array | null, rowCount: number): Texts {
  const values = new Int32Array(rowCount);
  const distinct: string[] = [];
  const data = duckdb.vector_get_data(vector, rowCount * 16);
  const bytes = Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  const words = new Int32Array(data.buffer, data.byteOffset, rowCount * stringWords);
  const long = new LongTexts(bytes, words);
  let last = -1;
  for (let row = 0; row < rowCount; row++) {
    if (validity !== null && ((validity[row >> 3] ?? 0) & (1 << (row & 7))) === 0) continue;
    const at = row * stringWords;
    if (last < 0 || !sameWords(words, at, last)) {
      const length = words[at] ?? 0;
      if (length <= inlineBytesMax)
        distinct.push(bytes.toString('utf8', row * 16 + 4, row * 16 + 4 + length));
      else {
        long.moveTo(row, validity);
        // Equal texts lie in as many places where the engine has copied them.
        if (last < 0 || !sameStart(words, at, last) || !long.isAsBefore()) distinct.push(long.text());
      }
      last = at;
    }
    values[row] = distinct.length - 1;
  }
  return { values, distinct };
}

function sameWords(words: Int32Array, left: number, right: number): boolean {
  return (
    words[left] === words[right] &&
    words[left + 1] === words[right + 1] &&
    words[left + 2] === words[right + 2] &&
    words[left + 3] === words[right + 3]
  );
}

/** Whether two texts have the same length and the same first four bytes. */
function sameStart(words: Int32Array, left: number, right: number): boolean {
  return words[left] === words[right] && words[left + 1] === words[right + 1];
}
