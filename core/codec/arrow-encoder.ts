import {
  AsyncByteQueue,
  Bool,
  type Data,
  type DataType,
  Dictionary,
  Field,
  Float64,
  Int8,
  Int16,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Timestamp,
  TimeUnit,
  Uint64,
  Utf8,
  Vector,
} from 'apache-arrow';
import type { FieldType, StringValues } from '../model/columns.js';
import { assert } from '../std/assert.js';
import { joinBytes } from '../std/bytes.js';
import type { ArrowRoom, ColumnRoom } from './arrow-room.js';
import { assertLittleEndian } from './little-endian.js';
import type { IntegerWidth } from './narrow-integers.js';

assertLittleEndian();

/**
 * A column of a stream of rows; `time` comes before all of them. `width` is the bytes of a code, 4 unless told, or of a
 * number, 8 unless told: fewer where all numbers of the stream are whole and fit.
 */
export type ArrowColumnSpec =
  | {
      readonly kind: 'tag';
      readonly name: string;
      readonly dictionary: StringValues;
      readonly width?: IntegerWidth;
    }
  | { readonly kind: FieldType; readonly name: string; readonly width?: IntegerWidth };

/** Key of a column's metadata that names what narrow numbers are: double, bigint or ubigint. */
export const numberTypeKey = 'varve.type';

/**
 * Writes rows as an Arrow IPC stream: schema, one dictionary a tag, record batches, end. Values are not copied: a
 * piece is either the heads of messages or the body of a record batch, each with a buffer of its own, which the taker
 * may transfer. Format: docs/formats/hot-scan.md.
 */
export class ArrowStreamEncoder {
  readonly #schema: Schema;
  readonly #dictionaries: readonly (Vector<Utf8> | undefined)[];
  readonly #writer = new RecordBatchStreamWriter();
  #pending: Uint8Array[] = [];

  constructor(columns: readonly ArrowColumnSpec[]) {
    const time = new Field('time', new Timestamp(TimeUnit.NANOSECOND, 'UTC'), false);
    const fields = columns.map(fieldOf);
    this.#schema = new Schema([time, ...fields]);
    this.#dictionaries = columns.map((column) =>
      column.kind === 'tag' ? dictionaryVector(column.dictionary) : undefined,
    );
    // The writer hands over buffer after buffer; the queue would collect them and never let go.
    const sink = new AsyncByteQueue();
    sink.write = (piece) => {
      this.#pending.push(asBytes(piece));
    };
    this.#writer.reset(sink, this.#schema);
  }

  /**
   * The pieces of a record batch, the schema and the dictionaries before the first one.
   *
   * @param room filled by the caller; its columns are those of the stream, in order
   */
  batch(room: ArrowRoom): readonly [heads: Uint8Array<ArrayBuffer>, body: Uint8Array<ArrayBuffer>] {
    const { rowCount: length, timesNs } = room;
    const types = this.#schema.fields.map((field) => field.type);
    const time = makeData({ type: types[0] as Timestamp, length, nullCount: 0, data: timesNs });
    const children: Data[] = [
      time,
      ...room.columns.map((column, index) =>
        columnData(column, types[index + 1]!, this.#dictionaries[index], length),
      ),
    ];
    const type = new Struct(this.#schema.fields);
    this.#writer.write(new RecordBatch(this.#schema, makeData({ type, length, nullCount: 0, children })));
    return [joinBytes(this.#takeHeads(room)), room.body];
  }

  /** The end of the stream; with the schema before it if there was no batch. */
  end(): Uint8Array<ArrayBuffer> {
    this.#writer.finish();
    const pieces = this.#pending;
    this.#pending = [];
    return joinBytes(pieces);
  }

  /** What the writer wrote before the body; checks that the body it wrote is the room's, byte for byte in place. */
  #takeHeads(room: ArrowRoom): Uint8Array[] {
    const pieces = this.#pending;
    this.#pending = [];
    const heads = pieces.findIndex((piece) => piece.buffer === room.body.buffer);
    let at = 0;
    for (const piece of pieces.slice(heads)) {
      const placed = piece.buffer !== room.body.buffer || piece.byteOffset === at;
      assert(placed, `the Arrow writer took a buffer from ${piece.byteOffset} of a body; want ${at}`);
      at += piece.byteLength;
    }
    assert(
      at === room.body.byteLength,
      `the Arrow writer made a body of ${at} bytes; want ${room.body.byteLength}`,
    );
    return pieces.slice(0, heads);
  }
}

function fieldOf({ kind, name, width }: ArrowColumnSpec, index: number): Field {
  switch (kind) {
    case 'double':
    case 'bigint':
    case 'ubigint':
      if (width === undefined || width === 8) break;
      return new Field(name, integerOf(width), true, new Map([[numberTypeKey, kind]]));
    case 'tag':
      return new Field(name, new Dictionary(new Utf8(), integerOf(width), index), true);
  }
  return new Field(name, arrowType(kind), true);
}

function integerOf(width: IntegerWidth | undefined): Int8 | Int16 | Int32 {
  if (width === 1) return new Int8();
  return width === 2 ? new Int16() : new Int32();
}

function arrowType(kind: FieldType): DataType {
  switch (kind) {
    case 'double':
      return new Float64();
    case 'bigint':
      return new Int64();
    case 'ubigint':
      return new Uint64();
    case 'boolean':
      return new Bool();
    case 'string':
      return new Utf8();
  }
}

function dictionaryVector({ offsets, bytes }: StringValues): Vector<Utf8> {
  const length = offsets.length - 1;
  return new Vector([
    makeData({ type: new Utf8(), length, nullCount: 0, valueOffsets: offsets, data: bytes }),
  ]);
}

function columnData(
  room: ColumnRoom,
  type: DataType,
  dictionary: Vector<Utf8> | undefined,
  length: number,
): Data {
  const { nullCount, longs, narrow, words, bytes } = room;
  const base = { length, nullCount, ...(room.validity === null ? {} : { nullBitmap: room.validity }) };
  if (narrow !== null && room.kind !== 'tag') {
    return makeData({ ...base, type: type as Int32, data: narrow as Int32Array });
  }
  switch (room.kind) {
    case 'tag':
      return makeData({
        ...base,
        type: type as Dictionary<Utf8, Int32>,
        data: narrow as Int32Array,
        dictionary: dictionary!,
      });
    case 'string':
      return makeData({ ...base, type: type as Utf8, valueOffsets: words, data: bytes });
    case 'boolean':
      return makeData({ ...base, type: type as Bool, data: bytes });
    case 'double':
      return makeData({
        ...base,
        type: type as Float64,
        data: new Float64Array(longs.buffer, longs.byteOffset, length),
      });
    case 'bigint':
      return makeData({
        ...base,
        type: type as Int64,
        data: longs,
      });
    case 'ubigint':
      return makeData({
        ...base,
        type: type as Uint64,
        data: new BigUint64Array(longs.buffer, longs.byteOffset, length),
      });
  }
}

function asBytes(piece: unknown): Uint8Array {
  const view = piece as ArrayBufferView;
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
