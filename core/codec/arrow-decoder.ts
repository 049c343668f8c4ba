import { type Data, DataType, RecordBatchReader, type Schema, type Vector } from 'apache-arrow';
import type { FieldColumn, StringValues } from '../model/columns.js';
import { errorMessage, VarveError } from '../std/errors.js';
import { numberTypeKey } from './arrow-encoder.js';
import { unpackBits } from './bitmap.js';
import { assertLittleEndian } from './little-endian.js';
import { type NarrowIntegers, widen } from './narrow-integers.js';

assertLittleEndian();

/** A tag over rows, dictionary-encoded. */
export interface DecodedTag<Codes = Int32Array> {
  readonly name: string;
  /** Index into the dictionary, -1 where the tag is absent. */
  readonly codes: Codes;
  /** The same object for every batch of a stream. */
  readonly dictionary: StringValues;
}

/** A record batch of a stream that ArrowStreamEncoder wrote, in the layouts of model/columns.ts. */
export interface DecodedRows {
  readonly rowCount: number;
  readonly timesNs: BigInt64Array;
  /** In the order of the schema. */
  readonly tags: readonly DecodedTag[];
  /** In the order of the schema. */
  readonly fields: readonly FieldColumn[];
}

/** Numbers of a field that came as whole numbers of fewer than 8 bytes. What stands where it is absent is arbitrary. */
export interface NarrowColumn {
  readonly name: string;
  readonly type: 'double' | 'bigint' | 'ubigint';
  /** Stand for doubles of the same value, or for the 64-bit integers that they become when their sign is extended. */
  readonly narrow: NarrowIntegers;
  readonly validity: Uint8Array | null;
}

/** A record batch as it came: codes and whole numbers in as few bytes as the writer gave them. */
export interface NarrowRows extends Omit<DecodedRows, 'tags' | 'fields'> {
  readonly tags: readonly DecodedTag<NarrowIntegers>[];
  readonly fields: readonly (FieldColumn | NarrowColumn)[];
}

/** Reads a stream as decodeNarrowRows does, with codes of 32 bits and numbers of 64. */
export async function* decodeArrowRows(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<DecodedRows> {
  for await (const rows of decodeNarrowRows(pieces)) {
    yield {
      ...rows,
      tags: rows.tags.map((tag) => ({ ...tag, codes: wideCodes(tag.codes) })),
      fields: rows.fields.map((field) => ('narrow' in field ? wideColumn(field) : field)),
    };
  }
}

function wideCodes(codes: NarrowIntegers): Int32Array {
  return codes instanceof Int32Array ? codes : new Int32Array(codes);
}

function wideColumn({ narrow, ...column }: NarrowColumn): FieldColumn {
  return { ...column, values: widen(narrow, column.type) } as FieldColumn;
}

/**
 * Reads an Arrow IPC stream of rows (docs/formats/hot-scan.md), cut into pieces at whatever places. Arrays are views
 * of the pieces where the layouts agree: numbers and text always, codes where the tag is nowhere absent.
 * `unavailable` when the stream ends before its end marker, for rows may be missing; `corrupt` when the bytes are no
 * such stream; errors of `pieces` pass through.
 */
export async function* decodeNarrowRows(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<NarrowRows> {
  const source = new StreamSource(pieces);
  const dictionaries = new Map<Vector, StringValues>();
  try {
    const reader = await source.guard(async () => (await RecordBatchReader.from(source.pieces())).open());
    // Bytes that hold no schema are no error to the reader, only a stream without rows.
    const first = (reader.schema as Schema | undefined)?.fields[0];
    if (first?.name !== 'time') {
      throw source.brokeOff() ? brokenOff() : corrupt(`got first column "${first?.name}"; want time`);
    }
    for (;;) {
      const next = await source.guard(() => reader.next());
      if (next.done === true) break;
      const { schema, data } = next.value;
      yield await source.guard(async () => decodeBatch(schema.fields, data.children, dictionaries));
    }
    // The reader takes a stream that breaks off between two messages for one that has ended.
    if (source.brokeOff()) throw brokenOff();
  } finally {
    await source.stop();
  }
}

/** What ends an Arrow IPC stream: a continuation marker and a length of 0. */
const endMarker = Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0);

/** The pieces of a stream on their way to the reader. */
class StreamSource {
  readonly #iterator: AsyncIterator<Uint8Array>;
  /** The last bytes that went through, up to the length of the end marker. */
  #tail: Uint8Array = new Uint8Array(0);
  #failure: { readonly error: unknown } | undefined;
  #ended = false;

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#iterator = pieces[Symbol.asyncIterator]();
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      let next: IteratorResult<Uint8Array>;
      try {
        next = await this.#iterator.next();
      } catch (error) {
        this.#failure = { error };
        throw error;
      }
      if (next.done === true) {
        this.#ended = true;
        return;
      }
      const tail = Buffer.concat([this.#tail, next.value.subarray(-endMarker.length)]);
      this.#tail = tail.subarray(-endMarker.length);
      yield next.value;
    }
  }

  /** Whether the pieces ended otherwise than by the end marker. */
  brokeOff(): boolean {
    return this.#ended && Buffer.compare(this.#tail, endMarker) !== 0;
  }

  /** Lets go of the pieces: the reader does not when it is left early. */
  async stop(): Promise<void> {
    await this.#iterator.return?.();
  }

  /** Runs a step of reading; an error of the source stays as it is, one of reading becomes `corrupt`. */
  async guard<Result>(read: () => Promise<Result>): Promise<Result> {
    try {
      return await read();
    } catch (error) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.brokeOff()) throw brokenOff(error);
      throw error instanceof VarveError ? error : corrupt(errorMessage(error), error);
    }
  }
}

