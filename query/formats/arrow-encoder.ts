import {
  AsyncByteQueue,
  Bool,
  type Data,
  type DataType,
  DateDay,
  Decimal,
  Field,
  Float64,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  TimestampMicrosecond,
  TimestampNanosecond,
  Uint64,
  Utf8,
} from 'apache-arrow';
import { joinBytes } from '../../core/std/bytes.js';
import { ResultBuffer } from './result-buffer.js';
import { isValid, type ResultChunk, type ResultColumn, type ResultField } from './result-chunk.js';
import type { ResultEncoder } from './result-encoder.js';

const batchRows = 65_536;

/** Where the writer puts its bytes: taken out after each batch instead of being awaited. */
class PieceSink extends AsyncByteQueue<Uint8Array> {
  #pieces: Uint8Array[] = [];

  override write(bytes: ArrayBufferLike | ArrayBufferView | string): void {
    if (ArrayBuffer.isView(bytes) && bytes.byteLength > 0) {
      this.#pieces.push(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    }
  }

  /** What was written since the last call as one piece, a copy: the writer may reuse what it wrote. */
  take(): readonly Uint8Array[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces.length === 0 ? [] : [joinBytes(pieces)];
  }
}

/** An Arrow IPC stream. Times are timestamps in UTC, strings Utf8, what Arrow cannot say plainly is JSON text. */
export class ArrowEncoder implements ResultEncoder {
  readonly #schema: Schema;
  readonly #types: readonly DataType[];
  readonly #sink = new PieceSink();
  readonly #writer: RecordBatchStreamWriter;
  readonly #buffer = new ResultBuffer();

  constructor(fields: readonly ResultField[]) {
    this.#types = fields.map((field) => arrowType(field));
    this.#schema = new Schema(
      fields.map((field, index) => new Field(field.name, this.#types[index] as DataType, true)),
    );
    this.#writer = new RecordBatchStreamWriter({ autoDestroy: false });
    this.#writer.reset(this.#sink, this.#schema);
  }

  encode(chunk: ResultChunk): readonly Uint8Array[] {
    this.#buffer.append(chunk);
    return this.#buffer.rowCount < batchRows ? [] : this.#flush();
  }

  finish(): readonly Uint8Array[] {
    const pieces = this.#flush();
    this.#writer.close();
    return [...pieces, ...this.#sink.take()];
  }

  #flush(): readonly Uint8Array[] {
    const rows = this.#buffer.take();
    if (rows === undefined) return [];
    const children = rows.columns.map((column, index) =>
      columnData(column, this.#types[index] as DataType, rows.rowCount),
    );
    const data = makeData({
      type: new Struct(this.#schema.fields),
      length: rows.rowCount,
      nullCount: 0,
      children,
    });
    this.#writer.write(new RecordBatch(this.#schema, data));
    return this.#sink.take();
  }
}

function arrowType({ kind }: ResultField): DataType {
  switch (kind.kind) {
    case 'boolean':
      return new Bool();
    case 'int32':
      return new Int32();
    case 'int64':
      return new Int64();
    case 'uint64':
      return new Uint64();
    case 'float64':
      return new Float64();
    case 'decimal':
      return new Decimal(kind.scale, kind.precision, 128);
    case 'text':
    case 'json':
      return new Utf8();
    case 'date':
      return new DateDay();
    case 'timestamp':
      return kind.unit === 'us' ? new TimestampMicrosecond('UTC') : new TimestampNanosecond('UTC');
  }
}

function columnData(column: ResultColumn, type: DataType, length: number): Data {
  const nullBitmap = column.validity ?? undefined;
  const nullCount = column.validity === null ? 0 : countNulls(column.validity, length);
  const common = { type, length, nullCount, nullBitmap };
  switch (column.kind) {
    case 'boolean':
      return makeData({ ...common, data: packBits(column.values, length) } as never);
    case 'decimal':
      return makeData({ ...common, data: decimalWords(column.values) } as never);
    case 'text': {
      const packed = packTexts(column.values, column.distinct, column.validity, length);
      return makeData({ ...common, ...packed } as never);
    }
    case 'json': {
      const each = Int32Array.from(column.values, (_, index) => index);
      return makeData({ ...common, ...packTexts(each, column.values, column.validity, length) } as never);
    }
    default:
      return makeData({ ...common, data: column.values } as never);
  }
}

function countNulls(validity: Uint8Array, length: number): number {
  let nulls = 0;
  for (let row = 0; row < length; row++) if (!isValid(validity, row)) nulls++;
  return nulls;
}

function packBits(values: Uint8Array, length: number): Uint8Array {
  const bits = new Uint8Array((length + 7) >> 3);
  for (let row = 0; row < length; row++) if (values[row] !== 0) bits[row >> 3]! |= 1 << (row & 7);
  return bits;
}

function decimalWords(values: readonly bigint[]): Uint32Array {
  const words = new BigUint64Array(values.length * 2);
  values.forEach((value, row) => {
    words[row * 2] = BigInt.asUintN(64, value);
    words[row * 2 + 1] = BigInt.asUintN(64, value >> 64n);
  });
  return new Uint32Array(words.buffer);
}

/** UTF-8 bytes that one UTF-16 unit takes at most. */
const bytesPerUnitMax = 3;

/** HOT LOOP. Equal texts one after the other, which sorted rows have many of, are encoded once and repeated. */
function packTexts(
  values: Int32Array,
  distinct: readonly string[],
  validity: Uint8Array | null,
  length: number,
) {
  const valueOffsets = new Int32Array(length + 1);
  let data = Buffer.allocUnsafeSlow(Math.max(64, length * 8));
  let total = 0;
  for (let row = 0; row < length; ) {
    if (!isValid(validity, row)) {
      valueOffsets[++row] = total;
      continue;
    }
    const text = distinct[values[row]!] ?? '';
    let end = row + 1;
    while (end < length && values[end] === values[row] && isValid(validity, end)) end++;
    data = withRoom(data, total, text.length * bytesPerUnitMax);
    const bytes = data.write(text, total);
    const runBytes = bytes * (end - row);
    data = withRoom(data, total + bytes, runBytes - bytes);
    repeat(data, total, bytes, runBytes);
    for (; row < end; row++) {
      total += bytes;
      valueOffsets[row + 1] = total;
    }
  }
  return { valueOffsets, data: new Uint8Array(data.buffer, data.byteOffset, total) };
}

/** The buffer, or a larger one with its first `used` bytes, that has room for `bytes` more. */
function withRoom(data: Buffer<ArrayBuffer>, used: number, bytes: number): Buffer<ArrayBuffer> {
  if (used + bytes <= data.length) return data;
  const larger = Buffer.allocUnsafeSlow(Math.max(used + bytes, data.length * 2));
  data.copy(larger, 0, 0, used);
  return larger;
}

/** Repeats the first `bytes` at `at` until `total` bytes are filled, twice as many each time. */
function repeat(data: Buffer, at: number, bytes: number, total: number): void {
  for (let done = bytes; done < total && bytes > 0; ) {
    const next = Math.min(done, total - done);
    data.copyWithin(at + done, at, at + next);
    done += next;
  }
}