function brokenOff(cause?: unknown): VarveError {
  const message = 'reading an Arrow stream of rows: got the end of the bytes; want the end marker first';
  return new VarveError('unavailable', message, { cause });
}

function corrupt(detail: string, cause?: unknown): VarveError {
  return new VarveError('corrupt', `reading an Arrow stream of rows: ${detail}`, { cause });
}

function decodeBatch(
  fields: readonly Schema['fields'][number][],
  children: readonly Data[],
  dictionaries: Map<Vector, StringValues>,
): NarrowRows {
  const tags: DecodedTag<NarrowIntegers>[] = [];
  const columns: (FieldColumn | NarrowColumn)[] = [];
  const [time] = children;
  if (!(time?.values instanceof BigInt64Array)) throw corrupt('got a time column without times of 64 bits');
  fields.slice(1).forEach(({ name, type, metadata }, index) => {
    const data = children[index + 1]!;
    if (DataType.isDictionary(type)) tags.push(decodeTag(name, data, dictionaries));
    else columns.push(decodeField(name, type, metadata.get(numberTypeKey), data));
  });
  return { rowCount: time.length, timesNs: time.values.subarray(0, time.length), tags, fields: columns };
}

function decodeTag(
  name: string,
  data: Data,
  dictionaries: Map<Vector, StringValues>,
): DecodedTag<NarrowIntegers> {
  const vector = data.dictionary!;
  let dictionary = dictionaries.get(vector);
  if (dictionary === undefined) {
    const [text] = vector.data;
    dictionary = text === undefined || text.length === 0 ? emptyStrings : decodeStrings(text);
    dictionaries.set(vector, dictionary);
  }
  if (!isNarrow(data.values))
    throw corrupt(`tag "${name}" got codes that are not integers of 8, 16 or 32 bits`);
  const codes = data.values.subarray(0, data.length);
  const present = presentRows(data);
  return {
    name,
    dictionary,
    codes: present === null ? codes : codes.map((code, row) => (present[row] === 1 ? code : -1)),
  };
}

function decodeField(
  name: string,
  type: DataType,
  numberType: string | undefined,
  data: Data,
): FieldColumn | NarrowColumn {
  const validity = presentRows(data);
  const base = { name, validity };
  if (DataType.isFloat(type))
    return { ...base, type: 'double', values: data.values.subarray(0, data.length) as Float64Array };
  if (DataType.isBool(type))
    return { ...base, type: 'boolean', values: unpackBits(data.values, 0, data.length) };
  if (DataType.isUtf8(type)) return { ...base, type: 'string', values: decodeStrings(data) };
  if (DataType.isInt(type) && type.bitWidth === 64) {
    const values = data.values.subarray(0, data.length);
    if (values instanceof BigUint64Array) return { ...base, type: 'ubigint', values };
    if (values instanceof BigInt64Array) return { ...base, type: 'bigint', values };
  }
  if (DataType.isInt(type) && isNarrow(data.values) && isNumberType(numberType)) {
    return { ...base, type: numberType, narrow: data.values.subarray(0, data.length) };
  }
  throw corrupt(`column "${name}" got type ${type}; want that of a tag or field`);
}

function isNarrow(values: unknown): values is NarrowIntegers {
  return values instanceof Int8Array || values instanceof Int16Array || values instanceof Int32Array;
}

function isNumberType(type: string | undefined): type is NarrowColumn['type'] {
  return type === 'double' || type === 'bigint' || type === 'ubigint';
}

const emptyStrings: StringValues = { offsets: new Int32Array(1), bytes: new Uint8Array(0) };

function decodeStrings(data: Data): StringValues {
  return {
    offsets: (data.valueOffsets as Int32Array).subarray(0, data.length + 1),
    bytes: data.values as Uint8Array,
  };
}

function presentRows(data: Data): Uint8Array | null {
  return data.nullCount === 0 ? null : unpackBits(data.nullBitmap!, data.offset & 7, data.length);
}
